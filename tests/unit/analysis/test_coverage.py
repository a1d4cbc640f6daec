"""Gaps in the evidence, against streams that the engine's own schedule makes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.analysis.coverage import (
    Line,
    Step,
    _gaps,
    _is_short,
    _silences,
    _steps,
    arrivals,
    figures,
)
from harness.aspects import recovery
from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.load.engine.schedule import (
    RateProfile,
    Schedule,
    by_weight,
    drawn,
    in_turn,
    sequential_keys,
    unit_gaps,
)
from harness.model.coverage import Gap
from harness.model.experiment import Experiment
from harness.model.figure import Basis
from harness.model.findings import Coverage
from harness.model.load import Load, Stage
from harness.record.folder import RunFolder
from harness.record.run import Record
from harness.record.tables import write_samples

Array = np.ndarray[Any, Any]
END_S, KILL_S = 60.0, 25.0
PUT, GET = "put: {method: POST, path: /x, is_write: true}", 'get: {path: "/{written}", reads: put}'
READS = f", operations: {{{PUT}, {GET}}}"


def experiment(load: str = "") -> Experiment:
    text = load or "rate: 400/s, mix: {redirect: 0.96, create: 0.04}"
    document = f"title: A claim\nload: {{{text}}}\nphases: {{warmup: 10s, fault: 50s}}\n"
    document += "expect: {run: {target: [healthy]}}\n"
    return parse_experiment(document.encode(), Path("x.yaml"), KINDS, None, shortener_traffic)


@cache
def as_planned(load: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All that the engine sends of main load and canary; who changes it changes a copy."""
    plan = experiment(load).load
    names, gaps = list(plan.mix), unit_gaps(plan.arrivals, seed)
    stages = [(stage.rate_per_s, stage.ramp_s, stage.hold_s) for stage in plan.stages]
    profile = RateProfile.of_stages(0.0, plan.rate_per_s, stages)
    main = sent(schedule(gaps, by_weight(list(plan.mix.values()), seed), names), profile, names)
    turns, gaps = in_turn(len(names)), unit_gaps(plan.arrivals, seed + 1)
    profile = RateProfile(0.0, plan.canary_rate_per_s * len(names))
    return main, sent(schedule(gaps, turns, names), profile, names)


def schedule(gaps: Any, chosen: Any, names: list[str]) -> Schedule:
    return Schedule(drawn(gaps, chosen, sequential_keys(9, 0), [False] * len(names)))


def sent(schedule: Schedule, profile: RateProfile, names: list[str]) -> pd.DataFrame:
    """What the engine records of this schedule."""
    schedule.follow(profile)
    rows = []
    while schedule.due_s < END_S:
        rows.append((names[schedule.op], schedule.due_s, schedule.key))
        schedule.advance()
    samples = pd.DataFrame(rows, columns=["op", "intended_s", "key"])
    return samples.assign(error="", done_s=samples["intended_s"])


class Run:
    """A run in which nothing is missing, until something is taken out."""

    def __init__(self, tmp_path: Path, load: str = "", seed: int = 7, status: str = "completed"):
        self.experiment = experiment(load)
        self.folder = RunFolder(tmp_path / "run")
        self.events: list[dict[str, Any]] = [{"event": "run.finished", "t_s": 61, "status": status}]
        self.main, self.canary = (samples.copy() for samples in as_planned(load, seed))

    def figures(self) -> Coverage:
        return figures(Record(self.experiment, self.events, self.main, self.canary), self.folder)

    def gaps(self) -> list[Gap]:
        return list(self.figures().gaps)


def without(samples: pd.DataFrame, start_s: float, end_s: float, op: str = "") -> pd.DataFrame:
    """The samples without those that were due in that time."""
    is_gone = samples["intended_s"].between(start_s, end_s, inclusive="left")
    return samples[~(is_gone & ((samples["op"] == op) if op else True))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "load",
    [
        "",
        "rate: 400/s, mix: {redirect: 0.96, create: 0.04}, arrivals: poisson",
        "rate: 7/s, mix: {redirect: 1}, canary_rate: 1/s",
        "rate: 7/s, mix: {redirect: 1}, canary_rate: 3/s, arrivals: poisson",
        "rate: 33.3/s, mix: {redirect: 0.5, create: 0.5}, "
        "stages: [{rate: 300/s, ramp: 7s, hold: 9s}, {rate: 2/s, hold: 9s}, {rate: 9/s, ramp: 3s}]",
        "rate: 50/s, mix: {redirect: 1}, canary_rate: 0/s",
        "rate: 50/s, mix: {put: 0.5, get: 0.5}" + READS,
        "rate: 50/s, mix: {put: 0.5, get: 0.5}" + READS.replace(", is_write: true", ""),
    ],
)
def test_a_run_as_planned_has_no_gap(tmp_path: Path, load: str, seed: int) -> None:
    run = Run(tmp_path, load, seed)
    assert run.gaps() == []
    assert run.figures().planned == {"main": True, "canary": True}


def test_a_canary_that_stops_just_before_the_kill(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.canary = without(run.canary, KILL_S - 0.02, END_S)
    found = {gap.operation: gap for gap in run.gaps()}
    assert found.keys() == {"redirect", "create"}
    gap = found["create"]
    assert (gap.stream, gap.start_s, gap.end_s, gap.seen) == ("canary", KILL_S, END_S, 0)
    assert gap.expected == pytest.approx(100 * (END_S - KILL_S))


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_a_main_load_that_stops_early(tmp_path: Path, arrivals: str) -> None:
    load = f"rate: 400/s, mix: {{redirect: 0.96, create: 0.04}}, arrivals: {arrivals}"
    run = Run(tmp_path, load)
    run.main = without(run.main, 12.4, END_S)
    whole = next(gap for gap in run.gaps() if not gap.operation)
    assert (whole.stream, whole.end_s) == ("main", END_S)
    assert whole.start_s in (12.0, 13.0)
    assert {gap.operation for gap in run.gaps()} == {"", "redirect", "create"}


def test_seconds_in_the_middle(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.canary = without(run.canary, 30, 32)
    assert [(gap.start_s, gap.end_s) for gap in run.gaps()] == [(30, 32), (30, 32)]


def test_a_rate_that_is_a_tenth_too_low_is_a_gap_of_every_second(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.main = run.main[np.arange(len(run.main)) % 10 != 0]
    assert (0, END_S) in [(gap.start_s, gap.end_s) for gap in run.gaps() if not gap.operation]


def test_one_operation_of_the_main_load_alone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.main = without(run.main, 20, 50, "create")
    assert {gap.operation for gap in run.gaps() if gap.stream == "main"} == {"", "create"}


@pytest.mark.parametrize("rate", [1, 5])
def test_a_slow_canary_is_counted_in_longer_steps(tmp_path: Path, rate: int) -> None:
    run = Run(tmp_path, f"rate: 9/s, mix: {{redirect: 1}}, canary_rate: {rate}/s")
    run.canary = without(run.canary, KILL_S - 0.02, END_S)
    (gap,) = run.gaps()
    assert KILL_S - 20 / rate <= gap.start_s <= KILL_S
    assert gap.end_s == END_S


def test_a_stream_that_never_began(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.canary = run.canary[:0]
    assert {(gap.start_s, gap.end_s, gap.seen) for gap in run.gaps()} == {(0, END_S, 0)}


def test_the_main_load_does_not_stand_in_for_a_canary_that_never_began(tmp_path: Path) -> None:
    """What its caches answered says nothing of a recovery."""
    run = Run(tmp_path)
    main, canary = (
        samples.assign(sent_s=samples["intended_s"], ok=True, error="", cache="")
        for samples in (run.main, run.canary[:0])
    )
    fault = {"fault": "kill-1", "start_s": KILL_S, "service": "db-1", "healed_s": 50.0}
    record = Record(run.experiment, run.events, main, canary, [fault])
    found = recovery.figures(record)["create"]
    assert (found.stream, found.probes, found.never_failed) == ("canary", 0, False)
    assert (found.recovered, found.by_fault) == (None, {})


def test_arrivals_that_were_dropped_are_recorded_and_no_gap(tmp_path: Path) -> None:
    """They are rows, too: load health judges them."""
    run = Run(tmp_path)
    run.main["done_s"] = np.nan
    assert run.gaps() == []


def test_nothing_is_read_before_there_is_a_write(tmp_path: Path) -> None:
    run = Run(tmp_path, "rate: 50/s, mix: {put: 0.5, get: 0.5}" + READS)
    for stream in ("main", "canary"):
        samples = getattr(run, stream)
        is_early = samples["intended_s"] < 15
        samples.loc[is_early & (samples["op"] == "put"), "error"] = "timeout"
        setattr(run, stream, samples[~is_early | (samples["op"] == "put")])
    assert run.gaps() == []
    run.main = without(run.main, 40, 45, "get")
    assert {gap.operation for gap in run.gaps()} == {"", "get"}


def test_a_write_that_never_came_leaves_the_writes_to_count(tmp_path: Path) -> None:
    run = Run(tmp_path, "rate: 50/s, mix: {put: 0.5, get: 0.5}" + READS)
    for stream in ("main", "canary"):
        samples = getattr(run, stream)
        setattr(run, stream, samples[samples["op"] == "put"].assign(error="timeout"))
    assert run.gaps() == []
    run.main = run.main[:0]
    assert {gap.operation for gap in run.gaps()} == {"put"}


@pytest.mark.parametrize("told", [True, False])
def test_a_run_that_was_cut_off_was_to_send_no_more(tmp_path: Path, told: bool) -> None:
    run = Run(tmp_path, status="aborted")
    run.main, run.canary = (without(s, 30, END_S) for s in (run.main, run.canary))
    if told:
        run.events.append({"event": "load.summary", "t_s": 31, "cpu_s": 1, "duration_s": 30.0})
    assert run.gaps() == []
    run.canary = without(run.canary, 20, 30)
    assert {gap.stream for gap in run.gaps()} == {"canary"}


class Replay(Run):
    """A recorded load, busy and quiet by turns, that is sent again."""

    def __init__(self, tmp_path: Path, *, has_record: bool = True) -> None:
        super().__init__(tmp_path)
        load = self.experiment.load.model_copy(update={"replay": "reports/earlier"})
        self.experiment = self.experiment.model_copy(update={"load": load})
        busy = self.main["intended_s"] % 20 < 10
        self.main = self.main[busy | (np.arange(len(self.main)) % 50 == 0)]
        if has_record:
            (self.folder.path / "load").mkdir(parents=True)
            op = (self.main["op"] == "create").astype("int8").to_numpy()
            due_s = self.main["intended_s"].to_numpy()
            table = pa.table({"intended_s": due_s, "op": op, "key": op})
            pq.write_table(table, self.folder.path / "load" / "replay.parquet")


def test_a_replay_is_held_against_what_was_recorded(tmp_path: Path) -> None:
    run = Replay(tmp_path)
    assert run.gaps() == []
    run.main = without(run.main, 43, 44)
    assert {(gap.stream, gap.start_s, gap.end_s) for gap in run.gaps()} == {("main", 43, 44)}


def test_a_replay_is_exact(tmp_path: Path) -> None:
    """A twentieth of one second is missed, which could be chance where requests are drawn."""
    run = Replay(tmp_path)
    is_gone = run.main["intended_s"].between(43, 44) & (np.arange(len(run.main)) % 20 == 0)
    run.main = run.main[~is_gone]
    assert [(gap.operation, gap.start_s, gap.end_s) for gap in run.gaps()] == [("redirect", 43, 44)]


def test_a_replay_without_its_record_is_held_against_its_own_rate(tmp_path: Path) -> None:
    run = Replay(tmp_path, has_record=False)
    assert run.figures().planned["main"] is False
    assert run.gaps() == []
    run.main = without(run.main, 20, 50)
    (gap,) = run.gaps()
    assert (gap.start_s, gap.end_s) == pytest.approx((20, 50), abs=0.5)


def test_a_users_own_class_is_silent_for_no_longer_than_its_requests_wait(tmp_path: Path) -> None:
    """All users may wait for a target that hangs: up to the time-out that says nothing."""
    run = Run(tmp_path, "rate: 20/s, mix: {redirect: 1}, timeout: 5s")
    load = run.experiment.load.model_copy(update={"locustfile": "users.py::User"})
    run.experiment = run.experiment.model_copy(update={"load": load})
    run.main = without(run.main, 30, 35.5)
    assert run.gaps() == []
    run.main = without(run.main, 50, END_S)
    (gap,) = run.gaps()
    assert (gap.stream, gap.end_s, gap.seen) == ("main", END_S, 0)
    assert gap.start_s == pytest.approx(50, abs=0.1)
    run.main = run.main[:0]
    assert [(gap.start_s, gap.end_s) for gap in run.gaps()] == [(0, END_S)]
    run.canary = without(run.canary, 20, 24)
    assert [(gap.stream, gap.start_s) for gap in run.gaps()] == [("canary", 20), ("main", 0)]


RATE_OF_5 = np.arange(0, 20, 0.2)


def silences(times_s: Any, end_s: float = 20.0, timeout_s: float = 1.0) -> list[Gap]:
    return list(_silences(np.array(times_s, dtype=float), end_s, timeout_s))


def test_a_silence_is_a_gap_with_what_the_usual_rate_would_have_sent() -> None:
    """The usual rate is the median of the seconds in which something was sent."""
    times_s = np.concatenate([RATE_OF_5[RATE_OF_5 < 6], RATE_OF_5[RATE_OF_5 >= 12]])
    (gap,) = silences(times_s)
    assert (gap.stream, gap.operation, gap.seen) == ("main", "", 0)
    assert (gap.start_s, gap.end_s) == pytest.approx((5.8, 12.0))
    assert gap.expected == pytest.approx(5 * 6.2)


@pytest.mark.parametrize(
    ("silent_s", "is_gap"), [(4.9, False), (5.0, False), (5.1, True)], ids=["less", "as", "more"]
)
def test_a_silence_is_longer_than_20_requests_and_their_time_out(
    silent_s: float, is_gap: bool
) -> None:
    early = np.arange(0, 8.001, 0.2)
    late = np.arange(8 + silent_s, 20, 0.2)
    found = silences(np.concatenate([early, late]))
    assert [gap.start_s for gap in found] == ([pytest.approx(8.0)] if is_gap else [])


@pytest.mark.parametrize(("silent_s", "is_gap"), [(3.0, False), (3.125, True)])
def test_however_busy_it_was_two_seconds_and_the_time_out_are_no_silence(
    silent_s: float, is_gap: bool
) -> None:
    times_s = np.concatenate([np.arange(0, 8.001, 1 / 64), np.arange(8 + silent_s, 20, 1 / 64)])
    assert [(gap.start_s, gap.end_s) for gap in silences(times_s)] == (
        [(8.0, 8.0 + silent_s)] if is_gap else []
    )


def test_silence_at_the_start_and_at_the_end_and_what_was_due_outside() -> None:
    times_s = [-1.0, -0.5, *np.arange(8, 12, 0.25), 20.0, 25.0]
    starts = [(gap.start_s, gap.end_s) for gap in silences(times_s)]
    assert starts == [(0.0, 8.0), (11.75, 20.0)]
    assert [(gap.end_s, gap.expected) for gap in silences([0.5, 1.5, 1.75], 40.0)] == [
        (40.0, 1.5 * 38.25)
    ]


def test_a_load_that_sent_nothing_was_silent_all_the_time() -> None:
    assert silences([], 2.5) == []
    assert silences([], 3.5) == [Gap("main", "", 0.0, 3.5, 0.0, 0)]
    assert silences([0.0], 40.0) == [Gap("main", "", 0.0, 40.0, 40.0, 0)]
    assert silences([-0.5, 40.0], 40.0) == [Gap("main", "", 0.0, 40.0, 0.0, 0)]


def line(rate_per_s: float, times_s: Any, since_s: float = 0.0, *, is_exact: bool = True) -> Line:
    planned = lambda at_s: rate_per_s * at_s  # noqa: E731  # as all plans are
    return Line("main", "get", planned, is_exact, np.array(times_s, dtype=float), since_s)


def test_a_line_is_counted_second_by_second() -> None:
    times_s = [0.0, 0.5, 1.0, 1.25, 1.5, 3.25, 3.5]
    assert list(_steps(line(20, times_s), 3.5)) == [
        Step(0.0, 1.0, 20.0, 2), Step(1.0, 2.0, 20.0, 3), Step(2.0, 3.5, 30.0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("is_exact", "length_s"), [(True, 2), (False, 5)])
def test_a_step_lasts_as_long_as_it_takes_to_plan_enough(is_exact: bool, length_s: int) -> None:
    steps = list(_steps(line(10, [], is_exact=is_exact), 20.0))
    assert {step.end_s - step.start_s for step in steps} == {length_s}
    assert (steps[0].start_s, steps[-1].end_s) == (0.0, 20.0)


def test_what_is_left_over_joins_the_last_step_and_a_short_line_is_one() -> None:
    assert [(s.start_s, s.end_s) for s in _steps(line(10, []), 5.0)] == [(0.0, 2.0), (2.0, 5.0)]
    assert [(s.start_s, s.end_s) for s in _steps(line(1, []), 5.5)] == [(0.0, 5.5)]
    assert [(s.start_s, s.end_s) for s in _steps(line(20, []), 1.0)] == [(0.0, 1.0)]


def test_nothing_is_counted_before_it_is_planned() -> None:
    late = list(_steps(line(20, [0.5, 2.6, 2.9, 3.0], since_s=2.5), 5.0))
    assert [(s.start_s, s.end_s, s.seen) for s in late] == [(2.5, 4.0, 3), (4.0, 5.0, 0)]
    whole = list(_steps(line(20, [], since_s=2.0), 4.0))
    assert [(s.start_s, s.end_s) for s in whole] == [(2.0, 3.0), (3.0, 4.0)]
    assert list(_steps(line(20, [], since_s=5.0), 5.0)) == []
    assert list(_steps(line(20, [], since_s=np.inf), 5.0)) == []


@pytest.mark.parametrize(
    ("expected", "seen", "is_short"),
    [(100.0, 97, False), (100.0, 96, True), (50.0, 48, False), (50.0, 47, True), (1.0, 0, False)],
)
def test_an_exact_plan_may_lack_a_fiftieth_and_one(
    expected: float, seen: int, is_short: bool
) -> None:
    step = Step(0.0, 1.0, expected, seen)
    assert _is_short(step, is_exact=True, evidence=1e9) is is_short


@given(st.floats(0.01, 1e4), st.integers(0, 10_000), st.floats(1, 40))
def test_chernoffs_bound_is_that_of_its_formula(
    expected: float, seen: int, evidence: float
) -> None:
    """P(X <= k) <= e^-m (em/k)^k, in logarithms."""
    bound = -expected + (seen * (1 + np.log(expected / seen)) if seen else 0.0)
    assume(abs(-bound - evidence) > 1e-6)
    found = _is_short(Step(0.0, 1.0, expected, seen), is_exact=False, evidence=evidence)
    assert found is bool(seen < expected and bound < -evidence)


def test_the_more_is_counted_the_more_it_takes_to_be_a_gap() -> None:
    """One false gap in a million runs, however many steps a run has."""
    times_s = np.concatenate([np.arange(0, 1, 1 / 24), np.arange(1, 40, 1 / 64)])
    short = line(64, times_s, is_exact=False)
    (gap,) = _gaps([short], 1.0)
    assert (gap.stream, gap.operation, gap.seen, gap.expected) == ("main", "get", 24, 64.0)
    assert [(gap.start_s, gap.end_s) for gap in _gaps([short], 2.0)] == [(0.0, 1.0)]
    assert list(_gaps([short, *[line(64, np.arange(0, 40, 1 / 64))] * 40], 40.0)) == []


def test_a_single_step_is_held_against_one_in_a_million() -> None:
    found = list(_gaps([line(65, np.arange(27) / 27, is_exact=False)], 1.0))
    assert [(gap.expected, gap.seen) for gap in found] == [(65.0, 27)]
    assert list(_gaps([line(65, np.arange(28) / 28, is_exact=False)], 1.0)) == []
    assert list(_gaps([], 1.0)) == []


def test_gaps_side_by_side_are_one_and_lines_have_their_own() -> None:
    missing = without(pd.DataFrame({"intended_s": np.arange(0, 10, 1 / 32)}), 3, 5)
    missing = without(missing, 7, 8)["intended_s"]
    other = Line("canary", "put", lambda at_s: 32 * at_s, True, np.array([]), 8.0)
    found = list(_gaps([line(32, missing), other], 10.0))
    assert found == [
        Gap("main", "get", 3.0, 5.0, 64.0, 0), Gap("main", "get", 7.0, 8.0, 32.0, 0),
        Gap("canary", "put", 8.0, 10.0, 64.0, 0),
    ]  # fmt: skip


def test_the_end_of_a_run_that_was_cut_off_is_what_its_load_reported_or_sent_last(
    tmp_path: Path,
) -> None:
    """The least of several reports; the later of both streams where there is none."""
    run = Run(tmp_path, status="aborted")
    run.main, run.canary = without(run.main, 30, END_S), without(run.canary, 20, END_S)
    assert {(gap.stream, gap.start_s) for gap in run.gaps()} == {("canary", 20.0)}
    assert max(gap.end_s for gap in run.gaps()) == pytest.approx(30.0, abs=0.01)
    ends = [{"event": "load.summary", "t_s": 31, "duration_s": d} for d in (25.0, 22.0, 70.0)]
    run.events += ends
    assert {gap.end_s for gap in run.gaps()} == {22.0}
    run.events = [*ends[2:], run.events[0]]
    assert {gap.end_s for gap in run.gaps()} == {END_S}
    run.events, run.main, run.canary = run.events[1:], run.main[:0], run.canary[:0]
    assert run.gaps() == []
    run.canary = Run(tmp_path).canary.iloc[:800]
    assert {gap.stream for gap in run.gaps()} == {"main"}


def test_an_operation_that_is_never_chosen_is_not_planned(tmp_path: Path) -> None:
    run = Run(tmp_path, "rate: 100/s, mix: {redirect: 1}, canary_rate: 50/s")
    mix = {"create": 0.0, "redirect": 2.0}
    load = run.experiment.load.model_copy(update={"mix": mix})
    run.experiment = run.experiment.model_copy(update={"load": load})
    assert run.gaps() == []


def test_reading_begins_some_time_after_the_first_write_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    """By the stream's own writes; one that was too slow is there all the same."""
    late = "{method: GET, path: '/{written}', reads: put, read_after: 4s}"
    reads = f", operations: {{{PUT}, get: {late}}}"
    run = Run(tmp_path, "rate: 100/s, mix: {put: 0.5, get: 0.5}" + reads)
    for stream, written_s in (("main", 10.0), ("canary", 20.0)):
        samples = getattr(run, stream)
        done_s, is_put = samples["intended_s"] + 1.0, samples["op"] == "put"
        error = np.where(done_s < written_s, "timeout", "too_slow")
        samples = samples.assign(done_s=done_s, error=error)
        setattr(run, stream, samples[is_put | (samples["intended_s"] >= written_s + 4)])
    assert run.gaps() == []
    run.main = without(run.main, 15, 16.5, "get")
    assert {(gap.stream, gap.operation) for gap in run.gaps()} >= {("main", "get")}
    run.canary = without(run.canary, 24, 26, "get")
    assert ("canary", "get", 24.0) in {(g.stream, g.operation, g.start_s) for g in run.gaps()}


@pytest.mark.parametrize("draws_key", [False, True])
def test_each_worker_reads_what_it_wrote_itself(tmp_path: Path, *, draws_key: bool) -> None:
    """Of two workers the second writes first at 20 s: until then only half of the reads are due.

    Nothing in a write says whose it was: its key may be one of the population.
    """
    load = "rate: 100/s, mix: {put: 0.5, get: 0.5}, canary_rate: 0/s" + READS
    alone, of_two = (Run(tmp_path, load + more) for more in ("", ", workers: 2"))
    for run in (alone, of_two):
        main = run.main
        is_late = (main.index % 2 == 1) & (main["intended_s"] < 20)
        error = np.where(is_late & (main["op"] == "put"), "timeout", "")
        main = main.assign(error=error, key=0 if draws_key else main["key"])
        run.main = main[~(is_late & (main["op"] == "get"))]
    for worker in range(2):
        write_part(of_two, worker, of_two.main[of_two.main.index % 2 == worker])
    assert {gap.stream for gap in alone.gaps()} == {"main"}
    assert of_two.gaps() == []
    of_two.main = without(of_two.main, 30, 34, "get")
    assert ("main", "get") in {(gap.stream, gap.operation) for gap in of_two.gaps()}


def write_part(run: Run, worker: int, samples: pd.DataFrame) -> None:
    """The record of one worker, as its engine writes it."""
    rest = {"sent_s": 0.0, "status": 200, "ok": True, "bytes": 0}
    texts = dict.fromkeys(("served_by", "cache", "db_node", "write"), "")
    columns = samples.assign(**rest, **texts).to_dict("list")
    run.folder.samples_dir.mkdir(parents=True, exist_ok=True)
    write_samples(run.folder.samples_dir, f"main-w{worker}", 0, columns)


@pytest.mark.parametrize("at_s", [0, 1.5, 4, 4.0001, 9, 12, 30])
def test_the_plan_is_the_engines_own(at_s: float) -> None:
    """The arrivals planned by each moment, against the engine's own profile."""
    stages = [(30.0, 4.0, 5.0), (0.0, 0.0, 2.0), (8.0, 1.0, 0.0), (90.0, 3.0, 1.0)]
    load = Load(
        rate_per_s=10, mix={"redirect": 1},
        stages=tuple(Stage(rate_per_s=r, ramp_s=a, hold_s=h) for r, a, h in stages),
    )  # fmt: skip
    profile = RateProfile.of_stages(0.0, 10.0, stages)
    units = np.arange(0, 3000, 0.01)
    due_s = profile.times_of(units)
    assert arrivals(load)(np.array([at_s]))[0] == pytest.approx(
        units[due_s <= at_s].max(initial=0), abs=0.011
    )


LATE = Gap("canary", "create", 40.0, 60.0, 2000.0, 12)


@pytest.mark.parametrize(
    ("streams", "start_s", "end_s", "operation", "is_hit"),
    [
        (["canary"], 25, 60, "create", True),
        (["canary"], 25, 60, "", True),
        (["main", "canary"], 25, 60, "create", True),
        (["canary"], 25, 60, "redirect", False),
        (["main"], 25, 60, "create", False),
        (["canary"], 25, 40, "create", False),
        (["canary"], 60, 70, "create", False),
    ],
)
def test_who_asks_for_a_gap(
    streams: list[str], start_s: float, end_s: float, operation: str, is_hit: bool
) -> None:
    text = Coverage(gaps=[LATE]).gap_in(Basis(tuple(streams), start_s, end_s, operation))
    assert text == ("canary, create: 12 of 2,000 requests between 40 s and 60 s" if is_hit else "")


def test_a_gap_of_the_whole_stream_is_one_of_each_operation() -> None:
    whole = Gap("main", "", 5.0, 6.0, 400.0, 0)
    text = Coverage(gaps=[LATE, whole]).gap_in(Basis(("main", "canary"), 0, 60, "create"))
    assert text == "main, all operations: 0 of 400 requests between 5 s and 6 s"


def test_how_seldom_a_whole_poisson_run_looks_short(tmp_path: Path) -> None:
    """The bound is on the safe side, and still finds a second of which half is missing."""
    run = Run(tmp_path, "rate: 400/s, mix: {redirect: 1}, arrivals: poisson")
    run.main = pd.concat(
        [without(run.main, 30, 31), run.main[run.main["intended_s"].between(30, 30.5)]]
    ).sort_values("intended_s")
    assert [(gap.start_s, gap.end_s) for gap in run.gaps() if not gap.operation] == [(30, 31)]


CHAIN = (
    "rate: 400/s, mix: {buy: 1, home: 1}, canary_rate: 0/s, chains: {buy: [login, look]},"
    " operations: {home: {path: /}, login: {path: /login}, look: {path: /look}}"
)


def walked(run: Run, until_s: float) -> None:
    """Each chain's second step 0.3 s after its first one; from `until_s` on all first ones fail."""
    first = run.main.replace({"op": {"buy": "login"}})
    later = first[first["op"] == "login"].assign(op="look")
    later["intended_s"] += 0.3
    main = pd.concat([first, later[later["intended_s"] < until_s]])
    run.main = main.sort_values("intended_s", ignore_index=True)


def test_what_was_not_sent_as_a_step_before_it_failed_is_no_gap(tmp_path: Path) -> None:
    run = Run(tmp_path, CHAIN)
    walked(run, 30)
    assert run.gaps() == []


def test_arrivals_of_chains_that_are_missing_are_a_gap(tmp_path: Path) -> None:
    run = Run(tmp_path, CHAIN)
    walked(run, END_S)
    run.main = without(run.main, 40, 42)
    assert {gap.operation for gap in run.gaps()} >= {"", "login", "home"}
    run = Run(tmp_path, CHAIN)
    walked(run, END_S)
    run.main = without(run.main, 40, 42, "login")
    assert "login" in {gap.operation for gap in run.gaps()}
