"""Requests, errors and times of each operation in each phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.record import NOT_THE_TARGETS, Record, within

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}


def figures(record: Record) -> dict[str, Any]:
    """By operation and phase, over main load and canary together.

    What the generator could not send is not in here (see load_health). Times of failures count
    too: a user waited for them. Percentiles are those of numpy (linear interpolation).
    """
    everything = pd.concat([record.main, record.canary]).sort_values(
        "intended_s", kind="stable", ignore_index=True
    )
    everything = everything[~everything["error"].isin(NOT_THE_TARGETS)]
    return {
        name: {phase.name: _of(within(samples, phase)) for phase in record.judged}
        for name, samples in (
            (name, everything[everything["op"] == name]) for name in record.experiment.load.mix
        )
    }


def _of(samples: pd.DataFrame) -> dict[str, Any]:
    failed = samples[~samples["ok"]]
    errors = failed["error"].astype(str).value_counts()
    return {
        "requests": len(samples),
        "failed": len(failed),
        "error_rate": len(failed) / len(samples) if len(samples) else None,
        "errors": {name: int(errors[name]) for name in sorted(errors.index) if errors[name]},
        "response_time_s": percentiles(samples["response_s"]),
        "service_time_s": percentiles(samples["service_s"]),
    }


def percentiles(times: pd.Series[float]) -> dict[str, float | None]:
    """p50, p95, p99 and the largest; None where there is nothing."""
    values = times.dropna().to_numpy()
    if not values.size:
        return dict.fromkeys(PERCENTILES)
    found = np.percentile(values, list(PERCENTILES.values()))
    return dict(zip(PERCENTILES, (float(value) for value in found), strict=True))
