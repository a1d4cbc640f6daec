"""What a record says of remedies, what they explain, and which parts of a recovery they are."""

from __future__ import annotations

import math
from typing import Any, cast

import pandas as pd
import pytest

from harness.aspects.recovery import Recovery, parts
from harness.aspects.recovery.by_fault import Recovered
from harness.aspects.recovery.parts import Mark
from harness.model.experiment import Experiment, FaultSpec, Phase, RemedySpec
from harness.model.findings import RemedyFound
from harness.model.load import Load
from harness.record.causes import SETTLE_S, Places, causes_of_remedies
from harness.record.deaths import unplanned_deaths, unplanned_starts
from harness.record.remedies import remedies_found
from harness.record.run import Record

PLACES = Places(links={}, servers={}, members=frozenset({"db-1", "db-2"}))
KILL = {"fault": "kill-1", "kind": "kill", "service": "db-1", "start_s": 25.0, "healed_s": None}


def experiment(*remedies: RemedySpec, faults: tuple[FaultSpec, ...] = ()) -> Experiment:
    return Experiment(
        name="x", title="t", load=Load(rate_per_s=1, mix={"a": 1}), operations={}, faults=faults,
        phases=(Phase(name="fault", start_s=0, end_s=90),), remedies=remedies, hypothesis=(),
    )  # fmt: skip


def event(name: str, t_s: float, **facts: Any) -> dict[str, Any]:
    return {"event": name, "t_s": t_s, **facts}


STOP = RemedySpec(id="stop-1", kind="stop", services=("db-1", "db-2"), after_fault="kill-1")
BEGUN = event(
    "remedy.started", 30.0, remedy="stop-1", kind="stop", target="db-1, db-2", start_s=30.0,
    asked_s=29.5,
)  # fmt: skip
DONE = event("remedy.done", 32.0, remedy="stop-1", done_s=32.0, detail="exited", parts=["a", "b"])


def found(*events: dict[str, Any]) -> RemedyFound:
    [one] = remedies_found(experiment(STOP), events)
    return one


def test_each_event_says_more() -> None:
    assert (found().state, found().when, found().took_s) == ("not begun", "after kill-1", None)
    begun = found(BEGUN)
    assert (begun.state, begun.asked_s, begun.start_s) == ("unfinished", 29.5, 30.0)
    done = found(BEGUN, DONE)
    assert (done.state, done.took_s, done.detail) == ("done", 2.0, "exited")
    failed = event("remedy.failed", 31, remedy="stop-1", done_s=31.0, message="m", output=["x"])
    assert (found(BEGUN, failed).state, found(BEGUN, failed).output) == ("failed", ("x",))
    skipped = found(event("remedy.skipped", 31, remedy="stop-1", message="why"))
    assert (skipped.state, skipped.detail) == ("skipped", "why")


def test_what_is_taken_back_part_by_part_is_over_with_the_last() -> None:
    undoing = [event("remedy.undoing", t, remedy="stop-1", target="x") for t in (80.0, 82.0)]
    undone = [
        event("remedy.undone", t, remedy="stop-1", target="x", undone_s=t) for t in (81.0, 83.0)
    ]
    one = found(BEGUN, DONE, undoing[0], undone[0], undoing[1], undone[1])
    assert (one.undoing_s, one.undone_s) == (80.0, 83.0)


def remedy(kind: str, start_s: float, done_s: float | None, *services: str, **facts: Any) -> Any:
    base = {"state": "done" if done_s is not None else "unfinished", "target": ", ".join(services)}
    return RemedyFound(
        remedy=f"{kind}-1", kind=kind, services=services, start_s=start_s, done_s=done_s,
        **{**base, **facts},
    )  # fmt: skip


def record(*events: dict[str, Any], remedies: Any = (), faults: Any = (KILL,)) -> Record:
    nothing = pd.DataFrame()
    return Record(cast(Any, None), [*events], nothing, nothing, [*faults], [*remedies])


@pytest.mark.parametrize(
    ("remedies", "end_s"),
    [
        ([remedy("stop", 30, 31, "db-1")], math.inf),
        ([remedy("stop", 30, 31, "db-1", undone_s=80.0)], 80.0),
        ([remedy("stop", 30, 31, "db-1"), remedy("start", 40, 42, "db-1", "db-2")], 42.0),
        ([remedy("stop", 30, 31, "db-1", "db-2"), remedy("start", 40, 42, "db-1")], math.inf),
        ([remedy("stop", 30, 31, "db-1"), remedy("start", 20, 22, "db-1")], math.inf),
        ([remedy("runbook", 30, 31, "db-1")], 31.0),
        ([remedy("start", 30, 31, "db-1", undoing_s=79.0, undone_s=80.0)], 80.0),
        ([remedy("start", 30, None, "db-1")], math.inf),
    ],
)
def test_until_when_a_remedy_explains(remedies: Any, end_s: float) -> None:
    assert causes_of_remedies(record(remedies=remedies))[0].end_s == end_s + SETTLE_S


def test_all_that_a_remedy_stops_and_starts_is_planned() -> None:
    dies = [event("container.die", 31.0, service=s, exit_code=0) for s in ("db-1", "db-2")]
    starts = [event("container.start", 41.0, service=s) for s in ("db-1", "db-2", "app-4")]
    remedies = [
        remedy("stop", 30, 32, "db-1", "db-2", undone_s=80.0),
        remedy("start", 40, 42, "app-4", undoing_s=80.0, undone_s=81.0),
    ]
    ended = event("container.die", 80.5, service="app-4", exit_code=0)
    seen = record(*dies, *starts, ended, remedies=remedies)
    causes = causes_of_remedies(seen)
    assert unplanned_deaths(seen, PLACES, causes) == []
    assert unplanned_starts(seen, causes) == []
    again = event("container.die", 50.0, service="db-1", exit_code=1)
    twice = record(*dies, again, remedies=remedies)
    assert [one.at_s for one in unplanned_deaths(twice, PLACES, causes)] == [50.0]


def test_a_run_without_faults_is_about_its_remedies() -> None:
    remedies = [remedy("start", 30, 31, "app-4"), remedy("start", 35, 36, "app-5")]
    assert record(remedies=remedies).changes_s == [25.0]
    assert record(remedies=remedies, faults=()).changes_s == [30, 35]


# -- parts of a recovery


def recovered(time_s: float = 45.0) -> Recovered:
    return Recovered(recovery_time_s=time_s, uncertainty_s=0.01, fault_start_s=25.0)


def page(t_s: float, status: str = "firing") -> dict[str, Any]:
    alert = {"alert": "A", "severity": "critical", "labels": {}}
    return event("alert.notified", t_s, status=status, alerts=[alert], uncertainty_s=0.0)


def test_what_people_did_is_a_part_of_the_recovery() -> None:
    remedies = [remedy("stop", 40, 42, "db-1"), remedy("start", 60, 63, "db-1")]
    seen = record(page(20.0), page(26.0, "resolved"), page(33.0), remedies=remedies)
    marks = parts.marks(seen, recovered())
    assert [(mark.part, mark.at_s) for mark in marks] == [
        ("noticed_s", 33.0), ("decided_s", 40.0), ("restored_s", 63.0), ("first_success_s", 70.0),
    ]  # fmt: skip
    assert parts.durations(marks, 25.0) == {
        "noticed_s": 8.0, "decided_s": 7.0, "restored_s": 23.0, "first_success_s": 7.0,
    }  # fmt: skip


def test_without_a_pager_nobody_was_seen_to_notice() -> None:
    marks = parts.marks(record(remedies=[remedy("start", 40, 41, "db-1")]), recovered())
    assert [mark.part for mark in marks] == ["decided_s", "restored_s", "first_success_s"]


def test_what_came_before_a_page_stays_before_it() -> None:
    """An order of parts would move the polled promotion to the page, half a minute late."""
    look = {"unlocked": False, "uncertainty_s": 0.15}
    led = [
        event("patroni.cluster", t, leader=n, **look) for t, n in ((20.0, "db-1"), (30.0, "db-2"))
    ]
    later = event("lb.server", 69.0, lb="l", backend="rw", server="db-2", status="UP")
    marks = parts.marks(record(*led, page(60.0), later), recovered())
    assert [(mark.part, mark.at_s) for mark in marks] == [
        ("detected_s", 30.0), ("promoted_s", 30.0), ("noticed_s", 60.0), ("routed_s", 69.0),
        ("first_success_s", 70.0),
    ]  # fmt: skip


def test_a_remedy_after_the_recovery_has_no_part_in_it() -> None:
    remedies = [remedy("start", 40, 41, "db-1"), remedy("start", 75, 76, "app-4")]
    marks = parts.marks(record(remedies=remedies), recovered())
    assert [(mark.part, mark.at_s) for mark in marks][:-1] == [
        ("decided_s", 40.0), ("restored_s", 41.0),
    ]  # fmt: skip


def test_the_parts_of_a_recovery_are_shown_in_the_order_of_its_marks() -> None:
    marks = [Mark("restored_s", 41.0, 0, ""), Mark("healed_s", 50.0, 0, "")]
    one = Recovery(**cast(Any, {"marks": marks, "parts": {"healed_s": 9.0, "restored_s": 1.0}}))
    assert [name for name, _ in one.parts_in_order] == ["restored_s", "healed_s"]
