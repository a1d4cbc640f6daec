"""The circuit breakers inside one app server: every transition, timed by the server itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.observation import Observation
from harness.probes.base import ProbeKind, event, one_each


@dataclass
class BreakerProbe:
    """Polls the server's log of transitions; none is missed, however short a state lasted.

    A restart of the server shows as a new `boot`, whose log starts again.
    """

    server: str
    url: str
    http: Http
    clock: Clock
    interval_s: float = 1.0
    _boot: str = ""
    _seq: int = -1
    _states: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`breakers app-1`."""
        return f"breakers {self.server}"

    def observe(self) -> Observation:
        """New transitions, and the state of each breaker that changed."""
        before_s = self.clock.now_s()
        answer = self.http.ask(self.url, timeout_s=1.5)
        after_s = self.clock.now_s()
        raw = answer.json() if answer.status == 200 else None
        if not isinstance(raw, dict) or "breakers" not in raw:
            return Observation(self.name, after_s, ok=False, facts={"error": answer.complaint})
        events = []
        if raw["boot"] != self._boot:
            events.append(self._offset(raw, before_s, after_s))
        events += self._transitions(raw)
        events += self._changed_states(raw, after_s)
        return Observation(self.name, after_s, ok=True, facts=raw["breakers"], events=tuple(events))

    def finish(self) -> Observation:
        """One more look, with the state of every breaker."""
        self._states = {}
        return self.observe()

    def _offset(self, raw: Mapping[str, Any], before_s: float, after_s: float) -> Mapping[str, Any]:
        """How the server's clock differs from ours; a first look takes no old transitions."""
        old = [t["seq"] for t in raw.get("transitions", [])] if not self._boot else []
        found = event(
            after_s,
            "clock.offset",
            service=self.server,
            offset_s=round(raw["monotonic_s"] - (before_s + after_s) / 2, 6),
            uncertainty_s=round((after_s - before_s) / 2, 6),
        )
        self._boot, self._states, self._seq = raw["boot"], {}, max(old, default=-1)
        return found

    def _transitions(self, raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        fresh = [item for item in raw.get("transitions", []) if item["seq"] > self._seq]
        origin = {"server": self.server, "boot": raw["boot"]}
        events = []
        for item in fresh:
            facts = {key: value for key, value in item.items() if key != "monotonic_s"}
            events.append(event(item["monotonic_s"], "breaker.transition", **origin, **facts))
        self._seq = max((item["seq"] for item in fresh), default=self._seq)
        return events

    def _changed_states(self, raw: Mapping[str, Any], at_s: float) -> list[Mapping[str, Any]]:
        events = []
        for name, facts in raw["breakers"].items():
            if self._states.get(name) == facts["state"]:
                continue
            self._states[name] = facts["state"]
            shown = {key: facts.get(key) for key in ("state", "fast_fails", "fast_fail_p99_s")}
            origin = {"server": self.server, "breaker": name}
            events.append(event(at_s, "breaker.state", **origin, **shown))
        return events


KIND = ProbeKind("harness.probe.breakers", one_each(BreakerProbe))
