"""How long until somebody knew: from a fault's start to the notification, in parts that add up.

    fault | effect | seen | pending | firing | notified

Only what was observed is there; its time is otherwise in the next part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from harness.aspects.alerts.found import AlertFound, Alerts, Detection, cause_ends_s
from harness.aspects.alerts.monitored import Monitored, seen_s
from harness.aspects.recovery.parts import Mark, durations
from harness.model.alert import FOR_NOBODY
from harness.model.monitoring import signal_name
from harness.model.uncertain import uncertainty_of
from harness.record.run import Record

EVIDENCE = {
    "pending_s": "Prometheus: the rule's query had a result",
    "firing_s": "Prometheus, at an evaluation",
    "notified_s": "the pager",
}
Fault = dict[str, Any]


def detections(record: Record, found: Alerts, monitored: Monitored) -> list[Detection]:
    """For each fault, each alert that fired because of it, the first instance of each; in order."""
    signals = {(rule.alert, rule.severity): rule.signal for rule in found.rules}
    return [
        _detection(
            fault,
            one,
            found,
            _seen(record, one, fault, monitored, signals.get((one.alert, one.severity), "")),
        )
        for fault in record.injected
        for one in _first_of_each(found.alerts, *_span_s(record, fault))
    ]


def _span_s(record: Record, fault: Fault) -> tuple[float, float]:
    """From when to when what fires can be due to a fault."""
    start_s = float(fault["start_s"])
    return start_s, cause_ends_s(start_s, fault["healed_s"], record.fault_starts_s)


def _first_of_each(
    alerts: Sequence[AlertFound], start_s: float, until_s: float
) -> Iterable[AlertFound]:
    first: dict[str, AlertFound] = {}
    for one in alerts:
        if one.firing_s is None or one.severity == FOR_NOBODY:
            continue
        if not start_s <= one.firing_s < until_s:
            continue
        known = first.get(one.name)
        if known is None or one.firing_s < (known.firing_s or inf):
            first[one.name] = one
    return sorted(first.values(), key=lambda one: (one.firing_s or inf, one.name))


def _seen(
    record: Record, one: AlertFound, fault: Fault, monitored: Monitored, signal: str
) -> Mark | None:
    """When the value that the rule compares left the range that it had before the first fault."""
    start_s = float(fault["start_s"])
    if one.pending_s is None or one.pending_s < start_s:
        return None
    first_s = min(record.fault_starts_s)
    at_s = seen_s(
        monitored.lines.get(signal_name(signal), ()),
        one.labels,
        (record.judged[-1].start_s, first_s),
        (start_s, one.pending_s),
    )
    if at_s is None:
        return None
    return Mark("seen_s", at_s, monitored.step_s, "Prometheus: the rule's signal left its range")


def _detection(fault: Fault, one: AlertFound, found: Alerts, seen: Mark | None) -> Detection:
    start_s = float(fault["start_s"])
    marks = list(_marks(fault, one, seen))
    healed_s = fault["healed_s"]
    return Detection(
        fault=str(fault["fault"]),
        alert=one.alert,
        severity=one.severity,
        part=one.labels.get("part", ""),
        is_expected=found.is_expected(one),
        start_s=start_s,
        marks=marks,
        parts=durations(marks, start_s),
        detected_s=marks[-1].at_s - start_s,
        healed_s=healed_s,
        resolved_s=one.resolved_s,
    )


def _marks(fault: Fault, one: AlertFound, seen: Mark | None) -> Iterator[Mark]:
    """In order of time; the effect only if it was observed before what followed from it."""
    start_s = float(fault["start_s"])
    reached = [seen] if seen is not None else []
    for name, evidence in EVIDENCE.items():
        at_s = getattr(one, name)
        if at_s is not None and at_s >= start_s:
            reached.append(Mark(name, at_s, uncertainty_of(one.uncertainty_s, name), evidence))
    effect_s = fault.get("effect_s")
    if effect_s is not None and start_s < effect_s <= reached[0].at_s:
        yield Mark("effect_s", float(effect_s), None, "the harness' proof of the fault")
    before_s = start_s
    for mark in reached:
        before_s = max(before_s, mark.at_s)  # a page may arrive within the firing's uncertainty
        yield replace(mark, at_s=before_s)
