"""What reached the people on call: the notifications that a pager has received.

The pager says itself when each one arrived, by the monotonic clock that all containers share with
their machine. Where that is another machine, its times are put on our clock, and are as uncertain
as half of the request that compared the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from harness.model.alert import (
    ANSWER_S,
    PAGER,
    PAGER_LABEL,
    Notification,
    PagedAlert,
    PagerAnswer,
    named,
    read_pager,
)
from harness.model.observation import Observation
from harness.probes.alert_probe import AlertProbe
from harness.probes.base import ProbeKind, event, one_each

RESTARTED = "it was restarted: what it had received before is gone"
ALIKE_S = 0.001
"""Two clocks that differ by no more than this and the question's time are one."""


@dataclass
class PagerProbe(AlertProbe):
    """Polls the list of notifications; `alert.notified` for each that arrived since it began."""

    WHO = PAGER

    _began_s: float | None = None
    _has_answered: bool = False
    _seen: set[tuple[object, ...]] = field(default_factory=set)
    _received: int | None = None

    @override
    def observe(self) -> Observation:
        """New notifications; a list that has lost what was in it is a gap."""
        asked_s = self.clock.now_s()
        self._began_s = asked_s if self._began_s is None else self._began_s
        answer = self.http.ask(self.url, ANSWER_S)
        at_s = self.clock.now_s()
        found = read_pager(answer.json()) if answer.status == 200 else None
        if found is None:
            return Observation(self.name, at_s, ok=False, facts={"error": answer.complaint})
        middle_s, half_s = (asked_s + at_s) / 2, (at_s - asked_s) / 2
        offset_s = found.now_s - middle_s
        events = self._first(at_s, offset_s, half_s)
        if self._has_lost(found):
            events.append(event(at_s, "probe.gap", probe=self.name, error=RESTARTED))
        is_one_clock = abs(offset_s) <= half_s + ALIKE_S
        shift = (0.0, 0.0) if is_one_clock else (offset_s, half_s)
        fresh = [one for one in found.notifications if one.key not in self._seen]
        told = [self._notified(one, *shift) for one in fresh]
        events += [one for one in told if one["at_s"] >= self._began_s]
        self._seen = {one.key for one in found.notifications}
        self._received = found.received
        facts = {"notifications": len(found.notifications)}
        return Observation(self.name, at_s, ok=True, facts=facts, events=tuple(events))

    def _first(self, at_s: float, offset_s: float, half_s: float) -> list[Mapping[str, Any]]:
        """At the first answer: since when it is watched, and how its clock differs from ours."""
        if self._has_answered:
            return []
        self._has_answered = True
        facts = {"offset_s": round(offset_s, 6), "uncertainty_s": round(half_s, 6)}
        return [self._watched(at_s), event(at_s, "clock.offset", service=self.service, **facts)]

    def _has_lost(self, found: PagerAnswer) -> bool:
        if found.received is not None and self._received is not None:
            return found.received < self._received
        return bool(self._seen) and self._seen.isdisjoint(one.key for one in found.notifications)

    def _notified(self, one: Notification, offset_s: float, half_s: float) -> Mapping[str, Any]:
        facts: dict[str, Any] = {"status": one.status, "uncertainty_s": round(half_s, 6)}
        facts["alerts"] = [_facts(alert, one.status) for alert in one.alerts]
        return event(one.at_s - offset_s, "alert.notified", service=self.service, **facts)


def _facts(alert: PagedAlert, status: str) -> dict[str, Any]:
    name, severity = named(alert.labels)
    facts = {"alert": name, "severity": severity, "labels": {**alert.labels}}
    return {**facts, "status": alert.status or status, "summary": alert.summary}


KIND = ProbeKind(PAGER_LABEL, one_each(PagerProbe))
