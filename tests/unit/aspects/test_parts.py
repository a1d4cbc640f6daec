"""The parts of a recovery, from events whose truth is known."""

from __future__ import annotations

import time
from itertools import permutations
from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.aspects.recovery import parts
from harness.aspects.recovery.by_fault import Recovered
from harness.aspects.recovery.parts import Mark
from harness.record.run import Record

WALL_S = 1_795_515_790.0  # 2026-11-24T10:23:10Z, second 0 of the run
KILL = {"fault": "kill-1", "kind": "kill", "service": "db-1", "start_s": 25.0, "healed_s": None}


def record_of(*events: dict[str, Any], **changes: Any) -> Record:
    pairs = [
        {"event": "run.clock", "t_s": float(t), "wall_s": WALL_S + t + (0.002 if t > 40 else 0)}
        for t in range(60)
    ]
    nothing = pd.DataFrame()
    return Record(cast(Any, None), [*pairs, *events], nothing, nothing, [{**KILL, **changes}])


def recovered(time_s: float | None = 22.0) -> Recovered:
    return Recovered(recovery_time_s=time_s, uncertainty_s=0.01, fault_start_s=25.0)


def cluster(t_s: float, leader: str | None) -> dict[str, Any]:
    look = {"leader": leader, "unlocked": leader is None, "uncertainty_s": 0.15}
    return {"event": "patroni.cluster", "t_s": t_s, **look}


def server(t_s: float, name: str, status: str = "UP", backend: str = "rw") -> dict[str, Any]:
    return {
        "event": "lb.server", "t_s": t_s, "lb": "db-lb", "backend": backend, "server": name,
        "status": status, "uncertainty_s": 0.125,
    }  # fmt: skip


def breaker(t_s: float, to: str, app: str = "app-1") -> dict[str, Any]:
    return {"event": "breaker.transition", "t_s": t_s, "server": app, "breaker": "db-rw", "to": to}


def history(*rows: list[Any]) -> dict[str, Any]:
    return {"event": "patroni.history", "t_s": 59.0, "rows": list(rows)}


OLD = [6, 701982648, "no recovery target specified", "2026-11-24T10:17:00.439668+00:00", "db-2"]
NEW = [7, 796678848, "no recovery target specified", "2026-11-24T10:23:56.100000+00:00", "db-2"]
FAILOVER = (
    cluster(-0.5, "db-1"), cluster(25.5, "db-1"), cluster(44.2, None), cluster(46.4, "db-2"),
    server(26.0, "db-1", "DOWN"), server(46.5, "db-2"), server(46.6, "db-3", backend="ro"),
    breaker(26.3, "OPEN"), breaker(26.4, "OPEN", "app-2"), breaker(30.0, "OPEN"),
    breaker(46.7, "CLOSED"), breaker(46.95, "CLOSED", "app-2"), breaker(55.0, "CLOSED", "app-3"),
)  # fmt: skip


def test_a_failover_is_told_by_the_finest_evidence_of_each_part() -> None:
    found = parts.marks(record_of(*FAILOVER, history(OLD, NEW)), recovered())
    assert [(mark.part, mark.evidence) for mark in found] == [
        ("detected_s", "Patroni, polled"),
        ("promoted_s", "Patroni's history"),
        ("routed_s", "HAProxy, polled"),
        ("breakers_closed_s", "the apps' breaker logs"),
        ("first_success_s", "the probes"),
    ]
    at_s = [mark.at_s for mark in found]
    assert at_s == pytest.approx([44.2, 46.098, 46.5, 46.95, 47.0])  # the wall clock moved 2 ms
    assert found[1].uncertainty_s == pytest.approx(0.002, abs=1e-6)
    durations = parts.durations(found, 25.0)
    assert sum(durations.values()) == pytest.approx(22.0)
    assert list(durations) == [mark.part for mark in found]


def test_without_history_polling_tells_of_the_promotion() -> None:
    for rows in ([], [OLD], [[7, 1, "x", "no time", "db-2"]], ["no row"]):
        found = parts.marks(record_of(*FAILOVER, history(*rows)), recovered())
        assert (found[1].at_s, found[1].evidence) == (46.4, "Patroni, polled")


def test_an_uncertain_mark_gives_way_to_a_certain_one() -> None:
    """Polling saw the lock go only after the history says that the successor was promoted."""
    late = [cluster(46.2, None) if e == cluster(44.2, None) else e for e in FAILOVER]
    found = parts.marks(record_of(*late, history(NEW)), recovered())
    assert [mark.at_s for mark in found[:2]] == pytest.approx([46.098, 46.098])


def test_parts_are_in_order_and_add_up_whatever_was_seen_when() -> None:
    """Every order in which a lock can go, a leader lead, a route come up and a breaker close."""
    for lost_s, new_s, up_s, closed_s in permutations((30.0, 33.0, 36.0, 46.0)):
        events = (
            cluster(-0.5, "db-1"), cluster(lost_s, None), cluster(new_s, "db-2"),
            server(up_s, "db-2"), breaker(26.0, "OPEN"), breaker(closed_s, "CLOSED"),
        )  # fmt: skip
        found = parts.marks(record_of(*events), recovered())
        durations = parts.durations(found, 25.0)
        assert all(duration_s >= 0 for duration_s in durations.values())
        assert sum(durations.values()) == pytest.approx(22.0)


def test_a_server_that_comes_back_by_itself_is_told_by_the_engine() -> None:
    start = {"event": "container.start", "t_s": 30.0, "service": "db-1"}
    found = parts.marks(record_of(start, server(31.0, "db-1", backend="read")), recovered(7.0))
    assert [mark.part for mark in found] == ["restarted_s", "routed_s", "first_success_s"]
    assert parts.durations(found, 25.0) == pytest.approx(
        {"restarted_s": 5, "routed_s": 1, "first_success_s": 1}
    )


def test_what_recovered_because_it_was_healed_says_so() -> None:
    found = parts.marks(record_of(healed_s=40.0), recovered(15.5))
    assert parts.durations(found, 25.0) == pytest.approx({"healed_s": 15, "first_success_s": 0.5})


def test_what_came_after_the_recovery_is_no_part_of_it() -> None:
    start = {"event": "container.start", "t_s": 50.0, "service": "db-1"}
    assert parts.marks(record_of(start, healed_s=50.0), recovered(7.0)) == []


@pytest.mark.parametrize("time_s", [0.0, None])
def test_no_recovery_has_no_parts(time_s: float | None) -> None:
    record = record_of(*FAILOVER, history(NEW))
    assert parts.marks(record, recovered(time_s)) == []


def marks_of(*events: dict[str, Any], time_s: float = 22.0, **changes: Any) -> list[Mark]:
    """But for the last, which is always the first success at 25 s + `time_s`, ± 0.01 s."""
    found = parts.marks(record_of(*events, **changes), recovered(time_s))
    if found:
        assert found.pop() == Mark("first_success_s", 25 + time_s, 0.01, "the probes")
    return found


LED = cluster(-0.5, "db-1")
POLLED, ROUTED = "Patroni, polled", "HAProxy, polled"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([LED, cluster(26.0, "db-1")], [], id="it leads all along"),
        pytest.param(
            [cluster(-0.5, "db-2"), cluster(5.0, None), cluster(9.0, "db-3"),
             cluster(26.0, "db-3")], [], id="another leads all along",
        ),
        pytest.param([cluster(30.0, "db-2")], [], id="nobody knows who led"),
        pytest.param([cluster(-0.5, None), cluster(30.0, "db-2")], [], id="none led before"),
        pytest.param(
            [LED, cluster(25.0, "db-2"), cluster(26.0, "db-2")], [], id="a switch before the fault"
        ),
        pytest.param(
            [LED, cluster(25.0, None), cluster(30.0, None)], [("detected_s", 30.0, 0.15, POLLED)],
            id="none led at the moment of the fault",
        ),
        pytest.param(
            [LED, cluster(20.0, None), cluster(30.0, None)], [("detected_s", 30.0, 0.15, POLLED)],
            id="no leader just before: the last known counts",
        ),
        pytest.param(
            [LED, cluster(30.0, None), cluster(33.0, "db-1")],
            [("detected_s", 30.0, 0.15, POLLED)], id="it takes the lock again",
        ),
        pytest.param(
            [LED, cluster(30.0, "db-2"), cluster(33.0, None), cluster(34.0, "db-3")],
            [("detected_s", 30.0, 0.15, POLLED), ("promoted_s", 30.0, 0.15, POLLED)],
            id="seen at once, and again",
        ),
        pytest.param(
            [LED, {"event": "patroni.cluster", "t_s": 30.0, "leader": "db-2"}],
            [("detected_s", 30.0, 0.3, POLLED), ("promoted_s", 30.0, 0.3, POLLED)],
            id="a look that does not say how old it is",
        ),
        pytest.param(
            [LED, cluster(30.0, "db-2"), server(29.5, "db-2"), server(29.75, "db-2", "UP 1/3"),
             server(31.0, "db-2")],
            [("detected_s", 29.75, 0.15, POLLED), ("promoted_s", 29.75, 0.15, POLLED),
             ("routed_s", 29.75, 0.125, ROUTED)],
            id="routed just before the poll of Patroni, the more certain mark",
        ),
        pytest.param(
            [LED, cluster(30.0, "db-2"), server(31.0, "db-2", backend="ro"),
             server(32.0, "db-2", "DOWN"), server(33.0, "db-3"),
             {"event": "lb.server", "t_s": 34.0, "backend": "rw", "server": "db-2", "status": "UP"},
             server(35.0, "db-2")],
            [("detected_s", 30.0, 0.15, POLLED), ("promoted_s", 30.0, 0.15, POLLED),
             ("routed_s", 34.0, 0.3, ROUTED)],
            id="writes are routed to the new leader",
        ),
        pytest.param(
            [{**LED, "region": "us"}, {**cluster(20.0, "eu-db"), "region": "eu"},
             {**cluster(27.0, "eu-db"), "region": "eu"}, {**cluster(30.0, None), "region": "us"}],
            [("detected_s", 30.0, 0.15, POLLED)], id="that of the region whose leader is lost",
        ),
        pytest.param(
            [{**LED, "region": "us"}, {**cluster(20.0, "eu-db"), "region": "eu"},
             {**cluster(30.0, "db-1"), "region": "us"}],
            [], id="two regions, and nobody is lost",
        ),
    ],
)  # fmt: skip
def test_a_failover_is_one_from_whoever_led(
    events: list[dict[str, Any]], expected: list[tuple[str, float, float, str]]
) -> None:
    assert marks_of(*events) == [Mark(*row) for row in expected]


def promoted(at: str, leader: str = "db-2", *more: Any) -> list[Any]:
    return [7, 1, "no recovery target specified", at, leader, *more]


@pytest.mark.parametrize(
    ("histories", "at_s"),
    [
        ([[promoted("2026-11-24T10:23:40+00:00")]], 30.0),
        ([[promoted("2026-11-24T10:23:40")]], 30.0),  # without a zone it is UTC
        ([[promoted("2026-11-24T12:23:40+02:00", "db-2", "one more")]], 30.0),
        ([[promoted("2026-11-24T10:23:50+00:00"), promoted("2026-11-24T10:23:42+00:00")]], 32.0),
        ([[promoted("2026-11-24T10:23:42+00:00")], [promoted("2026-11-24T10:23:41+00:00")]], 31.0),
        ([[promoted("2026-11-24T10:23:20+00:00"), promoted("2026-11-24T10:23:42+00:00")]], 32.0),
        ([[promoted("2026-11-24T10:23:42+00:00", "db-3")]], None),
        ([[promoted("2026-11-24T10:23:35+00:00")]], None),  # at the moment of the fault
        ([[promoted("2026-11-24T10:23:40+00:00")[:4]]], None),
        ([["no row", None, 7, {}, promoted("soon"), promoted("2026-11-24T10:23:41+00:00")]], 31.0),
        ([], None),
    ],
)
def test_the_history_says_when_the_new_leader_was_promoted(
    histories: list[list[Any]], at_s: float | None
) -> None:
    events = [history(*rows) for rows in histories]
    _, found = marks_of(LED, cluster(33.0, None), cluster(33.5, "db-2"), *events)
    if at_s is None:
        assert found == Mark("promoted_s", 33.5, 0.15, POLLED)
    else:
        assert (found.at_s, found.evidence) == (at_s, "Patroni's history")
        assert found.uncertainty_s == pytest.approx(0.002, abs=1e-6)


def test_a_time_without_a_zone_is_utc_wherever_the_report_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = [LED, cluster(33.5, "db-2"), history(promoted("2026-11-24T10:23:40"))]
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        found = marks_of(*events)
    time.tzset()
    assert (found[1].part, found[1].at_s) == ("promoted_s", 30.0)


def start(t_s: float, service: str = "db-1") -> dict[str, Any]:
    return {"event": "container.start", "t_s": t_s, "service": service}


def test_the_first_start_of_the_broken_server_since_the_fault_counts() -> None:
    events = [start(25.0), start(26.0, "db-2"), start(30.0), start(28.0)]
    routes = [server(28.0, "db-1"), server(27.0, "db-1"), server(29.0, "db-1", "DOWN")]
    back = [server(31.0, "db-1", "UP", "read"), server(32.0, "db-1")]
    restarted, routed = marks_of(*events, *routes, *back)
    assert (restarted.part, restarted.at_s) == ("restarted_s", 28.0)
    assert restarted.evidence == "the container engine's events"
    assert restarted.uncertainty_s == pytest.approx(0.002, abs=1e-6)
    assert routed == Mark("routed_s", 31.0, 0.125, ROUTED)


def test_a_moment_whose_clock_nobody_read_is_no_mark() -> None:
    record = record_of(start(30.0), healed_s=40.0)
    record.events[:] = [event for event in record.events if event["event"] != "run.clock"]
    assert [mark.part for mark in parts.marks(record, recovered())] == [
        "healed_s", "first_success_s",
    ]  # fmt: skip
    of_poll = [LED, cluster(33.5, "db-2"), history(promoted("2026-11-24T10:23:40+00:00"))]
    record.events[:] = of_poll
    assert parts.marks(record, recovered())[1] == Mark("promoted_s", 33.5, 0.15, POLLED)


@pytest.mark.parametrize(
    ("events", "closed_s"),
    [
        ([breaker(26.0, "OPEN"), breaker(30.0, "HALF_OPEN"), breaker(31.0, "CLOSED")], 31.0),
        ([breaker(25.0, "OPEN"), breaker(31.0, "CLOSED")], None),  # open before the fault
        ([breaker(31.0, "CLOSED")], None),
        ([breaker(24.0, "OPEN"), breaker(26.0, "OPEN", "app-2"), breaker(31.0, "CLOSED", "app-2")],
         31.0),
        ([breaker(26.0, "OPEN"), breaker(31.0, "CLOSED", "app-2")], None),
        ([breaker(26.0, "OPEN"), {**breaker(31.0, "CLOSED"), "breaker": "redis"}], None),
        ([breaker(26.0, "OPEN"), breaker(27.0, "OPEN", "app-2"), breaker(31.0, "CLOSED", "app-2"),
          breaker(30.0, "CLOSED")], 31.0),
        ([breaker(26.0, "OPEN"), breaker(31.0, "CLOSED"), breaker(46.0, "OPEN")], 31.0),
        ([breaker(26.0, "OPEN"), breaker(47.0, "CLOSED")], 47.0),
        ([breaker(26.0, "OPEN"), breaker(31.0, "CLOSED"), breaker(48.0, "CLOSED")], 31.0),
        ([breaker(26.0, "OPEN"), breaker(31.0, "HALF_OPEN")], None),
    ],
)  # fmt: skip
def test_the_last_breaker_to_close_of_those_that_opened(
    events: list[dict[str, Any]], closed_s: float | None
) -> None:
    found = [] if closed_s is None else [(closed_s, 0.0, "the apps' breaker logs")]
    assert marks_of(*events) == [Mark("breakers_closed_s", *row) for row in found]


def test_a_breaker_that_closes_after_the_first_success_takes_no_mark_of_another_with_it() -> None:
    """However little later: the recovery was 22 s, ± 0.01 s."""
    late = [breaker(26.0, "OPEN"), breaker(46.0, "CLOSED"), breaker(47.0078125, "CLOSED")]
    assert [mark.at_s for mark in marks_of(*late)] == [46.0]
    assert marks_of(late[0], late[2]) == []


@pytest.mark.parametrize(
    ("healed_s", "at_s"), [(25.0, None), (25.5, 25.5), (47.0, 47.0), (47.005, None)]
)
def test_a_heal_is_part_of_the_recovery_if_it_lies_in_it(
    healed_s: float, at_s: float | None
) -> None:
    expected = [Mark("healed_s", at_s, 0.0, "the harness healed the fault")] if at_s else []
    assert marks_of(healed_s=healed_s) == expected


def test_a_mark_that_may_lie_in_the_recovery_is_placed_at_its_end() -> None:
    half_s = {"uncertainty_s": 0.125}
    assert [mark.at_s for mark in marks_of(LED, {**cluster(47.125, None), **half_s})] == [47.0]
    assert marks_of(LED, {**cluster(47.1328125, None), **half_s}) == []


def test_of_two_equally_certain_marks_the_later_part_is_moved() -> None:
    """Unlocked was seen after the new leader: as certain, so what comes first in the way stays."""
    events = [LED, cluster(30.0, "db-2"), server(29.9, "db-2")]
    same = [{**event, "uncertainty_s": 0.15} for event in events]
    assert [(mark.part, mark.at_s) for mark in marks_of(*same)] == [
        ("detected_s", 30.0), ("promoted_s", 30.0), ("routed_s", 30.0),
    ]  # fmt: skip


def test_the_parts_are_those_of_the_fault_that_the_recovery_is_from() -> None:
    record = record_of(start(30.0), start(31.0, "app-1"), healed_s=44.0)
    other = {**KILL, "service": "app-1", "start_s": 24.0, "healed_s": 26.0}
    record.faults.insert(0, other)
    found = parts.marks(record, recovered())
    assert [(mark.part, mark.at_s) for mark in found[:-1]] == [
        ("restarted_s", 30.0), ("healed_s", 44.0),
    ]  # fmt: skip
    unknown = Recovered(recovery_time_s=3.0, fault_start_s=26.0, recovered=True)
    assert parts.marks(record, unknown) == []
    assert parts.marks(record, Recovered(recovery_time_s=3.0, recovered=True)) == []


def test_a_recovery_that_does_not_say_how_certain_it_is() -> None:
    unsaid = Recovered(recovery_time_s=2.0, recovered=True, fault_start_s=25.0)
    found = parts.marks(record_of(healed_s=26.0), unsaid)
    assert [mark.half_s for mark in found] == [0.0, 0.0]
    assert found == [
        Mark("healed_s", 26.0, 0.0, "the harness healed the fault"),
        Mark("first_success_s", 27.0, None, "the probes"),
    ]


def test_durations_count_from_the_fault_or_from_the_run_start() -> None:
    marks = [Mark("healed_s", 3.0, 0.0, ""), Mark("first_success_s", 7.0, 0.0, "")]
    assert parts.durations(marks, 2.0) == {"healed_s": 1.0, "first_success_s": 4.0}
    assert parts.durations(marks, None) == {"healed_s": 3.0, "first_success_s": 4.0}
    assert parts.durations([], 2.0) == {}


moments = st.floats(20, 50)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.datetimes(timezones=st.none() | st.timezones()).map(str),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
anything = st.one_of(
    st.builds(cluster, moments, st.sampled_from([None, "db-1", "db-2", "db-3"])),
    st.builds(server, moments, st.sampled_from(["db-1", "db-2"]), st.sampled_from(["UP", "DOWN"])),
    st.builds(breaker, moments, st.sampled_from(["OPEN", "CLOSED"]), st.sampled_from(["a", "b"])),
    st.builds(start, moments, st.sampled_from(["db-1", "app-1"])),
    st.lists(json_values, max_size=4).map(lambda rows: history(*rows)),
    st.builds(lambda at: history([7, 1, "x", at, "db-2"]), st.datetimes().map(str)),
)


@given(st.lists(anything, max_size=12), st.none() | moments, st.floats(0.01, 22))
def test_whatever_was_seen_the_parts_are_in_order_and_add_up(
    events: list[dict[str, Any]], healed_s: float | None, time_s: float
) -> None:
    """Of any events, in any order; what a target answers as its history may be anything."""
    found = parts.marks(record_of(LED, *events, healed_s=healed_s), recovered(time_s))
    names = [mark.part for mark in found]
    assert names == [name for name in parts.ORDER if name in names]
    durations = parts.durations(found, 25.0)
    assert all(duration_s >= 0 for duration_s in durations.values())
    assert sum(durations.values()) == pytest.approx(time_s if found else 0)
