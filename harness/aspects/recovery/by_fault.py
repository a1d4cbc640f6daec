"""Which fault an outage is charged to, and how long the recovery from each fault took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.aspects.recovery.outages import Outage
from harness.record.run import Record


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """The recovery from one fault; `recovered` is None without a fault, False if it did not end.

    `after_healing_s`: the part of it after the harness began to heal a fault that it had held;
    None if it was over before, or if nothing was held.
    """

    recovery_time_s: float | None = None
    after_healing_s: float | None = None
    uncertainty_s: float | None = None
    recovered: bool | None = None
    fault_start_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse a contradiction: recovered, but at an unknown time."""
        if self.recovered and self.recovery_time_s is None:
            raise ValueError("recovered, but no recovery_time_s")


def by_fault(record: Record, outages: list[Outage]) -> dict[str, Recovered]:
    """The recovery from each fault that was injected; what a planned operation costs is its own."""
    starts = [*record.fault_starts_s, *record.operations_s]
    return {
        fault["fault"]: of_fault(
            outages, float(fault["start_s"]), starts, _released_s(record, fault)
        )
        for fault in record.injected
    }


def _released_s(record: Record, fault: dict[str, Any]) -> float | None:
    """When the harness began to heal a fault that lasted until then; None if it lasted not."""
    if fault.get("held_s") is None:
        return None
    healing = record.events_of("fault.healing")
    return next((float(e["t_s"]) for e in healing if e["fault"] == fault["fault"]), None)


def of_fault(
    outages: list[Outage], start_s: float, starts: list[float], released_s: float | None = None
) -> Recovered:
    """Recovery time = end of the last outage that the fault can have caused - fault start."""
    mine = [outage for outage in outages if _concerns(outage, start_s, starts)]
    if not mine:
        return Recovered(
            recovery_time_s=0.0, uncertainty_s=0.0, recovered=True, fault_start_s=start_s
        )
    last = mine[-1]
    return Recovered(
        recovery_time_s=None if last.end_s is None else last.end_s - start_s,
        after_healing_s=_after_healing_s(last, released_s),
        uncertainty_s=last.uncertainty_s,
        recovered=last.end_s is not None,
        fault_start_s=start_s,
    )


def _after_healing_s(outage: Outage, released_s: float | None) -> float | None:
    """An outage may seem to end a moment before what ended it, by its uncertainty."""
    if outage.end_s is None or released_s is None:
        return None
    after_s = outage.end_s - released_s
    return max(0.0, after_s) if after_s + (outage.uncertainty_s or 0.0) >= 0 else None


def worst(recoveries: Mapping[str, Recovered]) -> Recovered:
    """The first that did not end, else the longest; Nones without a fault."""
    return max(recoveries.values(), key=duration_s, default=Recovered())


def duration_s(found: Recovered) -> float:
    """How long it took, without end if it did not."""
    return math.inf if found.recovery_time_s is None else found.recovery_time_s


def _concerns(outage: Outage, start_s: float, starts: list[float]) -> bool:
    """Whether the fault that began at `start_s` can be a cause of the outage.

    `starts` has all that can be one. It is the last before the first failure was seen, and each
    other since the last success; a fault that begins while the outage lasts is held against its
    end, too. One that begins when it is over is not, though a request that hung may fail later.
    """
    if outage.end_s is not None and outage.end_s <= start_s:
        return False
    latest_s = max((other for other in starts if other <= outage.first_failed_s), default=math.inf)
    return start_s >= min(latest_s, outage.last_good_s)
