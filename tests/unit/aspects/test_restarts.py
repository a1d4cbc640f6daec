"""Exits of containers that no fault explains: counted by container, judged, shown, compared."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest

from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.restarts import ASPECT, Restarts, figures
from harness.model.compared import Measured
from harness.model.expectation import Expectation
from harness.model.findings import RemedyFound
from harness.model.metric import Metric
from harness.model.page import Column, Group, Tile
from harness.record.run import Record

NOTHING = pd.DataFrame()
KILL = {
    "fault": "kill-1", "kind": "kill", "service": "app-1", "services": ["app-1"],
    "start_s": 30.0, "healed_s": 60.0,
}  # fmt: skip
ITEM = parse_expectation("run", "restarts", "unexpected == 0", set())


def parts(*services: str) -> dict[str, Any]:
    facts = {"role": "app", "is_instrument": False, "is_running": True, "is_standby": False}
    rows = [{"service": name, "probes": [], **facts} for name in services]
    return {"event": "target.parts", "t_s": -0.4, "parts": rows}


def exits(t_s: float, service: str, code: int = 137) -> dict[str, Any]:
    return {"event": "container.die", "t_s": t_s, "service": service, "exit_code": code}


def starts(t_s: float, service: str) -> dict[str, Any]:
    return {"event": "container.start", "t_s": t_s, "service": service}


def found_in(*events: dict[str, Any], remedies: tuple[RemedyFound, ...] = ()) -> Restarts:
    none = cast(Any, None)
    return figures(Record(none, list(events), NOTHING, NOTHING, [KILL], remedies=list(remedies)))


def test_exits_that_no_fault_explains_are_counted_by_container() -> None:
    log = [
        exits(10.0, "app-2"), starts(11.5, "app-2"), exits(20.0, "app-2", 1), exits(25.0, "app-3"),
    ]  # fmt: skip
    found = found_in(parts("app-1", "app-2", "app-3"), *log)
    assert found.unexpected == 3
    assert found.by_container == {"app-2": 2, "app-3": 1}
    assert [(one.service, one.exit_code, one.back_s) for one in found.exits] == [
        ("app-2", 137, 11.5), ("app-2", 1, None), ("app-3", 137, None),
    ]  # fmt: skip


def test_what_a_fault_did_and_a_job_that_ended_well_are_not_unexpected() -> None:
    found = found_in(parts("app-1"), exits(30.1, "app-1"), exits(5.0, "migrate", 0))
    assert found.unexpected == 0
    assert found.by_container == {}


def test_what_an_operator_stopped_is_not_unexpected() -> None:
    stop = RemedyFound(
        remedy="stop-1", kind="stop", target="db-1", services=("db-1",), start_s=40.0
    )
    log = [exits(42.0, "db-1", 0), exits(42.0, "db-2", 0)]
    found = found_in(parts("db-1", "db-2"), *log, remedies=(stop,))
    assert found.by_container == {"db-2": 1}


def test_without_a_watch_there_is_no_count() -> None:
    assert found_in(exits(10.0, "app-2")) == Restarts()
    item: Expectation = ITEM
    figure = ASPECT.figure(item, findings_from_json({}))
    assert (figure.value, figure.gap) == (None, "the containers were not watched")


@pytest.mark.parametrize(
    ("section", "value", "evidence"),
    [
        ({"unexpected": 0, "by_container": {}}, 0, "no unexpected exit"),
        ({"unexpected": 3, "by_container": {"b": 1, "a": 2}}, 3, "unexpected exits: a 2, b 1"),
    ],
)
def test_the_figure_is_the_count(section: dict[str, Any], value: int, evidence: str) -> None:
    figure = ASPECT.figure(ITEM, findings_from_json({"restarts": section}))
    assert (figure.value, figure.evidence) == (value, evidence)
    assert ASPECT.metrics["restarts"]["unexpected"] == Metric(
        "count", "exited_unexpectedly", is_invariant=True
    )


def test_it_stands_on_top_of_the_report_and_each_exit_in_a_table() -> None:
    death = {"service": "app-2", "at_s": 10.0, "exit_code": 137, "is_for_memory": True}
    section = {"unexpected": 1, "by_container": {"app-2": 1}, "exits": [{**death, "back_s": None}]}
    findings = findings_from_json({"restarts": section})
    assert list(ASPECT.tiles(findings)) == [Tile("unexpected exits", 1, "of containers", "bad")]
    (table,) = ASPECT.tables(findings)
    assert (table.title, table.id) == ("Unexpected exits", "restarts")
    assert list(table.columns) == [
        Column("Container"), Column("At", "clock"), Column("Exit code"),
        Column("For memory", "flag"), Column("Back at", "clock"),
    ]  # fmt: skip
    assert list(table.groups) == [Group("", [("app-2", 10.0, 137, True, None)])]


def test_the_report_lists_twenty_exits_and_says_how_many_more_there_were() -> None:
    death = {"service": "web", "exit_code": 1, "is_for_memory": False, "back_s": None}
    exits = [{**death, "at_s": float(n)} for n in range(23)]
    section = {"unexpected": 23, "by_container": {"web": 23}, "exits": exits}
    (table,) = ASPECT.tables(findings_from_json({"restarts": section}))
    assert [len(group.rows) for group in table.groups] == [20]
    assert table.text == "The first 20; 3 more are in findings.json."
    section["exits"] = exits[:20]
    (table,) = ASPECT.tables(findings_from_json({"restarts": section}))
    assert table.text == ""


def test_without_an_exit_the_tile_is_good_and_without_a_watch_there_is_none() -> None:
    none = findings_from_json({"restarts": {"unexpected": 0}})
    assert list(ASPECT.tiles(none)) == [Tile("unexpected exits", 0, "of containers", "good")]
    assert list(ASPECT.tiles(findings_from_json({}))) == []
    ((_, measured),) = ASPECT.compare(none, set())
    assert measured == Measured(0.0)


def test_one_exit_more_is_bad_news_in_a_single_run() -> None:
    findings = findings_from_json({"restarts": {"unexpected": 1}})
    ((figure, measured),) = ASPECT.compare(findings, set())
    assert (figure.id, figure.never, measured) == ("run.restarts.unexpected", 1.0, Measured(1.0))
    assert list(ASPECT.compare(findings_from_json({}), set())) == []
