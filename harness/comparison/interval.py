"""Where the difference of two sides lies: bootstrap intervals (Efron 1979, the percentile method).

A: 21.0 20.4 22.1      whole runs drawn again,     median* of B - median* of A
B: 26.3 25.1 27.0      many times:                 |--- 2.5 % ... 97.5 % ---|
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from harness.model.compared import Compared, Measured

Array = np.ndarray[Any, Any]
CONFIDENCE = 0.95
RUNS_MIN = 3
DRAWS = 10_000
SPLITS_OF_ONE_WIDTH = 30
"""With so few ways to deal the runs to two sides, the gap must be as wide as the wider side."""


@dataclass(frozen=True)
class Spread:
    """The differences (B - A) that the runs could have shown, in order of size.

    `slack` is what a rate that was never seen to fail may still be, below and above, divided by
    -ln(alpha / 2).
    """

    differences: Array
    slack: tuple[float, float] = (0.0, 0.0)

    def interval(self, level: float) -> tuple[float, float]:
        """The middle `level` of them."""
        tail = (1 - level) / 2
        cut = int(tail * len(self.differences))
        below, above = (-math.log(tail) * part for part in self.slack)
        low, high = self.differences[cut], self.differences[-1 - cut]
        return float(low - below), float(high + above)


def spread_of(figure: Compared, a: Sequence[Measured], b: Sequence[Measured]) -> Spread | None:
    """The spread of the difference of medians; None with fewer than RUNS_MIN runs on a side."""
    if min(len(a), len(b)) < RUNS_MIN:
        return None
    before, after = (_draw_medians(side, seed) for seed, side in enumerate((a, b)))
    with np.errstate(invalid="ignore"):
        differences = after - before
    differences[np.isnan(differences)] = 0.0  # both did not recover
    differences.sort()
    if figure.kind != "error_rate":
        return Spread(differences)
    return Spread(differences, (_unseen(a), _unseen(b)))


def is_apart(a: Sequence[float], b: Sequence[float], tested: int) -> bool:
    """Whether so few runs lie so far apart that it is no chance, looking at `tested` figures.

        A  o o  o                    there are `splits` ways to deal the runs to two sides, and
        B        <-- gap -->  o o o  in one of them B is the worse half, whatever was changed

    With ways enough the interval alone tells. With fewer there must be a gap too, the wider the
    fewer they are.
    """
    splits = math.comb(len(a) + len(b), len(a))
    if splits * (1 - CONFIDENCE) >= tested:
        return True
    gap = max(min(b) - max(a), min(a) - max(b))
    return gap >= SPLITS_OF_ONE_WIDTH / splits * max(_width(a), _width(b))


def _width(values: Sequence[float]) -> float:
    return max(values) - min(values) if max(values) > min(values) else 0.0


def _draw_medians(side: Sequence[Measured], seed: int) -> Array:
    values = np.array([measured.value for measured in side])
    medians: Array = np.median(values[_draw_runs(len(values), DRAWS, seed)], axis=1)
    return medians


@lru_cache(maxsize=4)
def _draw_runs(runs: int, draws: int, seed: int) -> Array:
    """Which runs each draw has: the same ones for all figures, and each time."""
    return np.random.default_rng([seed, runs]).integers(0, runs, (draws, runs))


def _unseen(side: Sequence[Measured]) -> float:
    """1 / requests if none failed: with -ln(alpha) of that the rule of three (Hanley 1983)."""
    if any(measured.value for measured in side):
        return 0.0
    return 1 / max(1, sum(measured.requests for measured in side))
