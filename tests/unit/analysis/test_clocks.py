"""When a run was, and how far its clocks agree, from readings whose truth is known."""

from __future__ import annotations

import math
from typing import Any, cast

import pandas as pd
import pytest

from harness.analysis import clocks
from harness.analysis.rounding import rounded
from harness.model.findings import Clock
from harness.record.run import Record, clock_uncertainty_s, load_clock_uncertainty_s

WALL_S = 1_795_515_790.0  # 2026-11-24T10:23:10Z, second 0 of the run


def record_of(*events: dict[str, Any]) -> Record:
    nothing = pd.DataFrame()
    return Record(cast(Any, None), list(events), nothing, nothing)


def reading(t_s: float, ahead_s: float = 0.0) -> dict[str, Any]:
    """Of both clocks at a moment, the wall clock that much ahead of where it began."""
    return {"event": "run.clock", "t_s": t_s, "wall_s": WALL_S + t_s + ahead_s}


def offset(service: str, offset_s: float, uncertainty_s: float, t_s: float = 0.0) -> dict[str, Any]:
    facts = {"service": service, "offset_s": offset_s, "uncertainty_s": uncertainty_s}
    return {"event": "clock.offset", "t_s": t_s, **facts}


LOOKS = (
    offset("far", 3.5, 0.001), offset("app-1", -0.006, 0.007), offset("app-1", 0.0002, 0.0007),
    offset("app-1", 0.5, 0.0007, 9.0), offset("edge", -0.25, 0.25),
)  # fmt: skip


def test_the_best_look_at_a_containers_clock_counts_and_of_two_alike_the_first() -> None:
    found = clocks.figures(record_of(*LOOKS)).containers
    assert found == {
        "app-1": Clock(offset_s=0.0002, uncertainty_s=0.0007, is_shared=True),
        "edge": Clock(offset_s=-0.25, uncertainty_s=0.25, is_shared=True),
        "far": Clock(offset_s=3.5, uncertainty_s=0.001, is_shared=False),
    }
    assert [*found] == ["app-1", "edge", "far"]


def test_a_time_that_a_service_reports_is_off_by_its_offset_and_what_that_is_uncertain_by() -> None:
    record = record_of(*LOOKS)
    assert clock_uncertainty_s(record, "app-1") == pytest.approx(0.0009)
    assert clock_uncertainty_s(record, "edge") == pytest.approx(0.5)
    assert clock_uncertainty_s(record, "lb-1") is None


def test_the_wall_clock_is_as_uncertain_as_its_greatest_step() -> None:
    moved = [reading(0), reading(1, 0.001), reading(2, -0.002), reading(3, -0.001)]
    wall = clocks.figures(record_of(*reversed(moved))).wall
    assert (wall.pairs, wall.uncertainty_s) == (4, pytest.approx(0.003, abs=1e-6))
    assert math.isnan(record_of(reading(0)).wall_uncertainty_s())
    nothing = rounded(clocks.figures(record_of()))
    wall = {"pairs": 0, "uncertainty_s": None}
    assert nothing == {"containers": {}, "workers": {}, "wall": wall}


WORKERS = [
    {"number": 1, "host": "here", "offset_s": 0.0, "uncertainty_s": 0.0, "is_shared": True},
    {"number": 2, "host": "", "offset_s": -812.5, "uncertainty_s": 0.004, "is_shared": False},
]


def summary(workers: object, t_s: float = 60.0) -> dict[str, Any]:
    return {
        "event": "load.summary",
        "t_s": t_s,
        "cpu_s": 1.0,
        "duration_s": 9.0,
        "workers": workers,
    }


def test_the_clock_of_each_worker_is_stated() -> None:
    found = clocks.figures(record_of(summary([]), summary(WORKERS, 61.0))).workers
    assert found == {
        "worker 1 (here)": Clock(offset_s=0.0, uncertainty_s=0.0, is_shared=True),
        "worker 2 (unknown)": Clock(offset_s=-812.5, uncertainty_s=0.004, is_shared=False),
    }


def test_times_of_the_main_load_are_as_uncertain_as_the_worst_of_its_workers_clocks() -> None:
    record = record_of(summary(WORKERS))
    assert load_clock_uncertainty_s(record, "main") == 0.004
    assert load_clock_uncertainty_s(record, "canary") == 0.0
    assert load_clock_uncertainty_s(record_of(summary([])), "main") == 0.0
    assert load_clock_uncertainty_s(record_of(), "main") == 0.0


def test_a_wall_time_is_placed_by_the_nearest_reading() -> None:
    record = record_of(reading(0), reading(10, 0.5), reading(20, 1.0), reading(30, 5.0))
    assert record.monotonic_of(WALL_S + 11.5) == pytest.approx(11.0)
    assert record.monotonic_of(WALL_S - 4) == pytest.approx(-4)
    assert record.monotonic_of(WALL_S + 22.0) == pytest.approx(21.0)
    assert math.isnan(record_of().monotonic_of(WALL_S))


def test_a_run_began_by_its_first_reading_and_lasted_to_its_last_event() -> None:
    late, early = reading(30.0, 7.0), reading(2.5, 0.25)
    last = {"event": "run.finished", "t_s": 61.5, "status": "completed"}
    record = record_of(late, last, early)
    assert clocks.started_at(record) == "2026-11-24T10:23:10+00:00"
    assert clocks.lasted_s(record) == 61.5
    assert (clocks.started_at(record_of()), clocks.lasted_s(record_of())) == (None, None)
