"""Where the difference of two sides lies: bootstrap intervals (Efron 1979, the percentile method).

A: 21.0 20.4 22.1      drawn again, many times:    median* of B - median* of A
B: 26.3 25.1 27.0                                  |--- 2.5 % ... 97.5 % ---|
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from harness.comparison.figures import Figure, Measured
from harness.comparison.seconds import resample
from harness.comparison.sides import Side

Array = np.ndarray[Any, Any]
CONFIDENCE = 0.95
RUNS_MIN = 3
DRAWS_OF_RUNS, DRAWS_OF_SECONDS = 10_000, 2_000
SPLITS_MIN = 40
"""With fewer ways to deal the runs to two sides, chance alone parts them once in 20 times."""


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


SpreadOf = Callable[[Figure], Spread | None]


def spread_over_runs(a: Side, b: Side) -> SpreadOf:
    """By drawing whole runs again; None for a figure that fewer than RUNS_MIN runs of a side have.

    Needs no samples.
    """

    def spread_of(figure: Figure) -> Spread | None:
        sides = a.measured(figure), b.measured(figure)
        if min(map(len, sides)) < RUNS_MIN:
            return None
        random = _random(figure.id)
        before, after = (_draw_medians(side, random) for side in sides)
        return _spread(figure, before, after, sides)

    return spread_of


def spread_over_seconds(a: Side, b: Side) -> SpreadOf:
    """By drawing the seconds of each run again; None for what is no figure of single requests."""
    runs = [(name, run) for name, side in (("A", a), ("B", b)) for run in side.runs]

    @cache
    def redrawn(at: int, subject: str, phase: str) -> dict[str, Array]:
        name, run = runs[at]
        random = _random(f"{name}{at}.{phase}.{subject}")
        return resample(run.seconds[subject, phase], DRAWS_OF_SECONDS, random)

    def draws(wanted: str, figure: Figure) -> Array:
        """The median over the side's runs, each redrawn from its own seconds."""
        found = [
            run.figures[figure].value + redrawn(at, figure.subject, figure.phase)[figure.metric]
            for at, (name, run) in enumerate(runs)
            if name == wanted and figure in run.figures
        ]
        medians: Array = np.median(np.array(found), axis=0)
        return medians

    def spread_of(figure: Figure) -> Spread | None:
        sides = a.measured(figure), b.measured(figure)
        if figure.phase == "run" or not all(sides):
            return None
        return _spread(figure, draws("A", figure), draws("B", figure), sides)

    return spread_of


def is_apart(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether so few runs lie so far apart that it is no chance.

    From SPLITS_MIN ways to deal the runs on, the interval alone tells. With fewer the gap between
    the sides must be as wide as the widest side.
    """
    if math.comb(len(a) + len(b), len(a)) >= SPLITS_MIN:
        return True
    gap = max(min(b) - max(a), min(a) - max(b))
    return gap >= max(_width(a), _width(b))


def _width(values: Sequence[float]) -> float:
    return max(values) - min(values) if max(values) > min(values) else 0.0


def _random(name: str) -> np.random.Generator:
    """The same draws for the same figure, whatever else is compared."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _draw_medians(side: Sequence[Measured], random: np.random.Generator) -> Array:
    values = np.array([measured.value for measured in side])
    drawn = random.integers(0, len(values), (DRAWS_OF_RUNS, len(values)))
    medians: Array = np.median(values[drawn], axis=1)
    return medians


def _spread(
    figure: Figure, before: Array, after: Array, sides: tuple[list[Measured], list[Measured]]
) -> Spread:
    with np.errstate(invalid="ignore"):
        differences = after - before
    differences[np.isnan(differences)] = 0.0  # both did not recover
    differences.sort()
    if figure.kind != "error_rate":
        return Spread(differences)
    below, above = (_unseen(side) for side in sides)
    return Spread(differences, (below, above))


def _unseen(side: Sequence[Measured]) -> float:
    """1 / requests if none failed: with -ln(alpha) of that the rule of three (Hanley 1983)."""
    if any(measured.value for measured in side):
        return 0.0
    return 1 / max(1, sum(measured.requests for measured in side))
