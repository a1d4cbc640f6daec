"""Who served the traffic: app servers, database nodes, cache tiers; as shares from 0 to 1."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.record import Array, Record, bounds, codes_of, within
from harness.model.experiment import Phase

Shares = dict[str, dict[str, float | None]]


def traffic(record: Record) -> Shares:
    """By app server and phase, of the main load; what the edge answered itself is left out."""
    return _shares(record, "served_by", {"main": is_served(record.main)})


def replicas(record: Record) -> Shares:
    """By database node and phase, of all reads that reached a database."""
    wanted = {"main": reached_database(record.main), "canary": reached_database(record.canary)}
    return _shares(record, "db_node", wanted)


def cache(record: Record) -> Shares:
    """By cache tier and phase, of the main load's reads that say who had the answer."""
    return _shares(record, "cache", {"main": is_read_from(record.main)})


def is_served(samples: pd.DataFrame) -> Array:
    """Whether an app server answered."""
    return ~samples["served_by"].isin(["", "edge"]).to_numpy()


def reached_database(samples: pd.DataFrame) -> Array:
    """Whether it is a read that a database answered."""
    return ((samples["write"] == "") & (samples["db_node"] != "")).to_numpy()


def is_read_from(samples: pd.DataFrame) -> Array:
    """Whether it is a read that says which tier had the answer."""
    return ((samples["write"] == "") & (samples["cache"] != "")).to_numpy()


def db_reached(record: Record) -> dict[str, dict[str, float | None]]:
    """The share of each operation's canaries that no cache could answer."""
    canary = record.canary
    return {
        name: {
            phase.name: _mean(within(samples, phase)["cache"].isin(["db", ""]))
            for phase in record.judged
        }
        for name, samples in (
            (name, canary[canary["op"] == name]) for name in record.experiment.load.mix
        )
    }


def _shares(record: Record, column: str, wanted: dict[str, Array]) -> Shares:
    """Of the rows that are wanted of each stream."""
    streams = [(getattr(record, name), rows) for name, rows in wanted.items()]
    whole = Phase(name="", start_s=-math.inf, end_s=math.inf)
    result: Shares = {name: {} for name in sorted(_count(streams, column, whole))}
    for phase in record.judged:
        counts = _count(streams, column, phase)
        for name, shares in result.items():
            shares[phase.name] = counts[name] / counts.total() if counts else None
    return result


def _count(streams: list[tuple[pd.DataFrame, Array]], column: str, phase: Phase) -> Counter[str]:
    """How many rows due in the phase have which name; only names that occur."""
    found: Counter[str] = Counter()
    for samples, is_wanted in streams:
        rows = bounds(samples, phase)
        names, codes = codes_of(samples, column)
        counts = np.bincount(codes[rows][is_wanted[rows]], minlength=len(names))
        found.update({name: int(n) for name, n in zip(names, counts, strict=True) if n})
    return found


def _mean(values: Any) -> float | None:
    return float(values.mean()) if len(values) else None
