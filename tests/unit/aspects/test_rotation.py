"""Rotation of a broken server, from HAProxy's and the engine's events whose truth is known."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest
from plain import plain

from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.rotation import ASPECT, Row, figures
from harness.model.expectation import Expectation
from harness.model.page import Column, Group
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


def other(t_s: float, status: str, **changes: Any) -> dict[str, Any]:
    return {**server(t_s, status), "backend": "create", "lb": "lb-2", **changes}


def test_a_row_in_full_of_each_backend_by_name_and_none_of_a_databases() -> None:
    changes = [server(0.0, "UP"), server(10.25, "DOWN"), server(41.5, "UP")]
    found = figures(
        Record(
            cast(Any, None),
            [
                other(0.0, "UP"), *changes, start(40.0), other(12.0, "MAINT"), other(39.0, "UP"),
                *(other(10.5, "DOWN", backend=name) for name in ("rw", "ro")),
            ],
            NOTHING, NOTHING, [fault(service="app-9"), fault()],
        )
    )  # fmt: skip
    times = {"fault": "kill-1", "server": "app-2", "alive_s": 40.0}
    assert found == [
        Row(**times, lb="lb-1", backend="read", left_s=10.25, leaves_rotation_s=0.25,
            returned_s=41.5, returns_to_rotation_s=1.5,
            uncertainty_s={"leaves_rotation_s": 0.1, "returns_to_rotation_s": 0.1}),
        # the balancer saw it before the engine's event says that it was alive: at once
        Row(**times, lb="lb-2", backend="create", left_s=12.0, leaves_rotation_s=2.0,
            returned_s=39.0, returns_to_rotation_s=0.0,
            uncertainty_s={"leaves_rotation_s": 0.1, "returns_to_rotation_s": 0.1}),
    ]  # fmt: skip


def test_what_was_before_the_fault_or_belongs_to_the_next_one_does_not_count() -> None:
    faults = [
        fault(), fault("kill-2", service="app-1", start_s=20.0),
        fault("kill-3", start_s=50.0, healed_s=None), fault("kill-4", start_s=70.0),
    ]  # fmt: skip
    events = [
        server(9.9, "DOWN"), server(10.0, "UP"), start(10.0), server(50.0, "DOWN"), start(50.0),
        server(45.0, "DOWN", server="app-1"), start(49.9, service="app-1"),
    ]  # fmt: skip
    first, second, third, fourth = rows(faults, *events)
    assert [row["fault"] for row in (first, second, third, fourth)] == [
        "kill-1", "kill-2", "kill-3", "kill-4",
    ]  # fmt: skip
    assert (first["left_s"], first["alive_s"]) == (None, 40.0)  # when it was healed
    assert (first["leaves_rotation_s"], first["returns_to_rotation_s"]) == (30.0, 0.0)
    assert (second["left_s"], second["alive_s"]) == (45.0, 49.9)
    assert (third["left_s"], third["leaves_rotation_s"]) == (50.0, 0.0)
    assert (third["alive_s"], third["returns_to_rotation_s"]) == (None, None)
    assert fourth["left_s"] is None


def test_what_came_back_only_after_the_next_fault_of_the_server_never_came_back() -> None:
    first, second = rows(
        [fault(), fault("crash-2", kind="crash", start_s=60.0, healed_s=70.0)],
        server(10.0, "UP"), server(10.2, "DOWN"), start(60.4), server(62.0, "UP"),
        server(63.0, "DOWN"), server(64.0, "UP"),
    )  # fmt: skip
    assert (first["left_s"], first["alive_s"], first["returned_s"]) == (10.2, 40.0, None)
    assert (second["left_s"], second["alive_s"], second["returned_s"]) == (63.0, 60.4, 64.0)


def test_nobody_knows_how_long_one_was_in_the_rotation_that_never_left_nor_lived() -> None:
    (row,) = rows([fault(healed_s=None)], UP_AT_START)
    assert (row["leaves_rotation_s"], row["returns_to_rotation_s"]) == (None, None)


def test_a_look_without_an_uncertainty_is_exact() -> None:
    """So it is in runs of older versions; a wall clock that nobody read adds nothing."""
    left, back = (
        {**server(t_s, s), "uncertainty_s": None} for t_s, s in ((11, "DOWN"), (42, "UP"))
    )
    del left["uncertainty_s"]
    (row,) = rows([fault()], UP_AT_START, left, start(40.0), back)
    assert row["uncertainty_s"] == {"leaves_rotation_s": 0.0, "returns_to_rotation_s": 0.0}


FAULTS = [
    {"fault": name, "kind": "kill", "proven": True, "start_s": start_s, "phase": phase}
    for name, start_s, phase in (("kill-1", 30.0, "early"), ("kill-2", 60.0, "late"),
                                 ("kill-3", 65.0, "late"))
]  # fmt: skip


def found_row(fault: str, lb: str, leaves_s: float | None, returns_s: float | None) -> Any:
    return {"fault": fault, "server": f"app-{fault[-1]}", "lb": lb, "backend": "read",
            "leaves_rotation_s": leaves_s, "returns_to_rotation_s": returns_s,
            "uncertainty_s": {"leaves_rotation_s": 0.05, "returns_to_rotation_s": 0.2}}  # fmt: skip


ROWS = [
    found_row("kill-1", "lb-1", 9.0, 1.0), found_row("kill-2", "lb-1", 0.5, 1.5),
    found_row("kill-3", "lb-2", 0.25, 3.5), found_row("kill-2", "lb-2", 2.25, 2.5),
]  # fmt: skip


def item(metric: str, phase: str) -> Expectation:
    return parse_expectation(phase, "rotation", f"{metric} <= 10s", set())


@pytest.mark.parametrize(
    ("metric", "phase", "value", "half_s", "text"),
    [
        ("leaves_rotation", "early", 9.0, 0.05, "app-1 on lb-1/read: 9.00 s (worst)"),
        ("leaves_rotation", "late", 2.25, 0.05, "app-2 on lb-2/read: 2.25 s (worst)"),
        ("leaves_rotation", "run", 9.0, 0.05, "app-1 on lb-1/read: 9.00 s (worst)"),
        ("returns_to_rotation", "late", 3.5, 0.2, "app-3 on lb-2/read: 3.50 s (worst)"),
    ],
)
def test_the_worst_of_all_balancers_and_of_the_phases_faults_counts(
    metric: str, phase: str, value: float, half_s: float, text: str
) -> None:
    findings = findings_from_json({"faults": FAULTS, "rotation": ROWS})
    figure = ASPECT.figure(item(metric, phase), findings)
    assert (figure.value, figure.evidence) == (value, text)
    assert figure.uncertainty == pytest.approx(half_s)


@pytest.mark.parametrize(
    ("metric", "row", "why", "code"),
    [
        ("leaves_rotation", found_row("kill-3", "lb-2", None, 1.0),
         "app-3 never left on lb-2 after kill-3", "never_left_rotation"),
        ("returns_to_rotation", found_row("kill-2", "lb-1", 1.0, None),
         "app-2 never returned on lb-1 after kill-2", "never_returned_rotation"),
    ],
)  # fmt: skip
def test_one_that_never_did_fails_its_phase_and_the_run(
    metric: str, row: Any, why: str, code: str
) -> None:
    findings = findings_from_json({"faults": FAULTS, "rotation": [*ROWS, row]})
    for phase in ("late", "run"):
        figure = ASPECT.figure(item(metric, phase), findings)
        assert (figure.value, figure.failure, figure.failure_code) == (None, why, code)
    assert ASPECT.figure(item(metric, "early"), findings).failure == ""


def test_without_a_row_of_the_phases_faults_there_is_no_figure() -> None:
    findings = findings_from_json({"faults": FAULTS, "rotation": ROWS[1:]})
    figure = ASPECT.figure(item("leaves_rotation", "early"), findings)
    assert (figure.value, figure.gap) == (
        None,
        "no load balancer reported the state of a broken server",
    )
    assert figure.gap_code == "not_measured"


def test_the_report_has_a_row_for_each_fault_balancer_and_backend() -> None:
    times = {"left_s": 39.0, "alive_s": 40.0, "returned_s": 41.0}
    old = {**ROWS[2], "backend": "", "alive_s": 70.0}
    (table,) = ASPECT.tables(findings_from_json({"rotation": [{**ROWS[0], **times}, old]}))
    assert (table.title, table.id) == ("Load balancer rotation", "rotation")
    assert list(table.columns) == [
        Column("Fault"), Column("Server"), Column("Balancer"), Column("Left after", "seconds"),
        Column("Alive at", "clock"), Column("Back at", "clock"),
        Column("Back, since alive", "seconds"),
    ]  # fmt: skip
    assert list(table.groups) == [
        Group("", [
            ("kill-1", "app-1", "lb-1 · read", 9.0, 40.0, 41.0, 1.0),
            ("kill-3", "app-3", "lb-2", "never left", 70.0, None, 3.5),
        ])
    ]  # fmt: skip
