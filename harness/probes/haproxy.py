"""Which servers a load balancer sends traffic to, out of HAProxy's statistics."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.observation import Observation
from harness.probes.base import event


@dataclass
class HaproxyProbe:
    """Polls one load balancer; a change lies half way between two looks."""

    lb: str
    url: str
    http: Http
    clock: Clock
    interval_s: float = 0.25
    _seen: dict[tuple[str, str], str] = field(default_factory=dict)
    _last_s: float | None = None

    @property
    def name(self) -> str:
        """`haproxy lb-1`."""
        return f"haproxy {self.lb}"

    def observe(self) -> Observation:
        """All servers' states; `lb.server` for each that changed."""
        before_s = self.clock.now_s()
        answer = self.http.ask(self.url, timeout_s=1.0)
        at_s = (before_s + self.clock.now_s()) / 2
        if answer.status != 200:
            return Observation(self.name, at_s, ok=False, facts={"error": answer.error})
        servers = read_servers(answer.body.decode("utf-8", "replace"))
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
        self._seen, self._last_s = servers, at_s
        facts = {"/".join(key): status for key, status in servers.items()}
        return Observation(self.name, at_s, ok=True, facts=facts, events=events)

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()


def read_servers(text: str) -> dict[tuple[str, str], str]:
    """(backend, server) -> UP, DOWN, MAINT, …; `UP 1/2` (on its way down) is UP still."""
    rows = csv.DictReader(io.StringIO(text.lstrip("# ")))
    return {
        (row["pxname"], row["svname"]): row["status"].split(" ")[0]
        for row in rows
        if row.get("svname") not in ("FRONTEND", "BACKEND", None) and row.get("status")
    }
