"""What changed from A to B, by how much, and whether that is more than chance and matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

from harness.analysis.rounding import rounded
from harness.comparison.interval import CONFIDENCE, RUNS_MIN, spread_of
from harness.comparison.minimum_effect import MinimumEffect
from harness.comparison.outcome import Outcome, Pair, median, outcome_of
from harness.comparison.sides import Side, differences

SCHEMA_VERSION = 1
UNBOUNDED = "unbounded"
"""Stands in JSON for an infinite value: it had not recovered by the end."""

FACTS = (
    "cpu_model", "cpu_count", "memory_gib", "os", "kernel", "engine", "python", "harness_version",
    "git_commit", "git_dirty", "services", "overrides", "seed",
)  # fmt: skip
"""The facts of environment.json that explain a difference."""


def compare(a: Side, b: Side, minimum: MinimumEffect) -> dict[str, Any]:
    """Every figure of both sides with its difference, interval and outcome, as plain JSON data."""
    pairs = _pairs(a, b, minimum)
    tested = sum(pair.spread is not None for pair in pairs)
    rows = [_row(pair, tested) for pair in pairs]
    counts = {name: sum(row["outcome"] == name for row in rows) for name in get_args(Outcome)}
    found: dict[str, Any] = rounded({
        "schema_version": SCHEMA_VERSION,
        "a": _side(a),
        "b": _side(b),
        "experiment_differences": differences(a.experiment, b.experiment),
        "confidence": CONFIDENCE,
        "runs_min": RUNS_MIN,
        "tested": tested,
        "minimum_effect": asdict(minimum),
        "is_regression": counts["regression"] > 0,
        "counts": counts,
        "figures": rows,
        "environment": _environment(a, b),
        "on_both_sides": sorted(_ids(a) & _ids(b)),
    })  # fmt: skip
    return found


def _pairs(a: Side, b: Side, minimum: MinimumEffect) -> list[Pair]:
    pairs = []
    figures = dict.fromkeys(figure for run in (*a.runs, *b.runs) for figure in run.figures)
    for figure in sorted(figures, key=lambda figure: figure.phase == "run"):
        sides = a.measured(figure), b.measured(figure)
        before, after = (tuple(measured.value for measured in side) for side in sides)
        effect = minimum.of(figure.kind, median(before))
        pairs.append(Pair(figure, before, after, spread_of(figure, *sides), effect))
    return pairs


def _row(pair: Pair, tested: int) -> dict[str, Any]:
    figure = pair.figure
    outcome, reason = outcome_of(pair, tested)
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
        "difference": _plain(pair.difference),
        "relative": _relative(pair),
        "interval": [_plain(end) for end in interval] if interval else None,
        "minimum_effect": pair.effect,
        "outcome": outcome,
        "reason": reason,
    }


def _relative(pair: Pair) -> float | None:
    before = median(pair.a)
    return pair.difference / before if before and math.isfinite(pair.difference) else None


def _values(values: Sequence[float]) -> dict[str, Any]:
    return {"values": [_plain(value) for value in values], "median": _plain(median(values))}


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
        "runs": [{"run_id": run.run_id, "verdict": run.verdict} for run in side.runs],
        "left_out": [{"run_id": run.run_id, "why": run.why_no_evidence} for run in side.left_out],
    }


def _ids(side: Side) -> set[str]:
    return {run.run_id for run in side.runs}


def _environment(a: Side, b: Side) -> list[dict[str, Any]]:
    """The facts in which the sides differ, with each value that a side has."""
    rows = [{"fact": name, "a": _facts(a, name), "b": _facts(b, name)} for name in FACTS]
    return [row for row in rows if row["a"] != row["b"]]


def _facts(side: Side, name: str) -> list[Any]:
    found: list[Any] = []
    for run in side.runs:
        if run.facts.get(name) not in (None, *found):
            found.append(run.facts[name])
    return found
