"""The outages of a run, whichever operations they hit: outage-1, outage-2, ... in order of time.

create     ----########-------------------##-----
redirect   -------####----------------------------
               outage-1                outage-2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from harness.aspects.recovery import Recovery


@dataclass(frozen=True, slots=True)
class Stretch:
    """`end_s` is None for one that did not end; `operations` are sorted."""

    name: str
    start_s: float
    end_s: float | None
    operations: tuple[str, ...]


def stretches(recoveries: Mapping[str, Recovery]) -> list[Stretch]:
    """Outages of several operations that overlap in time are one."""
    found = sorted(
        ((o.start_s, inf if o.end_s is None else o.end_s, op) for op in recoveries
         for o in recoveries[op].outages),
    )  # fmt: skip
    merged: list[tuple[float, float, set[str]]] = []
    for start_s, end_s, operation in found:
        if merged and start_s <= merged[-1][1]:
            first_s, last_s, operations = merged[-1]
            merged[-1] = (first_s, max(last_s, end_s), operations | {operation})
        else:
            merged.append((start_s, end_s, {operation}))
    return [
        Stretch(f"outage-{number}", start_s, None if end_s == inf else end_s, tuple(sorted(ops)))
        for number, (start_s, end_s, ops) in enumerate(merged, 1)
    ]
