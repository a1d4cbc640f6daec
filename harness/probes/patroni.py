"""Who leads the database cluster, who follows, and when a former leader has come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.observation import Observation
from harness.probes.base import Probe, ProbeKind, event

LEADER = ("leader", "standby_leader")


@dataclass
class PatroniProbe:
    """Asks the nodes in turn until one answers; a change lies half way between two looks.

    `nodes`: service -> URL of its REST interface.
    """

    nodes: Mapping[str, str]
    http: Http
    clock: Clock
    interval_s: float = 0.3
    name: str = "patroni"
    _seen: Mapping[str, Any] = field(default_factory=dict)
    _last_s: float | None = None
    _leader: str = ""
    _former: set[str] = field(default_factory=set)

    def observe(self) -> Observation:
        """The cluster as one node sees it; `patroni.cluster` on a change."""
        cluster = self._ask_any("cluster")
        at_s = self.clock.now_s()
        if not _is_cluster(cluster):
            return Observation(self.name, at_s, ok=False, facts={"error": "no node answers"})
        facts = read_cluster(cluster)
        events = []
        if facts != self._seen:
            half_s = (at_s - self._last_s) / 2 if self._last_s is not None else 0.0
            known = {**facts, "uncertainty_s": round(half_s, 4)}
            events.append(event(at_s - half_s, "patroni.cluster", **known))
        self._note_leader(facts["leader"])
        events += self._rejoined(facts)
        self._seen, self._last_s = facts, at_s
        return Observation(self.name, at_s, ok=True, facts=facts, events=tuple(events))

    def finish(self) -> Observation:
        """One more look, and the history of promotions."""
        last = self.observe()
        rows = self._ask_any("history")
        history = event(last.at_s, "patroni.history", rows=rows if isinstance(rows, list) else [])
        return Observation(self.name, last.at_s, last.ok, last.facts, (*last.events, history))

    def _note_leader(self, leader: str | None) -> None:
        if leader and self._leader and leader != self._leader:
            self._former.add(self._leader)
        if leader:
            self._leader = leader
            self._former.discard(leader)

    def _rejoined(self, facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """`target.rejoined` for each former leader that streams and says itself it is a replica.

        The cluster's word alone is not enough: it shows dead members for up to 20 s.
        """
        events = []
        for member in facts["members"]:
            name = member["name"]
            if name not in self._former or member["state"] != "streaming":
                continue
            url = self.nodes.get(name)
            if url and self.http.ask(f"{url}/replica", timeout_s=1.0).status == 200:
                self._former.discard(name)
                role = member["role"]
                events.append(event(self.clock.now_s(), "target.rejoined", service=name, role=role))
        return events

    def _ask_any(self, path: str) -> Any:
        for url in self.nodes.values():
            answer = self.http.ask(f"{url}/{path}", timeout_s=0.7)
            if answer.status == 200:
                return answer.json()
        return None


def _is_cluster(answer: Any) -> bool:
    members = answer.get("members") if isinstance(answer, dict) else None
    return isinstance(members, list) and all(isinstance(member, dict) for member in members)


def read_cluster(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Leader, timeline and members out of Patroni's `/cluster`; lag only as behind or not."""
    members = [
        {
            "name": member.get("name"),
            "role": member.get("role"),
            "state": member.get("state"),
            "timeline": member.get("timeline"),
            "lag": _coarse(member.get("lag")),
        }
        for member in cluster["members"]
    ]
    leaders = [m for m in members if m["role"] in LEADER and m["state"] == "running"]
    leader = leaders[0] if leaders else None
    return {
        "leader": leader["name"] if leader else None,
        "timeline": leader["timeline"] if leader else None,
        "members": sorted(members, key=lambda m: str(m["name"])),
        "unlocked": leader is None,
    }


def _coarse(lag: Any) -> int | str | None:
    """Bytes in steps of 1 MiB: every write moves the exact figure, which is no change."""
    return lag // 1_048_576 * 1_048_576 if isinstance(lag, int) else lag


def _probes(urls: Mapping[str, str], http: Http, clock: Clock) -> list[Probe]:
    """One for the whole cluster: every node knows it."""
    return [PatroniProbe({node: url.rstrip("/") for node, url in urls.items()}, http, clock)]


KIND = ProbeKind("harness.probe.patroni", _probes, is_regional=True)
