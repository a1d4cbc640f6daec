"""Who served the traffic: app servers, database nodes, cache tiers; as shares from 0 to 1."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.analysis.record import Record, within

Shares = dict[str, dict[str, float | None]]


def traffic(record: Record) -> Shares:
    """By app server and phase, of the main load; what the edge answered itself is left out."""
    served = record.main[~record.main["served_by"].isin(["", "edge"])]
    return _shares(served, "served_by", record)


def replicas(record: Record) -> Shares:
    """By database node and phase, of all reads that reached a database."""
    everything = pd.concat([record.main, record.canary])
    reads = everything[(everything["write"] == "") & (everything["db_node"] != "")]
    return _shares(reads.sort_values("intended_s", kind="stable"), "db_node", record)


def cache(record: Record) -> Shares:
    """By cache tier and phase, of the main load's reads that say who had the answer."""
    reads = record.main[(record.main["write"] == "") & (record.main["cache"] != "")]
    return _shares(reads, "cache", record)


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


def _shares(samples: pd.DataFrame, column: str, record: Record) -> Shares:
    names = sorted(str(name) for name in samples[column].astype(str).unique())
    result: Shares = {name: {} for name in names}
    for phase in record.judged:
        counts = within(samples, phase)[column].astype(str).value_counts()
        total = int(counts.sum())
        for name in names:
            result[name][phase.name] = int(counts.get(name, 0)) / total if total else None
    return result


def _mean(values: Any) -> float | None:
    return float(values.mean()) if len(values) else None
