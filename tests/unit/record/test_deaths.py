"""Containers that ended, and who ended them; moments at the edges of what a fault explains."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain
from typing import Any, cast

import pandas as pd
import pytest

from harness.record.causes import Cause, Places
from harness.record.deaths import (
    Death,
    death_causes,
    lone_memory_kills,
    loops_of,
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


def test_each_replica_ends_and_runs_again_by_itself() -> None:
    events = [
        event("die", 40.0, "web", container="web-1", exit_code=1),
        event("die", 41.0, "web", container="web-2", exit_code=1),
        event("oom", 41.5, "web", container="web-2"),
        event("start", 42.0, "web", container="web-2"),
        event("start", 43.0, "web", container="web-1"),
    ]
    assert unplanned_deaths(record(*events), PLACES, ()) == [
        Death("web", 40.0, 1, False, 43.0, "web-1"), Death("web", 41.0, 1, True, 42.0, "web-2"),
    ]  # fmt: skip


def test_replicas_that_end_once_each_are_no_crash_loop() -> None:
    once = [Death("web", 40.0 + n, 1, False, 41.0 + n, f"web-{n}") for n in range(3)]
    again = [replace(once[1], at_s=at_s, back_s=at_s + 1) for at_s in (45.0, 50.0)]
    assert loops_of(once) == [[death] for death in once]
    assert loops_of([*once, *again]) == [[once[0]], [once[1], *again], [once[2]]]


def test_jobs_that_end_well_once_each_since_a_fault_are_in_no_loop() -> None:
    replicas = [again("job", at_s, container=f"job-{at_s}") for at_s in (31, 33, 35)]
    assert deaths(*chain.from_iterable(replicas), causes=(FROZEN,)) == []


FROZEN = cause("pause", "redis")


def again(service: str, *times_s: float, **facts: Any) -> list[dict[str, Any]]:
    """Exits with code 0, after each of which it ran again."""
    ends = [event("die", at_s, service, exit_code=0, **facts) for at_s in times_s]
    return [*ends, *(event("start", at_s + 0.25, service, **facts) for at_s in times_s)]


@pytest.mark.parametrize(
    ("events", "causes", "is_told"),
    [
        pytest.param(again("job", 31, 33, 35), (FROZEN,), True, id="since the fault"),
        pytest.param(again("job", 30, 33, 35), (FROZEN,), True, id="with the fault"),
        pytest.param(again("job", 31, 33), (FROZEN,), False, id="twice is no loop"),
        pytest.param(again("job", 5, 31, 33, 35), (FROZEN,), False, id="before it, too"),
        pytest.param(again("job", 31, 33, 35), (), False, id="without a fault"),
        pytest.param(again("job", 31, 33, 35)[:-1], (FROZEN,), False, id="done in the end"),
    ],
)
def test_a_job_that_ends_well_again_and_again_since_a_fault_is_in_a_crash_loop(
    events: list[dict[str, Any]], causes: tuple[Cause, ...], is_told: bool
) -> None:
    times = [("job", e["t_s"]) for e in events if e["event"] == "container.die"]
    assert deaths(*events, causes=causes) == (times if is_told else [])


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
