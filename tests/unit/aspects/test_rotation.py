"""Rotation of a broken server, from HAProxy's and the engine's events whose truth is known."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest
from plain import plain

from harness.aspects.rotation import figures
from harness.record.run import Record

NOTHING = pd.DataFrame()


def fault(name: str = "kill-1", **changes: Any) -> dict[str, Any]:
    base = {"fault": name, "kind": "kill", "service": "app-2", "start_s": 10.0, "healed_s": 40.0}
    return {**base, **changes}


def server(t_s: float, status: str, server: str = "app-2", lb: str = "lb-1") -> dict[str, Any]:
    return {
        "event": "lb.server", "t_s": t_s, "lb": lb, "backend": "read", "server": server,
        "status": status, "uncertainty_s": 0.1,
    }  # fmt: skip


def start(t_s: float, service: str = "app-2") -> dict[str, Any]:
    return {"event": "container.start", "t_s": t_s, "service": service}


def rows(faults: list[dict[str, Any]], *events: dict[str, Any]) -> list[dict[str, Any]]:
    record = Record(cast(Any, None), list(events), NOTHING, NOTHING, faults)
    found: list[dict[str, Any]] = plain(figures(record))
    return found


UP_AT_START = server(0.0, "UP")


def test_left_and_came_back() -> None:
    (row,) = rows(
        [fault()], UP_AT_START, server(10.3, "DOWN"), start(40.0), server(41.5, "UP 1/2"),
        server(42.0, "DOWN", server="app-1"),
    )  # fmt: skip
    assert row["leaves_rotation_s"] == pytest.approx(0.3)
    assert row["returns_to_rotation_s"] == pytest.approx(1.5)


def clock(t_s: float, wall_s: float) -> dict[str, Any]:
    return {"event": "run.clock", "t_s": t_s, "wall_s": wall_s}


def test_each_time_is_as_uncertain_as_what_it_was_seen_by() -> None:
    """Polls are off by half their distance; the engine's start by the wall clock, here 0.02 s."""
    late = {**server(42.0, "UP"), "uncertainty_s": 0.3}
    pairs = clock(0, 100.0), clock(1, 101.02)
    (row,) = rows([fault()], UP_AT_START, server(10.3, "DOWN"), start(40.0), late, *pairs)
    assert row["uncertainty_s"]["leaves_rotation_s"] == pytest.approx(0.1)
    assert row["uncertainty_s"]["returns_to_rotation_s"] == pytest.approx(0.32)


def test_a_heal_of_ours_is_exact_and_a_server_that_never_left_was_back_at_once() -> None:
    (row,) = rows([fault()], UP_AT_START)
    assert row["uncertainty_s"] == {"leaves_rotation_s": 0.0, "returns_to_rotation_s": 0.0}


def test_a_server_that_never_left_was_alive_when_the_wall_clock_says() -> None:
    pairs = clock(0, 100.0), clock(1, 101.02)
    (row,) = rows([fault(kind="crash")], UP_AT_START, start(10.4), *pairs)
    assert row["uncertainty_s"]["leaves_rotation_s"] == pytest.approx(0.02)


def test_each_load_balancer_has_a_row_of_its_own() -> None:
    first, second = rows(
        [fault()], UP_AT_START, server(0.0, "UP", lb="lb-2"), server(10.3, "DOWN"),
        server(12.0, "DOWN", lb="lb-2"), start(40.0), server(41.0, "UP"),
    )  # fmt: skip
    assert (first["lb"], second["lb"]) == ("lb-1", "lb-2")
    assert second["leaves_rotation_s"] == pytest.approx(2.0)
    assert second["returns_to_rotation_s"] is None  # it left, and never came back


def test_a_dead_server_that_never_left_was_in_the_rotation_until_it_was_healed() -> None:
    (row,) = rows([fault()], UP_AT_START)
    assert row["leaves_rotation_s"] == pytest.approx(30.0)
    assert row["left_s"] is None


def test_one_that_is_alive_again_at_once_has_no_need_to_leave() -> None:
    (row,) = rows([fault(kind="crash")], UP_AT_START, start(10.4))
    assert row["leaves_rotation_s"] == pytest.approx(0.4)
    assert row["returns_to_rotation_s"] == 0


def test_the_second_fault_of_a_server_has_times_of_its_own() -> None:
    first, second = rows(
        [fault(), fault("crash-2", kind="crash", start_s=60.0, healed_s=70.0)],
        UP_AT_START, server(10.2, "DOWN"), start(40.0), server(41.0, "UP"),
        server(60.1, "DOWN"), start(60.4), server(62.0, "UP"),
    )  # fmt: skip
    assert first["returns_to_rotation_s"] == pytest.approx(1.0)
    assert second["leaves_rotation_s"] == pytest.approx(0.1)
    assert second["returns_to_rotation_s"] == pytest.approx(1.6)


def test_a_server_that_was_only_added_has_nothing_to_leave() -> None:
    assert rows([fault(kind="start")], UP_AT_START) == []
