"""What the charts draw: one value a second, all on the run's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from harness.aspects import breakers, shares
from harness.aspects.recovery.degradation import objective_of
from harness.model.series import CanarySeries, Changes, Series
from harness.record.run import Array, Record, codes_of

PERCENTILES = (50, 95, 99)


class _Seconds:
    """The requests of one stream, second by second."""

    def __init__(self, samples: pd.DataFrame, seconds: int) -> None:
        self.samples = samples
        edges = np.searchsorted(samples["intended_s"].to_numpy(), np.arange(1, seconds + 1))
        self.rows = [slice(first, last) for first, last in pairwise([0, *edges.tolist()])]

    def is_of(self, operation: str) -> Array:
        """For each request whether it is of the operation."""
        return (self.samples["op"] == operation).to_numpy()

    def count(self, is_wanted: Array) -> list[float]:
        """How many are wanted in each second."""
        return [float(np.count_nonzero(is_wanted[rows])) for rows in self.rows]

    def percentiles(self, is_wanted: Array) -> dict[str, list[float]]:
        """p50, p95 and p99 of the response times in each second, NaN where there are none."""
        intended_s, done_s = (self.samples[c].to_numpy() for c in ("intended_s", "done_s"))
        found = [
            _percentiles((done_s[rows] - intended_s[rows])[is_wanted[rows]]) for rows in self.rows
        ]
        columns = np.array(found).reshape(len(self.rows), len(PERCENTILES)).T
        return {f"p{p}": column.tolist() for p, column in zip(PERCENTILES, columns, strict=True)}

    def tally(self, column: str, is_wanted: Array) -> dict[str, Array]:
        """How many of the wanted have which name in each second."""
        names, codes = codes_of(self.samples, column)
        counts = [np.bincount(codes[r][is_wanted[r]], minlength=len(names)) for r in self.rows]
        table = np.array(counts).reshape(len(self.rows), len(names)).T
        return {name: row for name, row in zip(names, table, strict=True) if row.any()}


def _percentiles(times_s: Array) -> Array:
    known = times_s[~np.isnan(times_s)]
    if not known.size:
        return np.full(len(PERCENTILES), np.nan)
    return np.asarray(np.percentile(known, PERCENTILES, overwrite_input=True))


def figures(record: Record) -> Series:
    """One value for each second of the run, NaN where nothing was measured in it."""
    seconds = int(np.ceil(record.experiment.end_s))
    main, canary = _Seconds(record.main, seconds), _Seconds(record.canary, seconds)
    is_all, is_sent = np.ones(len(record.main), bool), record.main["sent_s"].notna().to_numpy()
    has_failed = ~record.main["ok"].to_numpy()
    operations = list(record.experiment.load.shares)
    served = [s.tally("served_by", shares.is_served(s.samples)) for s in (main, canary)]
    database = [s.tally("db_node", shares.reached_database(s.samples)) for s in (main, canary)]
    return Series(
        t_s=[float(second) for second in range(seconds)],
        offered_per_s=main.count(is_all),
        achieved_per_s=main.count(is_sent),
        failed_per_s={name: main.count(main.is_of(name) & has_failed) for name in operations},
        response_time_s={name: main.percentiles(main.is_of(name)) for name in operations},
        canary={name: _canary(record, canary, name) for name in record.experiment.load.canaries},
        traffic_share=_shares(served),
        cache_share=_shares([main.tally("cache", shares.is_read_from(record.main))]),
        replica_share=_shares(database),
        breakers={name: _changes(rows) for name, rows in breakers.timeline(record).items()},
        lb=_lb(record),
    )


def _canary(record: Record, canary: _Seconds, name: str) -> CanarySeries:
    is_mine, is_ok = canary.is_of(name), canary.samples["ok"].to_numpy()
    slow, objective = None, objective_of(record, name)
    if objective is not None:
        took_s = (canary.samples["done_s"] - canary.samples["intended_s"]).to_numpy()
        slow = canary.count(is_mine & is_ok & (took_s > objective[1]))
    return CanarySeries(
        ok=canary.count(is_mine & is_ok),
        failed=canary.count(is_mine & ~is_ok),
        slow=slow,
        p95=canary.percentiles(is_mine)["p95"],
    )


def _shares(tallies: list[dict[str, Array]]) -> dict[str, list[float]]:
    """The share of each name in each second, NaN in a second without any."""
    names = sorted({name for tally in tallies for name in tally})
    counts = {name: sum(tally.get(name, 0) for tally in tallies) for name in names}
    total = sum(counts.values())
    with np.errstate(invalid="ignore"):
        return {name: np.divide(count, total).tolist() for name, count in counts.items()}


def _changes(rows: Sequence[Sequence[Any]]) -> Changes:
    return [(at_s, state) for at_s, state in rows]


def _lb(record: Record) -> dict[str, Changes]:
    result: dict[str, list[tuple[float, str]]] = {}
    for event in record.events_of("lb.server"):
        name = f"{event['lb']}/{event['backend']}/{event['server']}"
        result.setdefault(name, []).append((max(0.0, event["t_s"]), event["status"]))
    return dict(sorted(result.items()))
