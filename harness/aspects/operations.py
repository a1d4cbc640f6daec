"""Requests, errors and times of each operation in each phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from harness.aspects import recovery
from harness.aspects.base import Aspect, Comparison, Findings
from harness.model.compared import Compared, Measured
from harness.model.example import Example
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Basis, Figure, no_figure, shown
from harness.model.metric import OPERATION, Metric
from harness.model.page import Column, Group, Table, Tile
from harness.model.planned import Need, phase_of, requests_due
from harness.model.samples import (
    P50_SAMPLES_MIN,
    P90_SAMPLES_MIN,
    P95_SAMPLES_MIN,
    P99_SAMPLES_MIN,
)
from harness.record.run import Array, Record, bounds, is_the_targets

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Percentile:
    """Its rank, and how many requests it takes to know it."""

    rank: float
    samples_min: int


PERCENTILES: Mapping[str, Percentile] = {
    "p50": Percentile(50, P50_SAMPLES_MIN),
    "p90": Percentile(90, P90_SAMPLES_MIN),
    "p95": Percentile(95, P95_SAMPLES_MIN),
    "p99": Percentile(99, P99_SAMPLES_MIN),
    "p999": Percentile(99.9, 10_000),
}
WRONG = "wrong_status"
STATUSES_MAX, STATUSES_SHOWN = 20, 4
EXAMPLES_MAX = 3
"""How many wrong answers of each class the findings have of an operation in a phase."""
RANKS = {**{name: one.rank for name, one in PERCENTILES.items()}, "max": 100.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """One operation in one phase. Times by percentile, and `max`; None where there is nothing.

    `statuses`: those of the answers counted as `wrong_status` in `errors`, the most frequent
    STATUSES_MAX of them. `examples`: a few wrong answers, none in `run`.
    """

    requests: int = 0
    failed: int = 0
    error_rate: float | None = None
    success_rate: float | None = None
    errors: Mapping[str, int] = field(default_factory=dict)
    response_time_s: Mapping[str, float | None] = field(default_factory=dict)
    service_time_s: Mapping[str, float | None] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    examples: Sequence[Example] = ()


Operations = Mapping[str, Mapping[str, Requests]]
"""By operation and phase."""


def figures(record: Record, examples: Sequence[Example] = ()) -> Operations:
    """By operation and phase, over main load and canary together.

    What the generator could not send is not in here (see load_health). Times of failures count
    too: a user waited for them. Percentiles are those of numpy (linear interpolation).
    """
    streams = [(samples, is_the_targets(samples)) for samples in (record.main, record.canary)]
    return {
        name: {
            phase.name: _of(
                [_requests(*stream, name, phase) for stream in streams],
                _examples_in(phase, [each for each in examples if each.operation == name]),
            )
            for phase in record.judged
        }
        for name in record.experiment.load.shares
    }


def _requests(
    samples: pd.DataFrame, is_wanted: Array, name: str, phase: Phase
) -> tuple[pd.DataFrame, Array]:
    """The window of a phase, and which of its rows are of the operation."""
    rows = bounds(samples, phase)
    window = samples.iloc[rows]
    return window, is_wanted[rows] & (window["op"] == name).to_numpy()


def _examples_in(phase: Phase, examples: Sequence[Example]) -> tuple[Example, ...]:
    """At most EXAMPLES_MAX of each class; the run as a whole would only repeat its phases'."""
    if phase.name == "run":
        return ()
    by_class: dict[str, list[Example]] = {}
    for example in examples:
        if phase.start_s <= example.at_s < phase.end_s:
            by_class.setdefault(example.error, []).append(example)
    kept = (by_class[error][:EXAMPLES_MAX] for error in sorted(by_class))
    return tuple(example for each in kept for example in each)


def _of(parts: list[tuple[pd.DataFrame, Array]], examples: Sequence[Example]) -> Requests:
    requests = sum(int(is_wanted.sum()) for _, is_wanted in parts)
    failures = [window["error"][is_wanted & ~window["ok"]] for window, is_wanted in parts]
    errors = Counter(str(error) for failed in failures for error in failed)
    failed = errors.total()
    return Requests(
        requests=requests,
        failed=failed,
        error_rate=failed / requests if requests else None,
        success_rate=1 - failed / requests if requests else None,
        errors=dict(sorted(errors.items())),
        response_time_s=_times(parts, "intended_s"),
        service_time_s=_times(parts, "sent_s"),
        statuses=_statuses(parts) if WRONG in errors else {},
        examples=examples,
    )


def _statuses(parts: list[tuple[pd.DataFrame, Array]]) -> dict[str, int]:
    """How many of the answers with a wrong status had which, the most frequent first."""
    found = Counter[int]()
    for window, is_wanted in parts:
        is_wrong = is_wanted & (window["error"] == WRONG).to_numpy()
        found.update(window["status"].to_numpy()[is_wrong].tolist())
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {str(status): count for status, count in ranked[:STATUSES_MAX]}


def _times(parts: list[tuple[pd.DataFrame, Array]], since: str) -> dict[str, float | None]:
    """Each percentile of the times to the end, and the largest; None where there is nothing."""
    times = [(window["done_s"] - window[since]).to_numpy()[wanted] for window, wanted in parts]
    return percentiles(np.concatenate(times))


def percentiles(times_s: Array) -> dict[str, float | None]:
    """By name, of the times that are known; None where there is none."""
    values = times_s[~np.isnan(times_s)]
    if not values.size:
        return dict.fromkeys(RANKS)
    found = np.percentile(values, list(RANKS.values()), overwrite_input=True)
    return dict(zip(RANKS, (float(value) for value in found), strict=True))


FAILURES = ("error_rate", "success_rate", "failed_requests")


def _figure(item: Expectation, findings: Findings) -> Figure:
    """The figure with what it rests on, and whether caches can hide a fault from it."""
    found = figure_of(item, findings.of(ASPECT).get(item.subject, {}).get(item.phase))
    window = findings.run.window(item.phase)
    basis = Basis(("main", "canary"), *window, item.subject)
    weakness = None
    if item.metric in FAILURES:
        weakness = recovery.hidden_by_caches(item, findings, window[1], found.evidence)
    return replace(found, basis=basis, weakness=weakness)


def figure_of(item: Expectation, found: Requests | None) -> Figure:
    """The figure that is expected, out of the requests that it is about."""
    if found is None or not found.requests:
        return no_figure(f"no {item.subject} request was sent in {item.phase}")
    value, needed = _value(item, found)
    seen = f"{shown(value, item.unit)} over {found.requests:,} requests"
    if found.failed:
        seen += f" ({_error_words(found)})"
    if found.requests < needed:
        text = f"not enough samples: {found.requests:,} requests, {needed:,.0f} needed"
        return Figure(value, seen, gap=text, gap_code="too_few_samples")
    return Figure(value, seen, is_invariant=_is_wrong(item, found))


def _error_words(found: Requests) -> str:
    """How many of each class, and which statuses were wrong."""
    words = {name: f"{count} {name}" for name, count in found.errors.items()}
    if WRONG in words and found.statuses:
        words[WRONG] += f": {_status_words(found)}"
    return ", ".join(words.values())


def _status_words(found: Requests) -> str:
    """`390 with 500, 7 with 502`; the file has them in order of their names."""
    total = found.errors[WRONG]
    ranked = sorted(found.statuses.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{count} with {status}" for status, count in ranked[:STATUSES_SHOWN]]
    rest = total - sum(count for _, count in ranked[:STATUSES_SHOWN])
    if len(ranked) == 1 and not rest:
        return f"{'all ' if total > 1 else ''}with {ranked[0][0]}"
    return ", ".join([*words, *([f"{rest} with others"] if rest > 0 else [])])


def _value(item: Expectation, found: Requests) -> tuple[float | None, float]:
    """The figure, and how many requests it takes to judge it."""
    needed = _samples_needed(item) or 1
    if item.metric in RANKS:
        return found.response_time_s.get(item.metric), needed
    if item.metric == "error_rate":
        return found.error_rate, needed
    if item.metric == "success_rate":
        return found.success_rate, needed
    return found.failed if item.metric == "failed_requests" else found.requests, needed


def _samples_needed(item: Expectation) -> float:
    """How many requests it takes to know the figure; 0: however few there are, they say it.

    A share that may fail of x needs 3/x (the rule of three).
    """
    if item.metric in PERCENTILES:
        return PERCENTILES[item.metric].samples_min
    may_fail = {"error_rate": item.limit, "success_rate": 1 - item.limit}.get(item.metric, 0.0)
    may_fail = round(may_fail, 12)  # 1 - 0.999 is a little less than 0.001
    return 3 / may_fail if may_fail > 0 else 0


def _needs(item: Expectation, experiment: Experiment) -> Need | None:
    needed = _samples_needed(item)
    if item.metric == "requests" and item.comparison in (">=", ">"):
        needed = item.limit
    sent = requests_due(experiment.load, item.subject, phase_of(item.phase, experiment))
    return Need(needed, sent, f"requests in {item.phase}") if needed else None


def _is_wrong(item: Expectation, found: Requests) -> bool:
    """Whether there are more wrong answers than the limit lets fail: these no load excuses.

    A lower bound that is missed was not missed on their account.
    """
    wrong: float = found.errors.get("wrong_content", 0)
    if not wrong or item.metric not in FAILURES:
        return False
    if item.metric == "success_rate":
        right, is_lower = 1 - wrong / found.requests, item.comparison in (">", ">=", "==")
        return is_lower and (right < item.limit or (item.comparison == ">" and right == item.limit))
    if item.metric == "error_rate":
        wrong /= found.requests
    return wrong > item.limit or (item.comparison == "<" and wrong == item.limit)


def _compare(findings: Findings, _: object) -> Comparison:
    for phase in findings.run.phase_names:
        for name, by_phase in findings.of(ASPECT).items():
            yield from _compared(phase, name, by_phase.get(phase, Requests()))


def _compared(phase: str, name: str, found: Requests) -> Comparison:
    if found.error_rate is not None:
        rate = Measured(found.error_rate, found.requests)
        yield Compared(phase, name, "error_rate", "error_rate", "share"), rate
    for metric, percentile in PERCENTILES.items():
        time_s = found.response_time_s.get(metric)
        if time_s is not None and found.requests >= percentile.samples_min:
            figure = Compared(phase, name, metric, "response_time", "s")
            yield figure, Measured(time_s, found.requests)


def shown_phases(findings: Findings) -> list[str]:
    """The phases that tables have columns or rows for, the run as a whole at the end."""
    known = {name for by_phase in findings.of(ASPECT).values() for name in by_phase}
    return [name for name in (*findings.run.phase_names, "run") if name in known]


def phase_title(phase: str) -> str:
    """What tables call a phase, or the run as a whole."""
    return "whole run" if phase == "run" else phase


def _tiles(findings: Findings) -> Iterator[Tile]:
    for name, by_phase in findings.of(ASPECT).items():
        if found := by_phase.get("run"):
            note = f"of {found.requests:,} requests"
            yield Tile(f"{name} failed", found.failed, note, "" if found.failed else "good")


def _tables(findings: Findings) -> Iterator[Table]:
    known = _known_percentiles(findings)
    columns = (
        *(Column("Phase"), Column("Requests", "count"), Column("Failed", "count")),
        Column("Error rate", "share"),
        *(Column(name, "seconds") for name in known),
        Column("Errors", "text"),
    )
    groups = [
        Group(
            name,
            [
                _row(phase, by_phase[phase], known)
                for phase in shown_phases(findings)
                if phase in by_phase
            ],
        )
        for name, by_phase in findings.of(ASPECT).items()
    ]
    yield Table("Requests by phase", columns, groups, id="operations")
    examples = _examples(findings)
    if not examples.is_empty:
        yield examples


def _examples(findings: Findings) -> Table:
    """What was expected and what came, of the wrong answers that were kept."""
    columns = (
        *(Column("Phase"), Column("Error"), Column("Due at", "clock"), Column("Stream")),
        *(Column("Expected", "text"), Column("Came", "text")),
    )
    groups = [
        Group(
            name,
            [
                (phase, one.error, one.at_s, one.stream, one.expected, one.came)
                for phase in shown_phases(findings)
                for one in by_phase.get(phase, Requests()).examples
            ],
        )
        for name, by_phase in findings.of(ASPECT).items()
    ]
    text = "A few of each kind, without what could be secret."
    return Table("Examples of wrong answers", columns, groups, text=text)


def _known_percentiles(findings: Findings) -> list[str]:
    """Those that were measured: runs of earlier versions have fewer."""
    rows = [row for by_phase in findings.of(ASPECT).values() for row in by_phase.values()]
    return [name for name in PERCENTILES if any(name in row.response_time_s for row in rows)]


def _row(phase: str, found: Requests, percentiles: Sequence[str]) -> tuple[object, ...]:
    times = (found.response_time_s.get(name) for name in percentiles)
    name = phase_title(phase)
    errors = _error_words(found) or None
    return name, found.requests, found.failed, found.error_rate, *times, errors


_metric = partial(Metric, scope="phase", needs_load=True)

ASPECT = Aspect[Operations](
    section="operations",
    found=Operations,
    measure=lambda record, folder: figures(record, folder.read_examples()),
    metrics={
        OPERATION: {  # percentiles include the response times of failures
            **{name: _metric("s", "response_time_exceeded") for name in RANKS},
            "error_rate": _metric("share", "error_rate_exceeded"),
            "success_rate": _metric("share", "success_rate_missed"),
            "failed_requests": _metric("count", "requests_failed"),
            "requests": _metric("count", "too_few_requests"),
        }
    },
    figure=_figure,
    needs=_needs,
    compare=_compare,
    tiles=_tiles,
    tables=_tables,
)
