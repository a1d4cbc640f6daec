"""Which fault an outage is charged to, and how long the recovery from each fault took."""

from __future__ import annotations

from typing import Any

from harness.analysis.outages import Outage
from harness.analysis.record import Record

Row = dict[str, Any]


def by_fault(record: Record, outages: list[Outage]) -> dict[str, Row]:
    """The recovery from each fault that was injected."""
    faults = [fault for fault in record.faults if fault["start_s"] is not None]
    starts = [float(fault["start_s"]) for fault in faults]
    return {
        fault["fault"]: of_fault(outages, start_s, starts)
        for fault, start_s in zip(faults, starts, strict=True)
    }


def of_fault(outages: list[Outage], start_s: float, starts: list[float]) -> Row:
    """Recovery time = end of the last outage that the fault can have caused - fault start."""
    mine = [outage for outage in outages if _concerns(outage, start_s, starts)]
    if not mine:
        return _recovery(0.0, 0.0, start_s, recovered=True)
    last = mine[-1]
    if last.end_s is None:
        return _recovery(None, last.uncertainty_s, start_s, recovered=False)
    return _recovery(last.end_s - start_s, last.uncertainty_s, start_s, recovered=True)


def worst(recoveries: dict[str, Row]) -> Row:
    """The first that did not end, else the longest; Nones without a fault."""
    if not recoveries:
        empty = {"recovery_time_s": None, "uncertainty_s": None, "recovered": None}
        return {**empty, "fault_start_s": None}
    lost = [found for found in recoveries.values() if not found["recovered"]]
    return dict(lost[0] if lost else max(recoveries.values(), key=lambda f: f["recovery_time_s"]))


def _concerns(outage: Outage, start_s: float, starts: list[float]) -> bool:
    """Whether the fault that began at `start_s` can be a cause of the outage.

    The cause is the last fault before the first failure was seen, and each other fault since the
    last success; a fault that begins while the outage lasts is held against its end, too.
    """
    if start_s > outage.first_failed_s:
        return outage.end_s is None or outage.end_s > start_s
    latest_s = max(other for other in starts if other <= outage.first_failed_s)
    return start_s >= min(latest_s, outage.last_good_s)


def _recovery(
    time_s: float | None, uncertainty_s: float, start_s: float, *, recovered: bool
) -> Row:
    return {
        "recovery_time_s": time_s,
        "uncertainty_s": uncertainty_s,
        "recovered": recovered,
        "fault_start_s": start_s,
    }
