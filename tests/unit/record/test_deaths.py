"""Containers that ended, and who ended them; moments at the edges of what a fault explains."""

from __future__ import annotations

import math
from typing import Any, cast

import pandas as pd
import pytest

from harness.record.causes import Cause, Places
from harness.record.deaths import (
    Death,
    death_causes,
    lone_memory_kills,
    unplanned_deaths,
    unplanned_pauses,
    unplanned_starts,
)
from harness.record.run import Record

PLACES = Places(
    links={"app-1.redis": "redis", "app-2.redis": "redis"},
    servers={"lb-1": frozenset({"app-1", "app-2"})},
    members=frozenset({"db-1"}),
    roles={"worker": "worker", "migrate": "", "app-1": "app"},
    instruments=frozenset({"toxi"}),
)


def event(name: str, t_s: float, service: str, **facts: Any) -> dict[str, Any]:
    return {"event": f"container.{name}", "t_s": t_s, "service": service, **facts}


def dies(t_s: float, service: str, code: int | None = 137) -> dict[str, Any]:
    return event("die", t_s, service, **({} if code is None else {"exit_code": code}))


def record(*events: dict[str, Any], begun_s: float | None = None) -> Record:
    started = [{"event": "run.started", "t_s": begun_s}] if begun_s is not None else []
    nothing = pd.DataFrame()
    return Record(cast(Any, None), [*events, *started], nothing, nothing)


def cause(
    kind: str, *services: str, name: str = "", healing_s: float = math.inf, start_s: float = 30.0
) -> Cause:
    return Cause(
        name or f"{kind}-1", kind, frozenset(services), frozenset(), start_s, 80.0, healing_s
    )


def deaths(*events: dict[str, Any], causes: tuple[Cause, ...] = ()) -> list[tuple[str, float]]:
    found = unplanned_deaths(record(*events), PLACES, causes)
    return [(death.service, death.at_s) for death in found]


def test_a_death_with_all_that_is_known_of_it() -> None:
    events = [
        dies(40, "app-2"), event("start", 39.0, "app-2"), event("start", 40.0, "app-2"),
        event("start", 41.0, "app-1"), event("start", 42, "app-2"), event("start", 43.0, "app-2"),
        dies(20.0, "worker", None), event("oom", 25.0, "worker"), event("oom", 45.25, "app-2"),
    ]  # fmt: skip
    assert unplanned_deaths(record(*events), PLACES, []) == [
        Death("worker", 20.0, None, is_for_memory=True, back_s=None),
        Death("app-2", 40.0, 137, is_for_memory=False, back_s=42.0),
    ]


@pytest.mark.parametrize(
    ("oom_s", "who", "is_for_memory"),
    [(35.0, "db-1", True), (45.0, "db-1", True), (34.75, "db-1", False), (45.25, "db-1", False),
     (40.0, "app-1", False)],
)  # fmt: skip
def test_a_death_within_5_s_of_a_kill_for_memory_is_one(
    oom_s: float, who: str, is_for_memory: bool
) -> None:
    run = record(dies(40.0, "db-1"), event("oom", oom_s, who), event("oom", 1.0, "app-2"))
    (death,) = unplanned_deaths(run, PLACES, [])
    assert death.is_for_memory is is_for_memory
    assert (("db-1", oom_s) in lone_memory_kills(run, [])) is (who == "db-1" and not is_for_memory)
    assert ("app-2", 1.0) in lone_memory_kills(run, [])


@pytest.mark.parametrize(("begun_s", "at_s", "is_told"), [
    (-0.5, -0.5, True), (-0.5, -0.75, False), (None, 0.0, True), (None, -0.25, False),
])  # fmt: skip
def test_what_was_before_the_run_is_not_of_it(
    begun_s: float | None, at_s: float, is_told: bool
) -> None:
    run = record(
        dies(at_s, "app-1"), event("pause", at_s, "lb-1"), event("start", at_s, "lb-1"),
        event("oom", at_s, "db-1"), begun_s=begun_s,
    )  # fmt: skip
    found = (
        [death.service for death in unplanned_deaths(run, PLACES, [])],
        unplanned_pauses(run, []), unplanned_starts(run, []), lone_memory_kills(run, []),
    )  # fmt: skip
    everything = (["app-1"], [("lb-1", at_s)], [("lb-1", at_s)], [("db-1", at_s)])
    assert found == (everything if is_told else ([], [], [], []))


@pytest.mark.parametrize(
    ("service", "code", "is_by_design"),
    [
        ("migrate", 0, True), ("migrate", 1, False), ("migrate", None, False), ("job", 0, True),
        ("worker", 0, False), ("app-2", 0, False), ("db-1", 0, False), ("redis", 0, False),
    ],
)  # fmt: skip
def test_a_job_without_role_or_place_ends_well_by_design(
    service: str, code: int | None, is_by_design: bool
) -> None:
    assert deaths(dies(40.0, service, code)) == ([] if is_by_design else [(service, 40.0)])


@pytest.mark.parametrize("kind", ["kill", "crash", "out_of_memory", "stop", "restart", "wipe"])
def test_each_fault_explains_one_death_of_each_of_its_own(kind: str) -> None:
    twice = [dies(31.0, "app-1"), dies(35.0, "app-1"), dies(40.0, "app-1")]
    assert deaths(*twice, causes=(cause(kind, "app-1"),)) == [("app-1", 35.0), ("app-1", 40.0)]
    both = (cause(kind, "app-2"), cause(kind, "app-1"), cause(kind, "app-1", name="second"))
    assert deaths(*twice, causes=both) == [("app-1", 40.0)]
    early = (cause(kind, "app-1", start_s=33.0), cause(kind, "app-1", name="second"))
    assert deaths(*twice, causes=early) == [("app-1", 40.0)]


@pytest.mark.parametrize("kind", ["limit_memory", "exec"])
def test_some_faults_may_end_their_container_again_and_again(kind: str) -> None:
    often = [dies(30.0 + n, "app-1") for n in range(5)]
    assert deaths(*often, dies(85.0, "app-1"), causes=(cause(kind, "app-1"),)) == [("app-1", 85.0)]
    assert len(deaths(*often, causes=(cause(kind, "app-2"), cause("pause", "app-1")))) == 5


@pytest.mark.parametrize(("at_s", "is_its_end"), [(59.5, True), (59.25, False), (70.0, True)])
def test_a_standby_ends_with_its_healing(at_s: float, is_its_end: bool) -> None:
    added = cause("start", "app-1", healing_s=60.0)
    assert deaths(dies(at_s, "app-1"), causes=(added,)) == ([] if is_its_end else [("app-1", at_s)])
    again = [dies(60.0, "app-1"), dies(61.0, "app-1")]
    assert deaths(*again, causes=(added,)) == []
    killed = cause("kill", "app-1", healing_s=60.0)
    assert deaths(*again, causes=(killed,)) == [("app-1", 61.0)]


def test_what_follows_from_deaths() -> None:
    ends = [
        Death("app-1", 40.0, 1, is_for_memory=False, back_s=42.5),
        Death("toxi", 50.0, None, is_for_memory=True, back_s=None),
    ]
    assert death_causes(ends, PLACES) == [
        Cause("death of app-1", "death", frozenset({"app-1"}), frozenset(), 40.0, 62.5),
        Cause("death of toxi", "death", frozenset({"toxi"}), frozenset(PLACES.links), 50.0, 70.0),
    ]


@pytest.mark.parametrize(
    ("what", "found", "kinds"),
    [
        ("oom", lone_memory_kills, {"out_of_memory", "limit_memory", "exec"}),
        ("pause", unplanned_pauses, {"pause", "exec"}),
        ("start", unplanned_starts, {"out_of_memory", "limit_memory", "exec", "pause", "kill"}),
    ],
)
def test_what_happens_to_a_container_is_explained_by_faults_of_some_kinds(
    what: str, found: Any, kinds: set[str]
) -> None:
    run = record(event(what, 41, "app-1"), event(what, 40.0, "app-1"), event(what, 20.0, "app-1"))
    for kind in ("out_of_memory", "limit_memory", "exec", "pause", "kill"):
        several = (cause("pause", "lb-1"), cause(kind, "app-1"), cause("exec", "lb-1"))
        expected = [("app-1", 20.0)] if kind in kinds else [
            ("app-1", 20.0), ("app-1", 40.0), ("app-1", 41.0),
        ]  # fmt: skip
        assert found(run, several) == expected
        assert found(run, (cause(kind, "app-2"),)) == [
            ("app-1", 20.0), ("app-1", 40.0), ("app-1", 41.0),
        ]  # fmt: skip


def test_who_died_before_is_started_again_and_others_are_not() -> None:
    run = record(
        dies(10.0, "app-1"), event("start", 10.0, "app-1"), event("start", 9.75, "app-1"),
        event("start", 20.0, "app-2"), event("start", 30.0, "app-1"), dies(25.0, "lb-1"),
    )  # fmt: skip
    assert unplanned_starts(run, []) == [("app-1", 9.75), ("app-2", 20.0)]


def test_a_kill_for_memory_is_lone_unless_its_own_container_ended_near_it() -> None:
    run = record(
        event("oom", 10.0, "app-1"), dies(10.0, "app-2"), event("oom", 30.0, "db-1"),
        dies(60.0, "db-1"), dies(34.0, "db-1"),
    )  # fmt: skip
    assert lone_memory_kills(run, []) == [("app-1", 10.0)]
