"""The requests of a run counted by second, and what a run could have looked like: blocks of
seconds drawn again (Politis and Romano 1992, the circular block bootstrap).

Requests of one second share their fate, and so do neighbouring seconds: they are drawn together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.record import NOT_THE_TARGETS
from harness.comparison.figures import RESPONSE_TIMES
from harness.model.experiment import Experiment, Phase
from harness.run_store import RunFolder

Array = np.ndarray[Any, Any]
BINS = 1852
EDGES_S = np.geomspace(1e-5, 1e3, BINS + 1)
"""Response times are counted in classes 1 % wide, from 10 us to 1000 s."""
CHUNK = 200


@dataclass(frozen=True)
class Table:
    """One operation in one phase: arrays with an element, or a row of classes, for each second."""

    requests: Array
    failed: Array
    times: Array


def count_seconds(folder: RunFolder, experiment: Experiment) -> dict[tuple[str, str], Table]:
    """By operation and judged phase; main load and canary together, as in the findings."""
    columns = ["op", "intended_s", "done_s", "ok", "error"]
    streams = [folder.read_samples(stream, columns).to_pandas() for stream in ("main", "canary")]
    samples = pd.concat([s[~s["error"].isin(NOT_THE_TARGETS)] for s in streams], ignore_index=True)
    return {
        (name, phase.name): _count(mine, phase)
        for name, mine in ((op, samples[samples["op"] == op]) for op in experiment.load.mix)
        for phase in experiment.phases
        if phase.is_judged
    }


def _count(samples: pd.DataFrame, phase: Phase) -> Table:
    intended_s = samples["intended_s"].to_numpy()
    mine = (intended_s >= phase.start_s) & (intended_s < phase.end_s)
    second = np.floor(intended_s[mine] - phase.start_s).astype(int)
    size = int(second.max(initial=-1)) + 1
    response_s = samples["done_s"].to_numpy()[mine] - intended_s[mine]
    known = ~np.isnan(response_s)
    index = np.searchsorted(EDGES_S, response_s[known], side="right") - 1
    cell = second[known] * BINS + np.clip(index, 0, BINS - 1)
    return Table(
        np.bincount(second, minlength=size).astype(float),
        np.bincount(second[~samples["ok"].to_numpy()[mine]], minlength=size).astype(float),
        np.bincount(cell, minlength=size * BINS).reshape(size, BINS).astype(np.float32),
    )


def resample(table: Table, count: int, rng: np.random.Generator) -> dict[str, Array]:
    """How far each figure of `count` redrawn phases is from that of the phase as it was.

    Keys: error_rate, p50, p95, p99; response times in seconds.
    """
    weights = _draw_blocks(len(table.requests), count, rng)
    as_it_was = _figures(table, np.ones((1, len(table.requests)), dtype=np.float32))
    chunks = [_figures(table, weights[at : at + CHUNK]) for at in range(0, count, CHUNK)]
    return {
        name: np.concatenate([chunk[name] for chunk in chunks]) - value
        for name, value in as_it_was.items()
    }


def _draw_blocks(size: int, count: int, rng: np.random.Generator) -> Array:
    """How often each of `size` seconds is drawn, a row for each of `count` draws.

    Blocks of size^(1/3) seconds (Hall, Horowitz and Jing 1995), the last second followed by the
    first, so that each is as likely as any other.
    """
    length = math.ceil(size ** (1 / 3))
    starts = rng.integers(0, size, (count, math.ceil(size / length)))
    drawn = (starts[:, :, None] + np.arange(length)).reshape(count, -1)[:, :size] % size
    cell = drawn + np.arange(count)[:, None] * size
    return np.bincount(cell.ravel(), minlength=count * size).reshape(count, size).astype(np.float32)


def _figures(table: Table, weights: Array) -> dict[str, Array]:
    requests = np.maximum(weights @ table.requests, 1.0)
    found = {"error_rate": (weights @ table.failed) / requests}
    used = np.flatnonzero(table.times.any(axis=0))
    if not used.size:
        return found
    below = np.cumsum(weights @ table.times[:, used], axis=1)
    for name in RESPONSE_TIMES:
        found[name] = _percentile(below, EDGES_S[used], float(name[1:]) / 100)
    return found


def _percentile(below: Array, lower_s: Array, share: float) -> Array:
    """The lower edge of the class that a percentile is in, moved up by where in it it is.

    `below` has the number of requests up to and including each class, a row for each draw.
    """
    wanted = share * below[:, -1:]
    at = np.argmax(below >= wanted, axis=1)
    row = np.arange(len(below))
    before = np.where(at > 0, below[row, np.maximum(at - 1, 0)], 0.0)
    inside = np.maximum(below[row, at] - before, 1e-9)
    part = np.clip((wanted[:, 0] - before) / inside, 0.0, 1.0)
    result: Array = lower_s[at] * (EDGES_S[1] / EDGES_S[0]) ** part
    return result
