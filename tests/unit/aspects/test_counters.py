"""Counters of a target's own: the worst of all services, and only where they were seen."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest
from plain import plain

from harness.aspects.clause import parse_expectation
from harness.aspects.counters import ASPECT, Extent, figures
from harness.aspects.findings_json import findings_from_json
from harness.model.experiment import Experiment, Phase
from harness.record.run import Record

PHASES = tuple(
    Phase(name=name, start_s=start_s, end_s=start_s + 10.0)
    for name, start_s in (("warmup", 0.0), ("fault", 10.0), ("recovery", 20.0))
)


def look(t_s: float, value: float, service: str = "worker") -> dict[str, Any]:
    return {"event": "counter.value", "t_s": t_s, "service": service, "counter": "depth",
            "value": value}  # fmt: skip


def found(*events: dict[str, Any]) -> Any:
    experiment = Experiment.model_construct(phases=PHASES)
    nothing = pd.DataFrame()
    return figures(Record(experiment, list(events), nothing, nothing))


def test_what_a_counter_was_in_each_judged_phase() -> None:
    extents = found(
        look(9.5, 99), look(10.0, 3), look(14.0, 8), look(19.0, 5), look(20.0, 1), look(24.0, 2),
        look(30.0, 77),
    )["depth"]["worker"]  # fmt: skip
    assert extents == {
        "fault": Extent(min=3, max=8, at_end=5, looks=3, silent_s=5.0, late_s=1.0),
        "recovery": Extent(min=1, max=2, at_end=2, looks=2, silent_s=6.0, late_s=6.0),
        "run": Extent(min=1, max=8, at_end=2, looks=5, silent_s=6.0, late_s=6.0),
    }


def test_services_are_told_apart_and_a_silent_one_has_no_phase() -> None:
    extents = found(look(11.0, 1, "b"), look(12.0, 2, "a"), look(21.0, 3, "a"))["depth"]
    assert list(extents) == ["a", "b"]
    assert list(extents["b"]) == ["fault", "run"]
    assert found() == {}


def extent(low: float, high: float, end: float, silent_s: float = 1.0, late_s: float = 1.0) -> Any:
    return plain(Extent(min=low, max=high, at_end=end, looks=9, silent_s=silent_s, late_s=late_s))


def figure(clause: str, **services: Any) -> Any:
    item = parse_expectation("fault", "counter.depth", clause, set())
    by_phase = {service: {"fault": one} if one else {} for service, one in services.items()}
    return ASPECT.figure(item, findings_from_json({"counters": {"depth": by_phase}}))


@pytest.mark.parametrize(
    ("clause", "value", "service"),
    [
        ("max <= 9", 8, "a"),
        ("max >= 9", 7, "b"),
        ("min > 1", 1, "a"),
        ("min < 1", 2, "b"),
        ("at_end == 5", 3, "b"),
        ("at_end <= 5", 5, "a"),
        ("at_end == 3", 5, "a"),
    ],
)
def test_all_services_must_keep_the_limit(clause: str, value: float, service: str) -> None:
    seen = figure(clause, a=extent(1, 8, 5), b=extent(2, 7, 3))
    assert (seen.value, seen.gap) == (value, "")
    assert seen.evidence == f"{value} on {service}, of 9 values"


@pytest.mark.parametrize(
    ("clause", "silent_s", "late_s", "is_gap"),
    [
        ("max <= 9", 4.0, 1.0, False),
        ("max <= 9", 4.1, 1.0, True),
        ("max <= 7", 9.0, 9.0, False),  # it was seen to be more
        ("at_end <= 5", 9.0, 4.0, False),
        ("at_end <= 5", 9.0, 4.1, True),
    ],
)
def test_a_limit_is_kept_only_where_it_was_seen(
    clause: str, silent_s: float, late_s: float, is_gap: bool
) -> None:
    seen = figure(clause, a=extent(1, 8, 5, silent_s, late_s), b=extent(1, 2, 2))
    assert bool(seen.gap) == is_gap
    assert seen.value in (5, 8)


def test_a_service_without_a_value_is_no_evidence() -> None:
    assert figure("max <= 9", a=extent(1, 2, 2), b=None).gap == "depth had no value in fault on b"
    item = parse_expectation("fault", "counter.depth", "max <= 9", set())
    older = ASPECT.figure(item, findings_from_json({}))
    assert (older.value, older.gap) == (None, "the counter depth never had a value")


def test_a_counter_has_a_name_and_an_operation_may_be_called_so() -> None:
    with pytest.raises(ValueError, match=r"unknown subject 'counter'; known: .*counter\.NAME"):
        parse_expectation("fault", "counter", "max <= 9", set())
    assert parse_expectation("fault", "counter", "p95 < 1s", {"counter"}).aspect == "operation"
    assert parse_expectation("fault", "counter.depth", "max < 1", {"counter"}).aspect == "counter"
    with pytest.raises(ValueError, match="counter has no metric 'p95'"):
        parse_expectation("fault", "counter.depth", "p95 < 1s", set())


def test_the_report_has_a_row_for_each_counter_service_and_phase() -> None:
    findings = findings_from_json(
        {"counters": {"depth": {"a": {"fault": extent(1, 8, 5), "run": extent(0, 9, 5, 2.0)}}}}
    )
    [table] = ASPECT.tables(findings)
    assert table.groups[0].rows == [
        ("depth", "a", "fault", 1, 8, 5, 9, 1.0),
        ("depth", "a", "whole run", 0, 9, 5, 9, 2.0),
    ]
    assert len(table.columns) == 8
    assert [t.is_empty for t in ASPECT.tables(findings_from_json({}))] == [True]


def test_what_is_recorded_is_measured() -> None:
    assert ASPECT.measure(cast(Record, Record(
        Experiment.model_construct(phases=PHASES), [look(11, 4)], pd.DataFrame(), pd.DataFrame()
    )), cast(Any, None))["depth"]["worker"]["fault"].max == 4  # fmt: skip
