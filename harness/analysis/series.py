"""What the charts draw: one value a second, all on the run's own clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.record import Record

BUCKET_S = 1.0
Array = np.ndarray[Any, Any]


def figures(record: Record) -> dict[str, Any]:
    """Lists of one length, None where nothing was measured in that second."""
    seconds = int(np.ceil(record.experiment.end_s))
    main, canary = _with_second(record.main), _with_second(record.canary)
    sent = main[main["sent_s"].notna()]
    reads = main[main["write"] == ""]
    everything = pd.concat([main, canary])
    database = everything[(everything["write"] == "") & (everything["db_node"] != "")]
    operations = list(record.experiment.load.mix)
    return {
        "bucket_s": BUCKET_S,
        "t_s": [float(second) for second in range(seconds)],
        "offered_per_s": _count(main, seconds),
        "achieved_per_s": _count(sent, seconds),
        "failed_per_s": {
            name: _count(main[(main["op"] == name) & ~main["ok"]], seconds) for name in operations
        },
        "response_time_s": {
            name: {
                f"p{share}": _quantile(main[main["op"] == name], share / 100, seconds)
                for share in (50, 95, 99)
            }
            for name in operations
        },
        "canary": {
            name: {
                "ok": _count(canary[(canary["op"] == name) & canary["ok"]], seconds),
                "failed": _count(canary[(canary["op"] == name) & ~canary["ok"]], seconds),
                "p95": _quantile(canary[canary["op"] == name], 0.95, seconds),
            }
            for name in operations
        },
        "traffic_share": _shares(main[~main["served_by"].isin(["", "edge"])], "served_by", seconds),
        "cache_share": _shares(reads[reads["cache"] != ""], "cache", seconds),
        "replica_share": _shares(database, "db_node", seconds),
        "breakers": _breakers(record),
        "lb": _lb(record),
    }


def _with_second(samples: pd.DataFrame) -> pd.DataFrame:
    return samples.assign(second=np.floor(samples["intended_s"]).astype(int))


def _count(samples: pd.DataFrame, seconds: int) -> list[float]:
    counts = np.bincount(samples["second"].to_numpy().clip(0), minlength=seconds)[:seconds]
    return [float(count) / BUCKET_S for count in counts]


def _quantile(samples: pd.DataFrame, share: float, seconds: int) -> list[float]:
    found = samples.groupby("second")["response_s"].quantile(share)
    return [float(value) for value in found.reindex(range(seconds)).to_numpy()]


def _shares(samples: pd.DataFrame, column: str, seconds: int) -> dict[str, list[float]]:
    table = pd.crosstab(samples["second"], samples[column].astype(str), normalize="index")
    table = table.reindex(range(seconds))
    return {str(name): table[name].astype(float).tolist() for name in sorted(table.columns)}


def _breakers(record: Record) -> dict[str, list[list[Any]]]:
    """[time, state] from run start on, by "server/breaker"."""
    result: dict[str, list[list[Any]]] = {}
    for event in record.events_of("breaker.state"):
        result.setdefault(f"{event['server']}/{event['breaker']}", [[0.0, event["state"]]])
    for event in record.events_of("breaker.transition"):
        if event["t_s"] >= 0:
            states = result.setdefault(f"{event['server']}/{event['breaker']}", [[0.0, "CLOSED"]])
            states.append([event["t_s"], event["to"]])
    return dict(sorted(result.items()))


def _lb(record: Record) -> dict[str, list[list[Any]]]:
    result: dict[str, list[list[Any]]] = {}
    for event in record.events_of("lb.server"):
        name = f"{event['lb']}/{event['backend']}/{event['server']}"
        result.setdefault(name, []).append([max(0.0, event["t_s"]), event["status"]])
    return dict(sorted(result.items()))
