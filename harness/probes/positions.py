"""How much of the log each node of a database has, as its Patroni says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.metric import LAG
from harness.model.observation import Observation
from harness.probes import patroni
from harness.probes.base import ProbeKind, event, one_each

PRIMARY = ("primary", "master")


@dataclass
class PositionProbe:
    """Asks one node; event `db.position` of each look that has an answer of use."""

    service: str
    url: str
    http: Http
    clock: Clock
    interval_s: float = 0.5

    @property
    def name(self) -> str:
        """Whose position it is."""
        return f"position {self.service}"

    def observe(self) -> Observation:
        """One look: bytes of log written or replayed, and their timeline."""
        began_s = self.clock.now_s()
        answer = self.http.ask(f"{self.url.rstrip('/')}/patroni", timeout_s=0.7)
        ended_s = self.clock.now_s()
        facts = read_position(answer.json_object())
        if not facts:
            error = answer.error or "no position in the answer"
            return Observation(self.name, ended_s, ok=False, facts={"error": error})
        seen = {"service": self.service, **facts, "took_s": round(ended_s - began_s, 6)}
        return Observation(
            self.name,
            ended_s,
            ok=True,
            facts=facts,
            events=(event(ended_s, "db.position", **seen),),
        )

    def finish(self) -> Observation:
        """The last look."""
        return self.observe()


def read_position(node: dict[str, Any]) -> dict[str, Any]:
    """What Patroni's `/patroni` says of a node that runs; {} if it does not say it."""
    log = node.get("xlog")
    if node.get("state") != "running" or not isinstance(log, dict):
        return {}
    is_primary = node.get("role") in PRIMARY
    position = log.get("location" if is_primary else "replayed_location")
    timeline = node.get("timeline")
    if not isinstance(position, int):
        return {}
    return {
        "is_primary": is_primary,
        "position": position,
        "timeline": timeline if isinstance(timeline, int) else None,
    }


KIND = ProbeKind(patroni.KIND.label, one_each(PositionProbe), subject=LAG)
