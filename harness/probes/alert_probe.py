"""What the probes share that look at those who can tell of alerts: Prometheus, and the pager."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.model.alert import LOOK_S
from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.observation import Observation
from harness.probes.base import event


@dataclass
class AlertProbe(ABC):
    """Looks at one of them; `alert.watched` says from when until when there was something to see.

    `WHO` it is, by which its events are found.
    """

    WHO: ClassVar[str]

    service: str
    url: str
    http: Http
    clock: Clock
    interval_s: float = LOOK_S

    @property
    def name(self) -> str:
        """`pager pager`: what is looked at, and the service."""
        return f"{self.WHO} {self.service}"

    @abstractmethod
    def observe(self) -> Observation:
        """What is new since the last look."""

    def finish(self) -> Observation:
        """One more look, and until when there was something to see."""
        last = self.observe()
        if not last.ok:
            return last
        events = (*last.events, self._watched(last.at_s))
        return Observation(self.name, last.at_s, ok=True, facts=last.facts, events=events)

    def _watched(self, at_s: float) -> Mapping[str, Any]:
        return event(at_s, "alert.watched", by=self.WHO, service=self.service)
