"""What the target's own monitoring has seen of a run, as it was read from Prometheus afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from harness.aspects.alerts.found import BlindSpot, BlindSpots, Charted
from harness.record.damage import DAMAGED, understood
from harness.record.folder import RunFolder
from harness.record.run import Array, Record, is_the_targets

FILE = "target/metrics.json"
BIN_S = 10.0
"""Errors of clients and of the monitoring are compared in steps of this."""
ERRORS_MIN = 2.0
"""Fewer are below what a rate resolves: it does not see the first of a new series, and it
extrapolates."""
BASELINE_MIN = 5
"""So many values before the faults make a range."""
LINES_MAX = 12
"""How many lines of a chart are kept."""
NOT_ASKED = (
    "nobody said which errors the monitoring knows; say it in `monitoring.errors` of the target"
)


@dataclass(frozen=True)
class Line:
    """One series of a query: its labels, and values at seconds since run start, rising."""

    labels: Mapping[str, str]
    t_s: Array
    values: Array


@dataclass(frozen=True)
class Monitored:
    """`lines` by the name of a query; `queries` has what was asked, by the same name."""

    step_s: float = 1.0
    queries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lines: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    problems: Sequence[str] = ()

    def of_kind(self, kind: str) -> list[str]:
        """The names of the queries of a kind."""
        return [name for name, query in self.queries.items() if query.get("kind") == kind]

    def problem(self, name: str) -> str:
        """Why a query gave not all that it should, "" if it did."""
        mine = (text for text in self.problems if text.startswith(f"{name}: "))
        return next(mine, "")


def read_monitored(folder: RunFolder | None) -> Monitored:
    """Everything that was read; nothing where it was not. RunFolderError if it is damaged."""
    if folder is None or not folder.has(FILE):
        return Monitored()
    about = folder.read_json(FILE, {"step_s": float, "queries": list})
    with understood(folder.path / FILE, DAMAGED):
        return Monitored(
            step_s=float(about["step_s"]),
            queries={str(one["series"]): one for one in about["queries"]},
            lines=_lines(folder),
            problems=[str(text) for text in about.get("problems") or ()],
        )


def _lines(folder: RunFolder) -> dict[str, list[Line]]:
    """By query; the rows of one line stand together."""
    table = folder.read_metrics()
    t_s, values = table["t_s"].to_numpy(), table["value"].to_numpy()
    keys = list(zip(table["series"].to_pylist(), table["labels"].to_pylist(), strict=True))
    found: dict[str, list[Line]] = {}
    for (name, text), rows in groupby(range(len(keys)), keys.__getitem__):
        at = list(rows)
        found.setdefault(name, []).append(Line(_labels(text), t_s[at], values[at]))
    return found


def seen_s(
    lines: Iterable[Line], labels: Mapping[str, str], baseline_s: tuple[float, float],
    between_s: tuple[float, float],
) -> float | None:  # fmt: skip
    """Since when the value that a rule compares was outside the range of the baseline.

    `between_s`: from the fault's start to when the alert was pending. Of several series that may be
    the instance's, the first to leave it. None if that was not seen.
    """
    found = [
        at_s
        for line in lines
        if all(labels.get(key, value) == value for key, value in line.labels.items())
        if (at_s := _left_s(line, baseline_s, between_s)) is not None
    ]
    return min(found, default=None)


def _left_s(
    line: Line, baseline_s: tuple[float, float], between_s: tuple[float, float]
) -> float | None:
    is_base = (line.t_s >= baseline_s[0]) & (line.t_s < baseline_s[1])
    is_asked = (line.t_s >= between_s[0]) & (line.t_s <= between_s[1])
    base, values, t_s = line.values[is_base], line.values[is_asked], line.t_s[is_asked]
    if len(base) < BASELINE_MIN or not len(values):
        return None
    is_inside = (values >= base.min()) & (values <= base.max())
    if is_inside[-1]:
        return None
    [inside] = np.nonzero(is_inside)
    return float(t_s[inside[-1] + 1] if inside.size else t_s[0])


def blind_spots(record: Record, monitored: Monitored) -> BlindSpots:
    """Where clients saw errors and the monitoring none, or the other way."""
    [name, *_] = monitored.of_kind("errors") or [""]
    if not name:
        return BlindSpots(why=NOT_ASKED if monitored.queries else "Prometheus was not read")
    if why := monitored.problem(name):
        return BlindSpots(why=f"the monitoring's errors could not be read: {why}")
    judged = record.judged[-1]
    edges = np.append(np.arange(judged.start_s, judged.end_s, BIN_S), judged.end_s)
    clients, _ = np.histogram(_failed_s(record), edges)
    known = _monitored_errors(monitored.lines.get(name, ()), edges, monitored.step_s)
    spots = [
        *_spots("monitoring", edges, clients, known),
        *_spots("clients", edges, known, clients),
    ]
    spots.sort(key=lambda spot: spot.start_s)
    by_phase = {
        phase.name: sum(s.start_s < phase.end_s and s.end_s > phase.start_s for s in spots)
        for phase in record.judged
    }
    return BlindSpots(spots=spots, by_phase=by_phase)


def _failed_s(record: Record) -> Array:
    """When requests ended that failed; one that was only too slow is no error to a monitoring."""
    found = [np.empty(0)]
    for samples in (record.main, record.canary):
        if len(samples):
            is_failed = ~samples["ok"].to_numpy() & is_the_targets(samples)
            is_failed &= (samples["error"] != "too_slow").to_numpy()
            found.append(samples["done_s"].to_numpy()[is_failed])
    times: Array = np.concatenate(found)
    return times[np.isfinite(times)]


def _monitored_errors(lines: Iterable[Line], edges: Array, step_s: float) -> Array:
    """About how many errors the monitoring counted between each two edges: rate times time."""
    counted: Array = np.zeros(len(edges) - 1)
    for line in lines:
        counted += np.histogram(line.t_s, edges, weights=line.values * step_s)[0]
    return counted


def _spots(who: str, edges: Array, seen: Array, missed: Array) -> Iterable[BlindSpot]:
    """Steps in a row in which the one saw errors and `who` none, nor in the steps around them."""
    padded = np.concatenate([[0.0], missed, [0.0]])
    around = padded[:-2] + padded[1:-1] + padded[2:]  # a rate shows errors a little later
    is_blind = (seen > 0) & (around < 1)
    for is_spot, steps in groupby(range(len(seen)), is_blind.__getitem__):
        at = list(steps)
        count = float(seen[at].sum())
        if is_spot and count >= ERRORS_MIN:
            yield BlindSpot(
                who=who, start_s=float(edges[at[0]]), end_s=float(edges[at[-1] + 1]), errors=count
            )


def charted(monitored: Monitored) -> dict[str, Charted]:
    """What the report draws: the target's own series, then the errors that the monitoring knew."""
    names = [*monitored.of_kind("chart"), *monitored.of_kind("errors")]
    return {name: _charted(monitored, name) for name in names if monitored.lines.get(name)}


def _charted(monitored: Monitored, name: str) -> Charted:
    """All lines on one grid of times, NaN where one has no value."""
    lines = monitored.lines[name]
    shown = lines[:LINES_MAX]
    grid = np.unique(np.concatenate([line.t_s for line in shown]))
    values = np.full((len(shown), len(grid)), np.nan)
    for row, line in zip(values, shown, strict=True):
        row[np.searchsorted(grid, line.t_s)] = line.values
    return Charted(
        bucket_s=monitored.step_s,
        t_s=grid.tolist(),
        unit=str(monitored.queries[name].get("unit", "")),
        lines={_words(line.labels): row.tolist() for line, row in zip(shown, values, strict=True)},
        left_out=len(lines) - len(shown),
    )


def _words(labels: Mapping[str, str]) -> str:
    """The part alone, else all labels; "" where there are none."""
    if labels.keys() == {"part"}:
        return labels["part"]
    return ", ".join(f"{key} {value}" for key, value in labels.items())


def _labels(text: str) -> dict[str, str]:
    found = json.loads(text)
    return {str(key): str(value) for key, value in found.items()}
