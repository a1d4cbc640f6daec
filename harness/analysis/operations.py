"""Requests, errors and times of each operation in each phase."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.record import Array, Record, bounds, is_the_targets
from harness.model.experiment import Phase

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}


def figures(record: Record) -> dict[str, Any]:
    """By operation and phase, over main load and canary together.

    What the generator could not send is not in here (see load_health). Times of failures count
    too: a user waited for them. Percentiles are those of numpy (linear interpolation).
    """
    streams = [(samples, is_the_targets(samples)) for samples in (record.main, record.canary)]
    return {
        name: {
            phase.name: _of([_requests(*stream, name, phase) for stream in streams])
            for phase in record.judged
        }
        for name in record.experiment.load.mix
    }


def _requests(
    samples: pd.DataFrame, is_wanted: Array, name: str, phase: Phase
) -> tuple[pd.DataFrame, Array]:
    """The window of a phase, and which of its rows are of the operation."""
    rows = bounds(samples, phase)
    window = samples.iloc[rows]
    return window, is_wanted[rows] & (window["op"] == name).to_numpy()


def _of(parts: list[tuple[pd.DataFrame, Array]]) -> dict[str, Any]:
    requests = sum(int(is_wanted.sum()) for _, is_wanted in parts)
    failures = [window["error"][is_wanted & ~window["ok"]] for window, is_wanted in parts]
    errors = Counter(str(error) for failed in failures for error in failed)
    failed = errors.total()
    return {
        "requests": requests,
        "failed": failed,
        "error_rate": failed / requests if requests else None,
        "errors": dict(sorted(errors.items())),
        "response_time_s": _times(parts, "intended_s"),
        "service_time_s": _times(parts, "sent_s"),
    }


def _times(parts: list[tuple[pd.DataFrame, Array]], since: str) -> dict[str, float | None]:
    """p50, p95, p99 and the largest of the times to the end; None where there is nothing."""
    times = [(window["done_s"] - window[since]).to_numpy()[wanted] for window, wanted in parts]
    values = np.concatenate(times)
    values = values[~np.isnan(values)]
    if not values.size:
        return dict.fromkeys(PERCENTILES)
    found = np.percentile(values, list(PERCENTILES.values()), overwrite_input=True)
    return dict(zip(PERCENTILES, (float(value) for value in found), strict=True))
