"""The parts of a recovery, from events whose truth is known."""

from __future__ import annotations

from itertools import permutations
from typing import Any, cast

import pandas as pd
import pytest

from harness.aspects.recovery import parts
from harness.aspects.recovery.by_fault import Recovered
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
            cluster(lost_s, None), cluster(new_s, "db-2"), server(up_s, "db-2"),
            breaker(26.0, "OPEN"), breaker(closed_s, "CLOSED"),
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
