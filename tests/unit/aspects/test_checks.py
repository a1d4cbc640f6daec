"""Looks of a check before, during and after the faults: counted, judged, compared, shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd
import pytest

from harness.aspects import RESERVED, subject_kind
from harness.aspects.checks import ASPECT, Check, Looks, figures
from harness.aspects.findings_json import findings_from_json
from harness.experiment_file.checks import expectations
from harness.model.check import CheckSpec
from harness.model.compared import Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Figure
from harness.model.load import Load
from harness.model.metric import Metric
from harness.model.page import Group, Tile
from harness.record.run import Record

NOTHING = pd.DataFrame()
SPEC = CheckSpec(
    name="drained", kind="command", parameters={}, expect=("count <= 0",),
    when=("before", "during", "after"), within_s=10,
)  # fmt: skip
BEFORE, DURING, AFTER, WITHIN = expectations(SPEC)
FAULTS = [
    {"fault": "kill-1", "start_s": 30.0, "healed_s": 40.0},
    {"fault": "kill-2", "start_s": 50.0, "healed_s": 60.0},
    {"fault": "kill-3", "start_s": None, "healed_s": None},
]


def look(t_s: float, holds: bool | None, seen: str = "", check: str = "drained") -> dict[str, Any]:
    """One that took 0.2 s."""
    event = {"event": "check.look", "check": check, "t_s": t_s, "took_s": 0.2}
    return {**event, "holds": holds, "seen": seen or ("0" if holds else "count was 17")}


def found(*events: dict[str, Any], faults: Any = FAULTS, spec: CheckSpec = SPEC) -> Check:
    phases = (
        Phase(name="warmup", start_s=0, end_s=10), Phase(name="baseline", start_s=10, end_s=30),
        Phase(name="fault", start_s=30, end_s=80),
    )  # fmt: skip
    experiment = Experiment(
        name="x", title="t", load=Load(rate_per_s=1, mix={"x": 1}), operations={}, phases=phases,
        faults=(), hypothesis=(), checks=(spec,),
    )  # fmt: skip
    return figures(Record(experiment, list(events), NOTHING, NOTHING, faults))["drained"]


def figure(item: Expectation, check: Check) -> Figure:
    """Of findings that were written and read again."""
    return ASPECT.figure(item, findings_from_json({"checks": {"drained": asdict(check)}}))


def test_looks_are_counted_where_they_lie_whole() -> None:
    times = (9.9, 10.1, 10.2, 29.9, 30.1, 30.2, 39.9, 40.1, 45.0, 50.2, 60.0, 60.1, 60.2, 85.0)
    check = found(*(look(t_s, holds=True) for t_s in times), look(20.0, None, check="other"))
    assert check.before.looks == 2  # 10.2, 29.9
    assert check.during.looks == 4  # 30.2, 39.9, 50.2, 60.0
    assert check.after.looks == 2  # 60.2, 85.0


def test_the_first_seconds_of_a_fault_do_not_count_where_grace_is_given() -> None:
    times = (30.2, 37.9, 38.1, 38.2, 39.9, 45.0, 50.2, 58.2, 60.0, 60.3)
    patient = SPEC.model_copy(update={"grace_s": 8.0})
    check = found(*(look(t_s, holds=t_s > 38) for t_s in times), spec=patient)
    assert (check.during.looks, check.during.held) == (4, 4)  # 38.2, 39.9, 58.2, 60.0
    assert check.after.looks == 1


def test_without_a_fault_all_is_before() -> None:
    check = found(look(15.0, holds=True), look(79.0, holds=True), faults=[])
    assert (check.before.looks, check.during.looks, check.after.looks) == (2, 0, 0)


def test_what_is_not_healed_has_no_after() -> None:
    forever = [{"fault": "kill-1", "start_s": 30.0, "healed_s": None}]
    check = found(look(70.0, holds=True), faults=forever)
    assert (check.during.looks, check.after.looks) == (1, 0)


@pytest.mark.parametrize(("item", "at_s"), [(BEFORE, 20.0), (DURING, 35.0), (AFTER, 70.0)])
def test_it_must_hold_at_each_look(item: Expectation, at_s: float) -> None:
    holding = [look(at_s + n, holds=True) for n in range(3)]
    assert figure(item, found(*holding)) == Figure(1.0, "held at all 3 looks; last seen: 0")
    missed = figure(item, found(holding[0], look(at_s + 1, holds=False), holding[2]))
    text = f"at {at_s + 1:.1f} s count was 17 (1 of 3 looks); last seen at {at_s + 2:.1f} s: 0"
    assert missed == Figure(0.0, text)
    assert not item.holds(missed.value or 0.0)


def test_looks_that_could_not_be_made_prove_nothing_and_excuse_nothing() -> None:
    unseen = look(36.0, None, "no container of db runs")
    check = found(look(35.0, holds=True), unseen)
    assert check.during.holds is None
    gap = figure(DURING, check)
    assert (gap.value, gap.gap_code) == (None, "not_measured")
    assert gap.gap == "1 of 2 looks could not be made; last: no container of db runs"
    assert figure(DURING, found(look(35.0, holds=False), unseen)).value == 0.0


def test_without_a_look_there_is_no_figure() -> None:
    assert figure(AFTER, found()).gap == "there was no look in that time"
    nowhere = ASPECT.figure(BEFORE, findings_from_json({}))
    assert nowhere.gap == "it was not looked at"


@pytest.mark.parametrize(
    ("events", "value", "uncertainty"),
    [
        ([look(61.0, holds=True)], 0.5, 0.5),
        ([look(61.0, holds=False), look(62.0, holds=False), look(63.0, holds=True)], 2.4, 0.6),
        ([look(61.0, None), look(62.0, holds=True)], 1.4, 0.6),
        ([look(60.1, holds=True), look(61.0, holds=False), look(65.0, holds=True)], 2.9, 2.1),
    ],
)
def test_the_time_until_it_holds_lies_between_two_looks(
    events: list[dict[str, Any]], value: float, uncertainty: float
) -> None:
    got = figure(WITHIN, found(*events))
    assert got.value == pytest.approx(value)
    assert got.uncertainty == pytest.approx(uncertainty)
    assert WITHIN.holds(value)
    assert got.evidence.startswith("it held ")


def test_one_that_does_not_hold_in_time_fails_with_what_was_seen_last() -> None:
    events = [look(60.5 + n, holds=False, seen=f"count was {40 - n}") for n in range(12)]
    got = figure(WITHIN, found(*events))
    assert (got.value, got.failure_code) == (None, "check_failed")
    assert got.failure == "it did not hold within 11.50 s of healing; last: count was 29"


def test_one_that_was_not_watched_long_enough_proves_nothing() -> None:
    events = [look(60.5 + n, holds=False) for n in range(9)]
    got = figure(WITHIN, found(*events))
    assert got.failure == ""
    assert got.gap == (
        "it was watched for 8.50 s after healing, in 9 looks of which 0 could not be made;"
        " last: count was 17"
    )
    blind = figure(WITHIN, found(*(look(60.5 + n, None) for n in range(20))))
    assert blind.gap.startswith("it was watched for 19.50 s after healing, in 20 looks of which 20")


def test_what_a_check_expects_is_said_as_people_say_it() -> None:
    assert [item.id for item in (BEFORE, DURING, AFTER, WITHIN)] == [
        "run.check.drained.before", "run.check.drained.during", "run.check.drained.after",
        "run.check.drained.within",
    ]  # fmt: skip
    assert [item.text for item in (BEFORE, DURING, AFTER, WITHIN)] == [
        "count <= 0 before the fault", "count <= 0 during the fault",
        "count <= 0 after healing", "count <= 0 within 10.00 s of healing",
    ]  # fmt: skip
    assert (WITHIN.comparison, WITHIN.limit, WITHIN.unit) == ("<=", 10.0, "s")
    assert (BEFORE.comparison, BEFORE.limit, BEFORE.unit) == ("==", 1.0, "flag")
    plain = CheckSpec(name="up", kind="http", parameters={}, when=("after",))
    assert expectations(plain)[0].text == "http succeeds after healing"
    assert ASPECT.metrics["check"]["within"] == Metric("s", "check_failed")


def test_check_is_no_name_that_operations_lose() -> None:
    assert "check" not in RESERVED
    assert subject_kind("check", {"check"}) == "operation"
    assert subject_kind("check.drained", set()) == "check"


def test_it_is_compared_by_the_time_until_it_held() -> None:
    section = {"checks": {"drained": {"held_after_s": 2.5}, "up": {}}}
    ((compared, measured),) = ASPECT.compare(findings_from_json(section), set())
    assert (compared.id, compared.kind) == ("run.check.drained.within", "duration")
    assert measured == Measured(2.5)


def test_the_report_shows_what_was_seen() -> None:
    looks = {"holds": False, "looks": 3, "held": 1, "unseen": 1, "missed_s": 12.0,
             "missed": "count was 17", "last_s": 20.0, "last": "0"}  # fmt: skip
    section = {"drained": {"kind": "sql", "expect": ["count <= 0"], "before": looks,
                           "held_after_s": 2.5, "uncertainty_s": 0.5}}  # fmt: skip
    findings = findings_from_json({"checks": section})
    assert list(ASPECT.tiles(findings)) == [
        Tile("drained", 2.5, "after healing", "", uncertainty_s=0.5, format="seconds")
    ]
    (table,) = ASPECT.tables(findings)
    assert (table.title, table.id) == ("Checks", "checks")
    row = ("before", 3, 1, 1, 12.0, "count was 17", 20.0, "0")
    assert list(table.groups) == [Group("drained: count <= 0", [row])]
    (empty,) = ASPECT.tables(findings_from_json({}))
    assert empty.is_empty


def test_findings_without_checks_are_those_of_older_versions() -> None:
    assert findings_from_json({}).of(ASPECT) == {}
    assert Check().of("before") == Looks()
