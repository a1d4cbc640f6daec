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
Streams = list[tuple[pd.DataFrame, Array]]
"""Requests, and which rows of them are wanted."""
WHOLE = Phase(name="", start_s=-math.inf, end_s=math.inf)


def figures(record: Record) -> dict[str, Any]:
    """`traffic_share`: by app server, of the main load; what the edge answered itself is left out.
    `replica_share`: by database node, of all reads that reached a database. `cache_share`: by cache
    tier, of the main load's reads that say who had the answer. Each by name and phase.

    `share_answers`: how many answers each share is of, by phase.
    """
    main, canary = record.main, record.canary
    wanted = {
        "traffic_share": ("served_by", [(main, is_served(main))]),
        "replica_share": ("db_node", [(s, reached_database(s)) for s in (main, canary)]),
        "cache_share": ("cache", [(main, is_read_from(main))]),
    }
    shares, answers = {}, {}
    for name, (column, streams) in wanted.items():
        counts = {phase.name: _count(streams, column, phase) for phase in record.judged}
        shares[name] = _shares(counts, sorted(_count(streams, column, WHOLE)))
        answers[name] = {phase: found.total() for phase, found in counts.items()}
    return {**shares, "share_answers": answers}


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


def _shares(by_phase: dict[str, Counter[str]], names: list[str]) -> Shares:
    """None in a phase without answers; a name that had none of them is 0."""
    return {
        name: {
            phase: counts[name] / counts.total() if counts else None
            for phase, counts in by_phase.items()
        }
        for name in names
    }


def _count(streams: Streams, column: str, phase: Phase) -> Counter[str]:
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
