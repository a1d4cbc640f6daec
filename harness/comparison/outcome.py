"""Whether a figure got worse or better, did not change, or too few runs tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.comparison.interval import CONFIDENCE, Spread, is_apart
from harness.model.compared import Compared

Outcome = Literal["regression", "improvement", "no change that matters", "too few runs to tell"]


@dataclass(frozen=True)
class Pair:
    """One figure on both sides, a value for each run; `effect` is the change that matters.

    `spread` is None where there are too few runs for one.
    """

    figure: Compared
    a: tuple[float, ...]
    b: tuple[float, ...]
    spread: Spread | None
    effect: float

    @property
    def difference(self) -> float:
        """Median of B - median of A; 0 where neither recovered, NaN where a side has no run."""
        before, after = median(self.a), median(self.b)
        return 0.0 if before == after else after - before


def outcome_of(pair: Pair, tested: int) -> tuple[Outcome, str]:
    """The outcome of one of `tested` figures, and the reason where the interval does not tell."""
    if not pair.a or not pair.b:
        return "too few runs to tell", "not_measured"
    if seen := _witnessed(pair):
        return seen
    if pair.spread is None:
        return "too few runs to tell", "too_few_runs"
    if (change := _sure_change(pair, pair.spread, tested)) is not None:
        return change, ""
    ends = low, high = pair.spread.interval(CONFIDENCE)
    if all(end == 0 or abs(end) < pair.effect for end in ends):
        return "no change that matters", ""
    is_likely = abs(pair.difference) >= pair.effect and (low > 0 or high < 0)
    return "too few runs to tell", "may_be_chance" if is_likely else "interval_too_wide"


def median(values: Sequence[float]) -> float:
    """The median, infinite where at least half did not recover; NaN of nothing."""
    return float(np.median(values)) if values else math.nan


def _sure_change(pair: Pair, spread: Spread, tested: int) -> Outcome | None:
    """A change that matters, and that none of `tested` figures shows by chance more than once in
    20 comparisons (Bonferroni)."""
    low, high = spread.interval(1 - (1 - CONFIDENCE) / tested)
    if abs(pair.difference) < pair.effect or not is_apart(pair.a, pair.b, tested):
        return None
    if low > 0:
        return "regression"
    return "improvement" if high < 0 else None


def _witnessed(pair: Pair) -> tuple[Outcome, str] | None:
    """What must never happen: one run in which it did is enough, if it never did before."""
    never = pair.figure.never
    if never is None:
        return None
    if max(pair.a) < never <= max(pair.b):
        return "regression", "seen_in_b_alone"
    if pair.figure.kind == "never" and not any((*pair.a, *pair.b)):
        return "no change that matters", "never_seen"
    return None
