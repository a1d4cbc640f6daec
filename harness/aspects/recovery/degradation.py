"""Answers that come, but too slowly: stretches in which the objective for latency is missed.

`p95 < 200 ms` allows 5 % of the requests to be slower (or to fail). A stretch is found like an
outage, with these 5 % as its budget: so it begins and ends between two probes, not at a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.aspects.recovery.by_fault import Recovered, by_fault, worst
from harness.aspects.recovery.outages import Array, Outage, find_outages, less_sure
from harness.record.run import Record

if TYPE_CHECKING:
    import pandas as pd

PERCENTILES = {"p95": 0.95, "p99": 0.99, "p50": 0.5}
"""The limit that counts is the strictest of the first of these that the experiment sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """A stretch in which too many were slow or failed; `end_s` is None if it did not end."""

    start_s: float
    end_s: float | None
    uncertainty_s: float | None = None
    slow: int = 0
    failed: int = 0
    probes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterOutage:
    """Successes that were slow between the end of the last outage and that of the last stretch."""

    slow: int
    duration_s: float | None


@dataclass(frozen=True, kw_only=True)
class Degradation(Recovered):
    """Stretches, and the time from the fault until the objective was met again.

    `slow` counts successes that were slower than the limit.
    """

    metric: str
    limit_s: float
    allowed_share: float | None = None
    slow: int = 0
    stretches: Sequence[Slow] = ()
    after_outage: AfterOutage | None = None
    by_fault: Mapping[str, Recovered] = field(default_factory=dict)


def figures(
    record: Record, name: str, samples: pd.DataFrame, outages: list[Outage], clock_s: float = 0.0
) -> Degradation | None:
    """The degradation of one operation, None without a limit; clocks may be off by `clock_s`."""
    objective = objective_of(record, name)
    if objective is None:
        return None
    metric, limit_s = objective
    sent_s, done_s = (samples[column].to_numpy() for column in ("sent_s", "done_s"))
    ok = samples["ok"].to_numpy()
    is_slow = ok & (done_s - samples["intended_s"].to_numpy() > limit_s)
    allowed = 1 - PERCENTILES[metric]
    stretches = less_sure(find_outages(sent_s, done_s, ok & ~is_slow, allowed), clock_s)
    recoveries = by_fault(record, stretches) if len(samples) else {}
    return Degradation(
        **asdict(worst(recoveries)),
        metric=metric,
        limit_s=limit_s,
        allowed_share=allowed,
        slow=int(is_slow.sum()),
        stretches=[_as_row(stretch, sent_s, is_slow) for stretch in stretches],
        after_outage=_after(outages, stretches, sent_s, is_slow),
        by_fault=recoveries,
    )


def objective_of(record: Record, name: str) -> tuple[str, float] | None:
    """The percentile of response times that the experiment limits, and its limit in seconds."""
    for metric in PERCENTILES:
        limits = [
            item.limit
            for item in record.experiment.hypothesis
            if (item.subject, item.metric) == (name, metric) and item.comparison in ("<", "<=")
        ]
        if limits:
            return metric, min(limits)
    return None


def _as_row(stretch: Outage, sent_s: Array, is_slow: Array) -> Slow:
    is_inside = (sent_s >= stretch.failed_from_s) & (sent_s <= stretch.failed_to_s)
    slow = int((is_slow & is_inside).sum())
    return Slow(
        start_s=stretch.start_s,
        end_s=stretch.end_s,
        uncertainty_s=stretch.uncertainty_s,
        slow=slow,
        failed=stretch.failed - slow,
        probes=stretch.probes,
    )


def _after(
    outages: list[Outage], stretches: list[Outage], sent_s: Array, is_slow: Array
) -> AfterOutage | None:
    """None without an outage that ended."""
    outage_end_s = outages[-1].end_s if outages else None
    if outage_end_s is None:
        return None
    end_s = stretches[-1].end_s if stretches else outage_end_s
    is_after = (sent_s > outages[-1].failed_to_s) & (sent_s <= (np.inf if end_s is None else end_s))
    slow = int((is_slow & is_after).sum())
    lasted_s = None if end_s is None else end_s - outage_end_s
    return AfterOutage(slow=slow, duration_s=lasted_s if slow else 0.0)
