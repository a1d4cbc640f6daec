"""What changed from A to B, by how much, and whether that is more than chance and matters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from harness.analysis.rounding import rounded
from harness.comparison.figures import Figure
from harness.comparison.interval import (
    CONFIDENCE,
    RUNS_MIN,
    Spread,
    SpreadOf,
    is_apart,
    spread_over_runs,
    spread_over_seconds,
)
from harness.comparison.minimum_effect import MinimumEffect
from harness.comparison.sides import Run, Side, differences

SCHEMA_VERSION = 1
Outcome = Literal["regression", "improvement", "no change that matters", "too few runs to tell"]
OUTCOMES: tuple[Outcome, ...] = (
    "regression", "improvement", "too few runs to tell", "no change that matters",
)  # fmt: skip
UNBOUNDED = "unbounded"
"""Stands in JSON for an infinite value: it had not recovered by the end."""

FACTS = (
    "cpu_model", "cpu_count", "memory_gib", "os", "kernel", "engine", "python", "harness_version",
    "git_commit", "git_dirty", "services", "overrides", "seed",
)  # fmt: skip
"""The facts of environment.json that explain a difference."""


@dataclass(frozen=True)
class Pair:
    """One figure on both sides; `spread` is None where there are too few runs for one."""

    figure: Figure
    a: tuple[float, ...]
    b: tuple[float, ...]
    spread: Spread | None

    @property
    def difference(self) -> float:
        """Median of B - median of A; 0 where neither recovered."""
        before, after = _median(self.a), _median(self.b)
        return 0.0 if before == after else after - before


def compare(a: Side, b: Side, minimum: MinimumEffect) -> dict[str, Any]:
    """Every figure of both sides with its difference, interval and outcome, as plain JSON data.

    Reads the samples of the runs only where a side has fewer than RUNS_MIN of them.
    """
    by_runs = min(len(a.runs), len(b.runs)) >= RUNS_MIN
    pairs = _pairs(a, b, spread_over_runs(a, b) if by_runs else spread_over_seconds(a, b))
    tested = sum(pair.spread is not None for pair in pairs)
    rows = [_row(pair, minimum, tested) for pair in pairs]
    counts = {name: sum(row["outcome"] == name for row in rows) for name in OUTCOMES}
    found: dict[str, Any] = rounded({
        "schema_version": SCHEMA_VERSION,
        "a": _side(a),
        "b": _side(b),
        "experiment_differences": differences(a.experiment, b.experiment),
        "resampled": "runs" if by_runs else "seconds",
        "confidence": CONFIDENCE,
        "tested": tested,
        "minimum_effect": asdict(minimum),
        "is_regression": counts["regression"] > 0,
        "counts": counts,
        "figures": rows,
        "environment": _environment(a, b),
        "on_both_sides": sorted(_ids(a) & _ids(b)),
    })  # fmt: skip
    return found


def _pairs(a: Side, b: Side, spread_of: SpreadOf) -> list[Pair]:
    figures = dict.fromkeys(figure for run in (*a.runs, *b.runs) for figure in run.figures)
    return [
        Pair(
            figure,
            tuple(measured.value for measured in a.measured(figure)),
            tuple(measured.value for measured in b.measured(figure)),
            spread_of(figure),
        )
        for figure in sorted(figures, key=lambda figure: figure.phase == "run")
    ]


def _row(pair: Pair, minimum: MinimumEffect, tested: int) -> dict[str, Any]:
    figure = pair.figure
    effect = minimum.of(figure.kind, _median(pair.a))
    outcome, reason = _outcome(pair, effect, tested)
    is_known = bool(pair.a and pair.b)
    interval = pair.spread.interval(CONFIDENCE) if pair.spread else None
    return {
        "id": figure.id,
        "phase": figure.phase,
        "subject": figure.subject,
        "metric": figure.metric,
        "kind": figure.kind,
        "unit": figure.unit,
        "a": _values(pair.a),
        "b": _values(pair.b),
        "difference": _plain(pair.difference) if is_known else None,
        "relative": _relative(pair) if is_known else None,
        "interval": [_plain(end) for end in interval] if interval else None,
        "minimum_effect": effect,
        "outcome": outcome,
        "reason": reason,
    }


def _outcome(pair: Pair, effect: float, tested: int) -> tuple[Outcome, str]:
    """The outcome, and the reason where it is not plain from the interval."""
    if not pair.a or not pair.b:
        return "too few runs to tell", "not_measured"
    if pair.figure.kind in ("never", "duration") and (seen := _witnessed(pair)):
        return seen
    if pair.spread is None:
        return "too few runs to tell", "one_value_per_run"
    if (change := _sure_change(pair, pair.spread, effect, tested)) is not None:
        return change, ""
    low, high = pair.spread.interval(CONFIDENCE)
    if -effect <= low and high <= effect:
        return "no change that matters", ""
    is_beyond = low >= effect or high <= -effect
    return "too few runs to tell", "may_be_chance" if is_beyond else "interval_too_wide"


def _sure_change(pair: Pair, spread: Spread, effect: float, tested: int) -> Outcome | None:
    """A change that all `tested` figures together show by chance once in 20 times at most."""
    low, high = spread.interval(1 - (1 - CONFIDENCE) / tested)
    if not is_apart(pair.a, pair.b):
        return None
    if low >= effect and low > 0:
        return "regression"
    return "improvement" if high <= -effect and high < 0 else None


def _witnessed(pair: Pair) -> tuple[Outcome, str] | None:
    """What must never happen: one run in which it did is enough, if it never did before."""
    worst = math.inf if pair.figure.kind == "duration" else 1.0
    if max(pair.a) < worst <= max(pair.b):
        return "regression", "seen_in_b_alone"
    if pair.figure.kind == "never" and max(*pair.a, *pair.b) < worst:
        return "no change that matters", "never_seen"
    return None


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan


def _relative(pair: Pair) -> float | None:
    before = _median(pair.a)
    return pair.difference / before if before and math.isfinite(pair.difference) else None


def _values(values: Sequence[float]) -> dict[str, Any]:
    return {"values": [_plain(value) for value in values], "median": _plain(_median(values))}


def _plain(value: float) -> float | str | None:
    """`value` as JSON can hold it; None for what is not there."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("" if value > 0 else "-") + UNBOUNDED


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "experiment": side.experiment.name,
        "title": side.experiment.title,
        "runs": [{"run_id": run.folder.run_id, "verdict": _verdict(run)} for run in side.runs],
        "left_out": [
            {"run_id": run.folder.run_id, "why": run.why_no_evidence} for run in side.left_out
        ],
    }


def _ids(side: Side) -> set[str]:
    return {run.folder.run_id for run in side.runs}


def _verdict(run: Run) -> str:
    if not run.folder.has("result.json"):
        return ""
    return str(run.folder.read_json("result.json").get("verdict", ""))


def _environment(a: Side, b: Side) -> list[dict[str, Any]]:
    """The facts in which the sides differ, with each value that a side has."""
    before, after = _facts(a), _facts(b)
    return [
        {"fact": name, "a": before[name], "b": after[name]}
        for name in FACTS
        if before[name] != after[name]
    ]


def _facts(side: Side) -> Mapping[str, list[Any]]:
    known = [
        run.folder.read_json("environment.json")
        for run in side.runs
        if run.folder.has("environment.json")
    ]
    found: dict[str, list[Any]] = {name: [] for name in FACTS}
    for facts in known:
        for name in FACTS:
            if facts.get(name) not in (None, *found[name]):
                found[name].append(facts[name])
    return found
