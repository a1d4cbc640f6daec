"""What each alert did before the faults, and after each of them.

baseline        | fault                          | recovery
|- silent_before|                                |
                |-- fires_within -->|            |
                |-- pages_within ----->|         |-- resolves_within -->|
                start                 page       healed                 resolved
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any

from harness.aspects.alerts.found import (
    WHO,
    AlertFound,
    Alerts,
    OfAlert,
    OfFault,
    Page,
    Unexpected,
    cause_ends_s,
    split,
)
from harness.model.metric import ALERT
from harness.model.uncertain import uncertainties, uncertainty_of
from harness.record.run import Record

Fault = Mapping[str, Any]


def by_alert(record: Record, found: Alerts) -> dict[str, OfAlert]:
    """Each alert that a rule has, that fired, paged, or is expected; with and without severity."""
    pairs = {
        *((rule.alert, rule.severity) for rule in found.rules),
        *((one.alert, one.severity) for one in found.alerts),
        *((page.alert, page.severity) for page in found.pages),
    }
    pairs |= {split(f"{ALERT}.{said}", found.known) for said in found.expected}
    pairs |= {(name, "") for name, _ in pairs}
    return {
        f"{name}.{severity}" if severity else name: _of_alert(_Seen(record, found, name, severity))
        for name, severity in sorted(pairs)
    }


def unexpected(record: Record, found: Alerts) -> dict[str, Unexpected]:
    """By judged phase, and for all together: alerts neither named nor allowed, each once."""
    strange = [one for one in found.alerts if not found.is_expected(one)]
    counted = {}
    for phase in record.judged:
        span_s = phase.start_s, min(phase.end_s, record.experiment.end_s)
        fired = [one for one in strange if one.fired_surely_in(*span_s)]
        unsure = [one for one in strange if one.fired_surely_in(*span_s) is None]
        counted[phase.name] = Unexpected(
            count=len({one.instance for one in fired}),
            names=list(dict.fromkeys(one.words for one in fired)),
            unsure=list(dict.fromkeys(one.words for one in unsure)),
        )
    return counted


@dataclass(frozen=True)
class _Seen:
    """One alert in one run: the times that it fired, the notifications that it does."""

    record: Record
    found: Alerts
    name: str
    severity: str

    @cached_property
    def times(self) -> list[AlertFound]:
        fired = (one for one in self.found.alerts if one.firing_s is not None)
        return [one for one in fired if self._is_meant(one.alert, one.severity)]

    @cached_property
    def pages(self) -> list[Page]:
        firing = (page for page in self.found.pages if page.status != "resolved")
        return [page for page in firing if self._is_meant(page.alert, page.severity)]

    @cached_property
    def first_fault_s(self) -> float:
        return min(self.record.fault_starts_s, default=inf)

    def _is_meant(self, alert: str, severity: str) -> bool:
        return alert == self.name and self.severity in ("", severity)


def _of_alert(seen: _Seen) -> OfAlert:
    silent, why = _silent_before(seen)
    faults = {str(f["fault"]): _of_fault(seen, f) for f in seen.record.injected}
    return OfAlert(silent_before=silent, why=why, by_fault=faults)


def _silent_before(seen: _Seen) -> tuple[bool | None, str]:
    """Whether it did not fire in the judged time before the first fault, and what was seen."""
    start_s, end_s = seen.record.judged[-1].start_s, seen.first_fault_s
    if end_s == inf:
        return None, "no fault was injected"
    sure = [(one, one.fired_surely_in(start_s, end_s)) for one in seen.times]
    if fired := next((one for one, is_sure in sure if is_sure), None):
        firing_s = _firing_s(fired)
        since = f"at {firing_s:.1f} s" if firing_s > 0 else "when the run began"
        return False, f"{fired.words} was firing {since}, before any fault"
    if unsure := next((one for one, is_sure in sure if is_sure is None), None):
        return None, f"{unsure.words} fired too close to the judged time's start or end to tell"
    who = seen.found.who_sees(seen.name)
    if who not in seen.found.watched_s:
        return None, f"{WHO[who]} was not seen"
    if gap := seen.found.blind(who, start_s, end_s):
        return None, gap
    return True, f"it did not fire from {start_s:.0f} s to {end_s:.1f} s"


def _of_fault(seen: _Seen, fault: Fault) -> OfFault:
    start_s = float(fault["start_s"])
    until_s = cause_ends_s(start_s, fault["healed_s"], seen.record.fault_starts_s)
    was = [o for o in seen.times if _firing_s(o) < start_s and o.fired_in(start_s, until_s)]
    is_shared = bool(was) and all(_firing_s(one) >= seen.first_fault_s for one in was)
    found = OfFault(
        flaps=_again(seen, start_s, until_s),
        was_firing="" if is_shared or not was else was[0].words,
        is_shared=is_shared,
    )
    found = _fired(seen, start_s, until_s, found)
    return _ended(seen, start_s, until_s, _paged(seen, start_s, until_s, found))


def _fired(seen: _Seen, start_s: float, until_s: float, found: OfFault) -> OfFault:
    """With the first instance to fire."""
    after = [one for one in seen.times if start_s <= _firing_s(one) < until_s]
    if not after:
        return found
    first = min(after, key=_firing_s)
    half_s = uncertainty_of(first.uncertainty_s, "firing_s")
    is_before = first.pending_s is not None and first.pending_s < seen.first_fault_s
    return replace(
        found,
        fires_within_s=_firing_s(first) - start_s,
        first=first.words,
        pending_s=first.pending_s if is_before else None,
        uncertainty_s={"fires_within_s": half_s},
    )


def _paged(seen: _Seen, start_s: float, until_s: float, found: OfFault) -> OfFault:
    """With the first notification of what had not begun to fire before."""
    due = [p for p in seen.pages if start_s <= p.at_s < until_s and not _is_old(seen, p, start_s)]
    if not due:
        return found
    page = min(due, key=lambda one: one.at_s)
    half_s = {**uncertainties(found.uncertainty_s), "pages_within_s": page.uncertainty_s}
    return replace(found, pages_within_s=page.at_s - start_s, uncertainty_s=half_s)


def _is_old(seen: _Seen, page: Page, start_s: float) -> bool:
    return any(
        page.is_of(one) and _firing_s(one) < start_s and one.fired_in(page.at_s - 1e-6, page.at_s)
        for one in seen.times
    )


def _ended(seen: _Seen, start_s: float, until_s: float, found: OfFault) -> OfFault:
    """With the last instance to resolve, of all that fired, and the last healing before that."""
    mine = [one for one in seen.times if one.fired_in(start_s, until_s)]
    if not mine:
        return found
    last = max(mine, key=_resolved_s)
    healed_s = _healed_s(seen.record, _resolved_s(last))
    found = replace(found, has_fired=True, last=last.words, healed_s=healed_s)
    if last.resolved_s is None or healed_s is None:
        return found
    half_s = uncertainty_of(last.uncertainty_s, "resolved_s")
    return replace(
        found,
        resolves_within_s=max(0.0, last.resolved_s - healed_s),
        uncertainty_s={**uncertainties(found.uncertainty_s), "resolves_within_s": half_s},
    )


def _healed_s(record: Record, at_s: float) -> float | None:
    """The last healing of the faults that began before a moment; None if one was never healed."""
    healed = [fault["healed_s"] for fault in record.injected if fault["start_s"] < at_s]
    return None if None in healed else max(healed, default=None)


def _again(seen: _Seen, start_s: float, until_s: float) -> int:
    """How often instances fired again that had fired, and resolved, since the fault began."""
    fired = Counter(one.instance for one in seen.times if one.fired_in(start_s, until_s))
    return sum(count - 1 for count in fired.values())


def _firing_s(one: AlertFound) -> float:
    assert one.firing_s is not None
    return one.firing_s


def _resolved_s(one: AlertFound) -> float:
    return inf if one.resolved_s is None else one.resolved_s
