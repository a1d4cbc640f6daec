"""How the load kept its schedule, what is wrong with it, and what the reader is told to change."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import pandas as pd
import pytest

from harness.analysis.load_health import Generator, _problems, figures
from harness.analysis.rounding import rounded
from harness.model.experiment import Phase
from harness.model.load import Load
from harness.record.run import Record

FINE = Generator(cpu_share=0.2, stalls=0, stall_max_s=0.0, exit_code=0)
SUMMARY = {
    "event": "load.summary", "cpu_s": 12.0, "duration_s": 60.0, "stalls": 7, "stall_max_s": 0.25,
    "exit_code": 0,
}  # fmt: skip


def sent(due_s: float, late_s: float = 0.0, error: str = "") -> tuple[float, float, str]:
    return due_s, due_s + late_s, error


def record(
    main: list[tuple[float, float, str]],
    canary: list[tuple[float, float, str]],
    *events: dict[str, Any],
    workers: int = 1,
) -> Record:
    """A run that is judged from 0 s to 40 s."""

    class Run:
        end_s = 40.0
        load = Load(rate_per_s=1, mix={}, workers=workers)
        phases = (
            Phase(name="warmup", start_s=-10, end_s=0),
            Phase(name="baseline", start_s=0, end_s=15),
            Phase(name="fault", start_s=15, end_s=38),
            Phase(name="recovery", start_s=38, end_s=40),
        )  # fmt: skip

    types = {"intended_s": float, "sent_s": float, "error": object}
    streams = [pd.DataFrame(rows, columns=[*types]).astype(types) for rows in (main, canary)]
    return Record(cast(Any, Run()), [{"t_s": 41.0, **event} for event in events], *streams)


def problems(dropped: int = 0, p99_s: float | None = 0.001, **changes: Any) -> list[str]:
    return _problems(10_000, dropped, p99_s, replace(FINE, **changes))


MAIN = [
    sent(-0.1, 0.9), *(sent(10 + n, 0.002 + n / 2000) for n in range(6)),
    sent(20, 0.008), sent(21, 0.011),
    (22.0, math.nan, "dropped"), (23.0, math.nan, "no_descriptors"), sent(24, 0.009, "timeout"),
]  # fmt: skip
CANARY = [
    sent(0.0, 0.01),
    sent(11, 0.001),
    sent(39, 0.04),
    (39.5, math.nan, "dropped"),
    sent(40.0, 0.5),
]


def test_the_schedule_of_both_streams_in_the_judged_time() -> None:
    found = figures(record(MAIN, CANARY, SUMMARY))
    assert (found.intended, found.sent, found.dropped) == (15, 12, 3)
    late = found.send_lateness_s
    assert late["p50"] == pytest.approx(0.00425)
    assert late["p99"] == pytest.approx(0.03681)
    assert late["max"] == pytest.approx(0.04)
    assert [*late] == ["p50", "p99", "max"]
    assert found.on_schedule_share == pytest.approx(10 / 12)
    assert (found.cpu_share, found.stalls, found.stall_max_s) == (0.2, 7, 0.25)
    assert not found.healthy
    (problem,) = found.problems
    assert problem.startswith("20.00% of the arrivals dropped, over 0.10%; lower load.rate")


def test_a_load_that_was_sent_late_is_told_with_what_its_generator_reported() -> None:
    late = [sent(10 + n / 10, 0.06) for n in range(100)]
    found = figures(record(late, [], {**SUMMARY, "exit_code": 3}))
    assert found.problems == [
        "sent late: p99 60 ms, over 50 ms; it stood still 7 times, up to 250 ms, with 20% of a "
        "core used: stop other containers and programs, or lower load.rate",
        "a load generator ended with exit code 3; see load.log",
    ]
    assert not found.healthy


def test_the_last_report_of_a_generator_counts() -> None:
    later = {**SUMMARY, "cpu_s": 30.0, "stalls": 0, "stall_max_s": None, "t_s": 50.0}
    found = figures(record([sent(10 + n) for n in range(20)], [], later, SUMMARY))
    assert (found.cpu_share, found.stalls, found.stall_max_s) == (0.5, 0, None)
    assert (found.healthy, found.problems) == (True, [])
    assert (found.on_schedule_share, found.dropped) == (1.0, 0)


@pytest.mark.parametrize("duration", [{}, {"duration_s": None}, {"duration_s": 0}])
def test_a_generator_that_reported_nothing_is_no_problem(duration: dict[str, Any]) -> None:
    found = figures(
        record([sent(10 + n) for n in range(20)], [], {"event": "load.summary"} | duration)
    )
    assert (found.cpu_share, found.stalls, found.stall_max_s) == (None, None, None)
    assert found == figures(record([sent(10 + n) for n in range(20)], []))
    assert found.healthy


def test_a_load_that_never_began() -> None:
    found = rounded(figures(record([sent(-3)], [])))
    assert found == {
        "intended": 0, "sent": 0, "dropped": 0, "on_schedule_share": None,
        "send_lateness_s": {"p50": None, "p99": None, "max": None},
        "cpu_share": None, "stalls": None, "stall_max_s": None, "not_reached": None,
        "healthy": False, "problems": ["no request was sent; see load.log"],
        "workers": [], "lost": "",
    }  # fmt: skip


def test_a_load_on_schedule_has_no_problem_whatever_it_took() -> None:
    assert problems(dropped=10, p99_s=0.05, cpu_share=0.99, stalls=40, stall_max_s=0.04) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu_share": 0.93, "stalls": 5, "stall_max_s": 0.1}, "93% of a core: lower load.rate"),
        ({"cpu_share": 0.8, "stalls": 0}, "or stop what else runs on this machine"),
        ({"stalls": 1200, "stall_max_s": 0.35}, "1,200 times, up to 350 ms, with 20% of a core"),
        ({"stalls": 3, "stall_max_s": 4.0, "cpu_share": None}, "up to 4000 ms: stop other"),
        ({"stalls": 3, "stall_max_s": None, "cpu_share": None}, "up to 0 ms: stop other"),
        ({"stalls": None, "cpu_share": None}, "or stop what else runs on this machine"),
        ({"cpu_share": 1.59, "workers": [{}] * 2}, "or stop what else runs on this machine"),
        ({"cpu_share": 1.61, "workers": [{}] * 2}, "in 2 workers: lower load.rate, or raise load."),
    ],
)
def test_who_had_the_processor_decides_what_to_change(changes: Any, words: str) -> None:
    (problem,) = problems(p99_s=4.0, **changes)
    assert problem.startswith("sent late: p99 4000 ms, over 50 ms; ")
    assert words in problem


def test_each_problem_is_told() -> None:
    late, dropped, code = problems(dropped=11, p99_s=0.08, exit_code=4)
    assert "sent late" in late
    assert "0.11% of the arrivals dropped, over 0.10%; lower load.rate" in dropped
    assert "exit code 4" in code
    assert _problems(0, 0, None, FINE) == ["no request was sent; see load.log"]
    assert problems(p99_s=None) == []


def test_steps_that_were_not_reached_are_counted_where_the_engine_says_so() -> None:
    told = {**SUMMARY, "not_reached": 3}
    assert figures(record(MAIN, CANARY, told)).not_reached == 3
    assert figures(record(MAIN, CANARY, SUMMARY)).not_reached is None


WHOLE = {"number": 1, "host": "here", "requests": 700, "problem": "", "lost_s": None}
LOST = {"number": 2, "host": "far", "requests": 20, "problem": "silent", "lost_s": 12.34}


def with_workers(*states: dict[str, Any], workers: int = 2) -> Any:
    """The load of a run of two workers, sent on time."""
    fine = [sent(1.0), sent(2.0)]
    return figures(record(fine, [], {**SUMMARY, "workers": [*states]}, workers=workers))


def test_a_load_of_workers_is_whole_if_each_share_is() -> None:
    found = with_workers(WHOLE, {**WHOLE, "number": 2, "requests": 699})
    assert (found.healthy, found.lost, found.problems) == (True, "", [])
    assert [(w.number, w.host, w.requests) for w in found.workers] == [
        (1, "here", 700), (2, "here", 699),
    ]  # fmt: skip


def test_a_worker_that_was_lost_is_named_with_what_is_missing_since_when() -> None:
    found = with_workers(WHOLE, LOST)
    assert found.lost == (
        "worker 2 of 2 (far): silent; its share of the load is missing from 12.3 s on"
    )
    assert not found.healthy
    assert found.problems == []


def test_the_first_that_was_lost_is_named_and_the_others_are_counted() -> None:
    later = {**LOST, "number": 1, "lost_s": 30.0}
    found = with_workers(later, LOST, {**LOST, "number": 3, "lost_s": 50.0}, workers=3)
    assert found.lost.startswith("worker 2 of 3 (far), and 2 more: silent; ")
    assert found.lost.endswith("from 12.3 s on")


@pytest.mark.parametrize("known", [[], [WHOLE]])
def test_a_share_of_which_nothing_is_known_is_not_taken_for_whole(
    known: list[dict[str, Any]],
) -> None:
    found = with_workers(*known)
    assert found.lost == (f"only {len(known)} of 2 workers are known to have recorded their share")


def test_a_run_of_one_process_has_no_workers() -> None:
    found = figures(record([sent(1.0)], [], SUMMARY))
    assert (found.workers, found.lost, found.healthy) == ([], "", True)
