"""What the target's own state says: of several faults, nodes and checks in any order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.target import ASPECT, Target, figures
from harness.model.page import Column
from harness.record.run import Record

NOTHING = pd.DataFrame()
FLAGS = list(ASPECT.metrics["target"])


def fault(name: str, kind: str, service: str | None, **changes: Any) -> dict[str, Any]:
    return {"fault": name, "kind": kind, "service": service, "start_s": 30.0,
            "selector": {"role": "app"}, **changes}  # fmt: skip


def event(name: str, t_s: float, **facts: Any) -> dict[str, Any]:
    return {"event": name, "t_s": t_s, **facts}


def found(faults: list[dict[str, Any]], *events: dict[str, Any]) -> Target:
    experiment = cast(Any, SimpleNamespace(end_s=90.0))
    return figures(Record(experiment, list(events), NOTHING, NOTHING, faults))


def starts(t_s: float, service: str) -> dict[str, Any]:
    return event("container.start", t_s, service=service)


def healing(t_s: float, name: str) -> dict[str, Any]:
    return event("fault.healing", t_s, fault=name)


def test_where_nobody_looked_nothing_is_known() -> None:
    assert found([fault("kill-1", "kill", "app-1")]) == Target(details=cast(Any, {}))


def test_the_last_check_before_and_after_counts() -> None:
    details = {"problems": ["db-3 is behind"]}
    checked = found(
        [],
        event("target.check", 99.0, when="after", healthy=False, details=details),
        event("target.check", 95.0, when="after", healthy=True),
        event("target.check", -5.0, when="before", healthy=True, details={"problems": ["x"]}),
    )
    assert (checked.healthy_before, checked.healthy, checked.details) == (True, False, details)
    assert found([], event("target.check", 1.0, when="before", healthy=False)).healthy is None


CRASH, OTHER = fault("crash-1", "crash", "app-1"), fault("oom-1", "out_of_memory", "app-2")


@pytest.mark.parametrize(
    ("faults", "events", "restarted"),
    [
        ([CRASH], [starts(30.4, "app-1")], True),
        ([CRASH], [], False),
        ([CRASH], [starts(30.4, "app-2")], False),
        ([CRASH], [starts(30.0, "app-1")], False),  # it began with that start
        ([CRASH], [starts(29.0, "app-1"), starts(90.0, "app-1")], False),  # before, and at the end
        ([CRASH], [starts(89.9, "app-1")], True),
        ([CRASH], [healing(50.0, "crash-1"), starts(50.0, "app-1")], False),  # the healing did it
        ([CRASH], [healing(50.0, "crash-1"), starts(49.9, "app-1")], True),
        ([CRASH], [healing(40.0, "kill-9"), starts(50.0, "app-1")], True),
        ([CRASH, OTHER], [starts(31.0, "app-1"), starts(32.0, "app-2")], True),
        ([CRASH, OTHER], [starts(31.0, "app-1")], False),  # each of them has to
        ([CRASH, OTHER], [starts(32.0, "app-2")], False),
        ([{**CRASH, "start_s": None}], [starts(31.0, "app-1")], False),
        ([fault("kill-1", "kill", "app-1")], [starts(31.0, "app-1")], None),
    ],
)
def test_each_crash_must_be_ended_by_the_engine_before_it_is_healed(
    faults: list[dict[str, Any]], events: list[dict[str, Any]], restarted: bool | None
) -> None:
    assert found(faults, *events).restarted_by_itself is restarted


@pytest.mark.parametrize(
    ("kills", "killed"),
    [([], None), ([True], True), ([True, True], True), ([True, False], False), ([None], False)],
)
def test_each_fault_of_memory_must_have_had_its_kill(
    kills: list[bool | None], killed: bool | None
) -> None:
    memory = [
        fault(f"oom-{at}", "out_of_memory", "app-1", **{"killed_for_memory": one} if one else {})
        for at, one in enumerate(kills)
    ]
    assert found([*memory, CRASH]).killed_for_memory is killed


def primary(name: str, service: str | None, kind: str = "kill") -> dict[str, Any]:
    return fault(name, kind, service, selector={"role": "db-primary"})


@pytest.mark.parametrize(
    ("faults", "rejoined", "is_back", "is_built"),
    [
        ([], ["db-1"], None, None),
        ([CRASH], ["app-1"], None, None),
        ([primary("kill-1", "db-1")], ["db-1", "db-2"], True, None),
        ([primary("kill-1", "db-1")], ["db-2"], False, None),
        ([primary("kill-1", None)], ["db-1"], None, None),  # none was found to break
        ([primary("a", "db-1"), primary("b", "db-2")], ["db-2", "db-1"], True, None),
        ([primary("a", "db-1"), primary("b", "db-2")], ["db-2"], False, None),
        ([primary("a", "db-1"), primary("b", "db-2", "wipe")], ["db-1"], False, False),
        ([CRASH, primary("b", "db-2", "wipe")], ["db-2"], True, True),
        ([fault("wipe-1", "wipe", "db-3", selector={"service": "db-3"})], ["db-3"], None, None),
    ],
)
def test_each_former_primary_must_be_a_replica_again(
    faults: list[dict[str, Any]], rejoined: list[str], is_back: bool | None, is_built: bool | None
) -> None:
    events = [event("target.rejoined", 70.0, service=name) for name in rejoined]
    target = found(faults, *events)
    assert (target.old_primary_rejoined, target.new_replica_built) == (is_back, is_built)


@pytest.mark.parametrize("name", FLAGS)
def test_each_flag_is_judged_by_its_own_field(name: str) -> None:
    item = parse_expectation("run", "target", name, set())
    others = dict.fromkeys(FLAGS, True)
    problems = {"problems": ["db-3 is behind", "app-1 does not run"]}
    for value in (True, False):
        target = {**others, name: value, "details": problems}
        figure = ASPECT.figure(item, findings_from_json({"target": target}))
        assert figure.value == (1.0 if value else 0.0)
        not_so = (
            "db-3 is behind; app-1 does not run" if name == "healthy" else "this was not the case"
        )
        assert figure.evidence == ("observed" if value else not_so)
    unknown = ASPECT.figure(item, findings_from_json({"target": {**others, name: None}}))
    assert (unknown.value, unknown.gap) == (None, f"`{name}` was not observed")
    silent = ASPECT.figure(item, findings_from_json({"target": {name: False}}))
    assert silent.evidence == "this was not the case"


def test_the_report_has_what_is_known_by_name_and_what_was_wrong() -> None:
    problems = ["db-3 is behind", "app-1 does not run"]
    target = {"restarted_by_itself": True, "healthy": False, "healthy_before": True,
              "killed_for_memory": None, "details": {"problems": problems}}  # fmt: skip
    (table,) = ASPECT.tables(findings_from_json({"target": target}))
    assert (table.title, table.id, table.text) == (
        "The target after the run", "target", "db-3 is behind; app-1 does not run",
    )  # fmt: skip
    assert list(table.columns) == [Column("Check"), Column("Result")]
    assert [(group.name, list(group.rows)) for group in table.groups] == [
        ("", [("healthy", False), ("healthy before", True), ("restarted by itself", True)])
    ]
