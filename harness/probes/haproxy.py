"""Which servers a load balancer sends traffic to, out of HAProxy's statistics."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.observation import Observation
from harness.probes.base import ProbeKind, event, one_each

NO_STATISTICS = "the answer is no statistics: it names no server"


@dataclass
class HaproxyProbe:
    """Polls one load balancer; a change lies half way between two looks.

    `lb.retries` says how many requests were tried again since the look before, and when that was.
    """

    lb: str
    url: str
    http: Http
    clock: Clock
    interval_s: float = 0.25
    _seen: dict[tuple[str, str], str] = field(default_factory=dict)
    _last_s: float | None = None
    _tried: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`haproxy lb-1`."""
        return f"haproxy {self.lb}"

    def observe(self) -> Observation:
        """All servers' states; `lb.server` for each that changed, `lb.retries` for its repeats."""
        before_s = self.clock.now_s()
        answer = self.http.ask(self.url, timeout_s=1.0)
        at_s = (before_s + self.clock.now_s()) / 2
        if answer.status != 200:
            return Observation(self.name, at_s, ok=False, facts={"error": answer.complaint})
        text = answer.body.decode("utf-8", "replace")
        servers = read_servers(text)
        if not servers:
            return Observation(self.name, at_s, ok=False, facts={"error": NO_STATISTICS})
        half_s = (at_s - self._last_s) / 2 if self._last_s is not None else 0.0
        changed = [key for key, status in servers.items() if self._seen.get(key) != status]
        events = tuple(
            event(
                at_s - half_s,
                "lb.server",
                lb=self.lb,
                backend=key[0],
                server=key[1],
                status=servers[key],
                previous=self._seen.get(key),
                uncertainty_s=round(half_s, 4),
            )
            for key in changed
        )
        retried = self._retried(read_retries(text), at_s)
        self._seen, self._last_s = servers, at_s
        facts = {"/".join(key): status for key, status in servers.items()}
        return Observation(self.name, at_s, ok=True, facts=facts, events=(*events, *retried))

    def _retried(
        self, tried: dict[tuple[str, str], tuple[int, int]], at_s: float
    ) -> list[Mapping[str, Any]]:
        """The counters that rose; one that fell belongs to a process that replaced another."""
        events = []
        for (backend, server), counts in tried.items():
            known = self._tried.get((backend, server), counts if not self._tried else (0, 0))
            is_same = all(now >= then for now, then in zip(counts, known, strict=True))
            base = known if is_same else (0, 0)
            retries, redispatches = counts[0] - base[0], counts[1] - base[1]
            if retries > 0 or redispatches > 0:
                span_s = at_s - self._last_s if self._last_s is not None else 0.0
                origin = {"lb": self.lb, "backend": backend, "server": server}
                facts = {"retries": retries, "redispatches": redispatches}
                events.append(event(at_s, "lb.retries", **origin, **facts, span_s=round(span_s, 4)))
        self._tried = tried
        return events

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()


def read_servers(text: str) -> dict[tuple[str, str], str]:
    """(backend, server) -> UP, DOWN, MAINT, …; `UP 1/2` (on its way down) is UP still."""
    return {
        (row["pxname"], row["svname"]): row["status"].split(" ")[0]
        for row in _rows(text)
        if row.get("status")
    }


def read_retries(text: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(backend, server) -> requests tried again, and those of them sent to another server."""
    return {
        (row["pxname"], row["svname"]): (int(row["wretr"]), int(row["wredis"]))
        for row in _rows(text)
        if (row.get("wretr") or "").isdigit() and (row.get("wredis") or "").isdigit()
    }


def _rows(text: str) -> list[dict[str, str]]:
    """The servers' rows."""
    rows = csv.DictReader(io.StringIO(text.lstrip("# ")))
    return [row for row in rows if row.get("svname") not in ("FRONTEND", "BACKEND", None)]


KIND = ProbeKind("harness.probe.haproxy", one_each(HaproxyProbe))
