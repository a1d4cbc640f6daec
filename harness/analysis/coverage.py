"""Requests counted against the plan: evidence that stops early must not look like a calm.

    planned   |||||||||||||||||||||||||||||||||||||||
    recorded  ||||||||||||||||||                |||||     every request due is a row, sent or not
                                |--- a gap ----|

Second by second, or in longer steps where few are planned. A constant rate, its stages and a replay
are exact. Poisson arrivals, and operations drawn by weight, are held against Chernoff's bound: in a
run in which nothing is missing the chance of any gap is below one in a million.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby, pairwise
from math import ceil, floor, inf, log

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.model.coverage import Gap
from harness.model.findings import Coverage
from harness.model.load import Load
from harness.record.folder import RunFolder
from harness.record.run import Array, Record
from harness.record.tables import part_name

NEEDED_EXACT, NEEDED_RANDOM = 20, 50
"""A step lasts 1 s, or as long as it takes to plan so many requests."""
SLACK = 0.02
FALSE_GAPS_MAX = 1e-6
SILENCE_S, SILENCE_REQUESTS = 2.0, 20
Planned = Callable[[Array], Array]
"""How many requests are planned by each of some times."""


@dataclass(frozen=True)
class Line:
    """What is counted together: one operation of one stream, or ("") all of a stream.

    `times_s` is when the requests recorded were due, rising; nothing is planned before `since_s`.
    """

    stream: str
    operation: str
    planned: Planned
    is_exact: bool
    times_s: Array
    since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of a line: what was planned and what was seen in it."""

    start_s: float
    end_s: float
    expected: float
    seen: int


def figures(record: Record, folder: RunFolder) -> Coverage:
    """`gaps`: see Gap; `planned`: by stream, whether there was a plan to hold it against.

    Without a plan (a user's own Locust class; a replay whose record is gone) a gap is a silence
    that the stream's own usual rate and the time-out of a request do not explain.
    """
    end_s, load = _end_s(record), record.experiment.load
    recorded = folder.read_replay() if load.replay else None
    is_planned = not load.locustfile and (not load.replay or recorded is not None)
    main: Iterable[Line] = ()
    if is_planned:
        since_s = _since_s(record, "main", _operations(load), folder)
        main = (
            _main_lines(record, since_s)
            if recorded is None
            else _replay_lines(record, since_s, recorded)
        )
    gaps = list(_gaps(chain(_canary_lines(record, folder), main), end_s))
    if not is_planned:
        gaps += _silences(record.main["intended_s"].to_numpy(), end_s, load.timeout_s)
    return Coverage(planned={"main": is_planned, "canary": True}, gaps=gaps)


def _end_s(record: Record) -> float:
    """When the load was to end: at the run's end, or where it was cut off before."""
    end_s = record.experiment.end_s
    if record.status == "completed":
        return end_s
    told = [float(event["duration_s"]) for event in record.events_of("load.summary")]
    last_s = [float(s["intended_s"].max()) for s in (record.main, record.canary) if len(s)]
    return min([end_s, *(told or [max(last_s, default=0.0)])])


def _canary_lines(record: Record, folder: RunFolder) -> Iterator[Line]:
    """A canary asks for each of its operations in turn, each at the full rate."""
    load = record.experiment.load
    rate_per_s, is_exact = load.canary_rate_per_s, load.arrivals == "constant"
    for name, since_s in _since_s(record, "canary", load.canaries, folder).items():
        times_s = _due_s(record.canary, name)
        yield Line("canary", name, lambda at_s: rate_per_s * at_s, is_exact, times_s, since_s)


def _main_lines(record: Record, since_s: Mapping[str, float]) -> Iterator[Line]:
    """All of the main load, and each operation that arrivals begin with.

    When a later step of a chain is due, the answer before it decides: none is planned.
    """
    load, main = record.experiment.load, record.main
    whole, shares = arrivals(load), load.first_shares
    times_s = main["intended_s"].to_numpy()[main["op"].isin(list(since_s)).to_numpy()]
    is_exact = load.arrivals == "constant"
    yield Line("main", "", whole, is_exact, times_s, max(since_s.values()))
    for name, from_s in since_s.items():
        mine, times_s = _share(whole, shares[name]), _due_s(main, name)
        yield Line("main", name, mine, is_exact=False, times_s=times_s, since_s=from_s)


def _replay_lines(
    record: Record, since_s: Mapping[str, float], recorded: pa.Table
) -> Iterator[Line]:
    due_s, op = recorded["intended_s"].to_numpy(), recorded["op"].to_numpy()
    for index, (name, from_s) in enumerate(since_s.items()):
        planned, times_s = _counted(due_s[op == index]), _due_s(record.main, name)
        yield Line("main", name, planned, is_exact=True, times_s=times_s, since_s=from_s)


def _operations(load: Load) -> list[str]:
    return [name for name, share in load.first_shares.items() if share > 0]


def _due_s(samples: pd.DataFrame, name: str) -> Array:
    """When the requests of one operation that were recorded had been due."""
    times_s: Array = samples["intended_s"].to_numpy()[(samples["op"] == name).to_numpy()]
    return times_s


def _since_s(
    record: Record, stream: str, names: Iterable[str], folder: RunFolder
) -> dict[str, float]:
    """When each operation had something to read from each engine of the stream; 0 if it reads none.

    Each engine reads what it wrote itself.
    """
    found = dict[str, float]()
    for name in names:
        operation, found[name] = record.experiment.operations[name], 0.0
        if operation.reads:
            written = (_written_s(s, operation.reads) for s in _engines(record, stream, folder))
            found[name] = max(written) + operation.read_after_s
    return found


def _engines(record: Record, stream: str, folder: RunFolder) -> Iterator[pd.DataFrame]:
    """What each engine of a stream recorded; workers of the main load have parts of their own."""
    workers = record.experiment.load.workers
    if stream == "canary" or workers == 1:
        yield record.canary if stream == "canary" else record.main
        return
    for worker in range(workers):
        name = part_name(stream, worker, workers)
        yield folder.read_samples(name, ["op", "done_s", "error"]).to_pandas()


def _written_s(samples: pd.DataFrame, name: str) -> float:
    """When the first of these writes was acknowledged; without end if none was."""
    is_written = (samples["op"] == name) & samples["error"].isin(["", "too_slow"])
    return float(samples["done_s"].to_numpy()[is_written.to_numpy()].min(initial=inf))


def arrivals(load: Load) -> Planned:
    """The integral of the main load's rate, which is linear between its corners."""
    corners = [(0.0, load.rate_per_s)]
    for stage in load.stages:
        reached_s = corners[-1][0] + stage.ramp_s
        corners += [(reached_s, stage.rate_per_s), (reached_s + stage.hold_s, stage.rate_per_s)]
    times_s, rates = np.array([*corners, (inf, corners[-1][1])]).T
    lasts_s, rises = np.diff(times_s), np.diff(rates)
    slopes = np.divide(rises, lasts_s, out=np.zeros_like(rises), where=lasts_s > 0)
    before = np.cumsum([0.0, *(rates[:-2] + rates[1:-1]) / 2 * lasts_s[:-1]])

    def by(at_s: Array) -> Array:
        corner = np.searchsorted(times_s, at_s, side="right") - 1
        since_s = at_s - times_s[corner]
        found: Array = before[corner] + since_s * (rates[corner] + slopes[corner] * since_s / 2)
        return found

    return by


def _share(whole: Planned, share: float) -> Planned:
    return lambda at_s: whole(at_s) * share


def _counted(due_s: Array) -> Planned:
    return lambda at_s: np.searchsorted(due_s, at_s).astype(float)


def _gaps(lines: Iterable[Line], end_s: float) -> Iterator[Gap]:
    found = [  # line by line, so that the times of one only are in memory
        (replace(line, times_s=line.times_s[:0]), list(_steps(line, end_s))) for line in lines
    ]
    evidence = log(max(1, sum(len(steps) for _, steps in found)) / FALSE_GAPS_MAX)
    for line, steps in found:
        is_short = partial(_is_short, is_exact=line.is_exact, evidence=evidence)
        for is_gap, run in groupby(steps, is_short):
            if is_gap:
                yield _gap(line, list(run))


def _gap(line: Line, steps: list[Step]) -> Gap:
    expected, seen = sum(step.expected for step in steps), sum(step.seen for step in steps)
    return Gap(line.stream, line.operation, steps[0].start_s, steps[-1].end_s, expected, seen)


def _steps(line: Line, end_s: float) -> Iterator[Step]:
    """From when something is planned to the end; what is left over joins the last step."""
    if line.since_s >= end_s:
        return
    seconds = np.arange(floor(line.since_s) + 1, ceil(end_s))
    edges = np.array([line.since_s, *seconds, end_s])
    planned, seen = line.planned(edges), np.searchsorted(line.times_s, edges)
    cuts, needed = [0], NEEDED_EXACT if line.is_exact else NEEDED_RANDOM
    for at in range(1, len(edges)):
        if planned[at] - planned[cuts[-1]] >= needed:
            cuts.append(at)
    cuts = [*cuts[: max(1, len(cuts) - 1)], len(edges) - 1]
    for first, last in pairwise(cuts):
        expected = float(planned[last] - planned[first])
        yield Step(float(edges[first]), float(edges[last]), expected, int(seen[last] - seen[first]))


def _is_short(step: Step, *, is_exact: bool, evidence: float) -> bool:
    """Whether fewer were seen than any run of the plan has.

    P(X <= k) <= exp(-(m - k + k ln(k/m))) for a sum X of independent events with mean m >= k.
    """
    expected, seen = step.expected, step.seen
    if is_exact:  # one may fall on either side of the step's edge
        return seen < expected * (1 - SLACK) - 1
    if seen >= expected:
        return False
    return expected - seen + (seen * log(seen / expected) if seen else 0.0) > evidence


def _silences(times_s: Array, end_s: float, timeout_s: float) -> Iterator[Gap]:
    """Where nothing was sent for longer than all requests in flight can have waited."""
    due_s = times_s[(times_s >= 0) & (times_s < end_s)]
    each_second = np.bincount(due_s.astype(int))
    rate_per_s = float(np.median(each_second[each_second > 0])) if due_s.size else 0.0
    wait_s = SILENCE_REQUESTS / rate_per_s if due_s.size else 0.0
    edges = np.array([0.0, *due_s, end_s])
    for at in np.flatnonzero(np.diff(edges) > timeout_s + max(SILENCE_S, wait_s)):
        start_s, stop_s = float(edges[at]), float(edges[at + 1])
        yield Gap("main", "", start_s, stop_s, rate_per_s * (stop_s - start_s), 0)
