"""Surprises in hand-made runs: what no fault explains is listed, what one explains is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis.surprises import _when, figures
from harness.aspects.alerts import AlertFound, Alerts
from harness.aspects.writes import Behind
from harness.bundled.traffic import OPERATIONS
from harness.model.experiment import Experiment, FaultSpec, Phase
from harness.model.load import Load
from harness.model.surprise import Surprise
from harness.record.faults import fault_rows
from harness.record.run import Record

PARTS = {
    **dict.fromkeys(("app-1", "app-2", "app-3"), "app"),
    **dict.fromkeys(("lb-1", "lb-2"), "lb"),
    **dict.fromkeys(("db-1", "db-2", "db-3"), "db"),
    **{"db-lb": "db-lb", "redis": "cache", "etcd-1": "etcd", "toxiproxy": "toxiproxy"},
    **{"worker": "worker", "migrate": "", "app-4": "app"},
}
LINKS = {
    **{f"{lb}.{app}": app for lb in ("lb-1", "lb-2") for app in ("app-1", "app-2", "app-3")},
    **{f"app-{n}.redis": "redis" for n in (1, 2, 3)},
    **{f"app-{n}.{way}": "db-lb" for n in (1, 2, 3) for way in ("db-rw", "db-ro")},
    "worker.redis": "redis",
}
PHASES = (
    Phase(name="warmup", start_s=0, end_s=2),
    Phase(name="baseline", start_s=2, end_s=30),
    Phase(name="fault", start_s=30, end_s=60),
    Phase(name="recovery", start_s=60, end_s=120),
)


def event(name: str, t_s: float, **facts: Any) -> dict[str, Any]:
    return {"event": name, "t_s": t_s, **facts}


def parts(instruments: tuple[str, ...] = ("toxiproxy",)) -> dict[str, Any]:
    rows = [
        {
            "service": name, "role": role, "is_instrument": name in instruments,
            "is_standby": name == "app-4", "is_running": name != "app-4", "probes": [],
        }
        for name, role in PARTS.items()
    ]  # fmt: skip
    return event("target.parts", -0.4, parts=rows)


def balanced(lb: str, backend: str, servers: dict[str, str], t_s: float = -0.4) -> list[Any]:
    origin = {"lb": lb, "backend": backend}
    return [event("lb.server", t_s, **origin, server=s, status=up) for s, up in servers.items()]


def cluster(t_s: float, leader: str | None, timeline: int = 1) -> dict[str, Any]:
    members = [{"name": f"db-{n}"} for n in (1, 2, 3)]
    return event("patroni.cluster", t_s, leader=leader, timeline=timeline, members=members)


QUIET = [
    event("run.started", -0.5),
    parts(),
    event("target.links", -0.4, links=LINKS),
    *(e for lb in ("lb-1", "lb-2") for b in ("read", "write")
      for e in balanced(lb, b, dict.fromkeys(("app-1", "app-2", "app-3"), "UP"))),
    *balanced("db-lb", "rw", {"db-1": "UP", "db-2": "DOWN", "db-3": "DOWN"}),
    *balanced("db-lb", "ro", {"db-1": "DOWN", "db-2": "UP", "db-3": "UP"}),
    cluster(-0.4, "db-1"),
    *(event("breaker.state", -0.4, server=f"app-{n}", breaker=b, state="CLOSED")
      for n in (1, 2, 3) for b in ("redis", "db-rw", "db-ro")),
    # What happens at and before the start belongs to `up`, and to the run before.
    event("container.die", -0.9, service="app-2", exit_code=137),
    event("container.start", -0.8, service="app-2"),
    event("container.die", -0.3, service="migrate", exit_code=0),
]  # fmt: skip


def fault(kind: str, service: str = "", links: tuple[str, ...] = (), **changes: Any) -> Any:
    services = [service] if service else []
    base = {
        "fault": f"{kind}-1", "kind": kind, "service": service or None, "services": services,
        "links": list(links), "start_s": 30.0, "healed_s": 60.0,
    }  # fmt: skip
    return {**base, **changes}


def samples(late: dict[float, float] | None = None) -> pd.DataFrame:
    """A request each 10 ms for 120 s, sent at once but for the `late` ones: due time -> seconds."""
    due_s = np.arange(12_000) / 100
    sent_s = due_s.copy()
    for at_s, by_s in (late or {}).items():
        sent_s[round(at_s * 100)] += by_s
    return pd.DataFrame({"intended_s": due_s, "sent_s": sent_s})


def surprises(
    *events: dict[str, Any], faults: tuple[Any, ...] = (), main: pd.DataFrame | None = None,
    allow: tuple[str, ...] = (), base: list[Any] = QUIET, left_behind: tuple[Any, ...] = (),
    canary: pd.DataFrame | None = None,
) -> list[Surprise]:  # fmt: skip
    experiment = Experiment(
        name="x", title="t", load=Load(rate_per_s=1, mix={"redirect": 1.0}),
        operations=OPERATIONS, phases=PHASES, faults=(), hypothesis=(),
        allowed_surprises=allow,
    )  # fmt: skip
    main = samples() if main is None else main
    canary = samples() if canary is None else canary
    record = Record(experiment, [*base, *events], main, canary, list(faults))
    return figures(record, left_behind)


def codes(rows: list[Surprise]) -> list[tuple[str, str, str]]:
    return [(row.code, row.who, row.outcome) for row in rows]


def opened(t_s: float, server: str, breaker: str) -> dict[str, Any]:
    states = {"from": "CLOSED", "to": "OPEN"}
    return event("breaker.transition", t_s, server=server, breaker=breaker, **states)


def closed(t_s: float, server: str, breaker: str) -> dict[str, Any]:
    states = {"from": "HALF_OPEN", "to": "CLOSED"}
    return event("breaker.transition", t_s, server=server, breaker=breaker, **states)


def dies(t_s: float, service: str, code: int = 137) -> dict[str, Any]:
    return event("container.die", t_s, service=service, exit_code=code)


def starts(t_s: float, service: str) -> dict[str, Any]:
    return event("container.start", t_s, service=service)


def leaves(t_s: float, server: str, lb: str = "lb-1", backend: str = "read") -> dict[str, Any]:
    return balanced(lb, backend, {server: "DOWN"}, t_s)[0]


def test_a_quiet_run_has_no_surprise() -> None:
    assert surprises() == []


def test_memory_deaths_that_no_fault_explains_fail_the_run() -> None:
    events = [
        e
        for n, service in enumerate(("app-1", "db-3", "lb-2"))
        for e in (event("container.oom", 40.0 + n, service=service), dies(40.1 + n, service))
    ]
    rows = surprises(*events, faults=(fault("kill", "app-2"),))
    code = "container_out_of_memory"
    assert codes(rows) == [(code, s, "fail") for s in ("app-1", "db-3", "lb-2")]
    assert rows[0].text == (
        "app-1 was killed for memory with exit code 137 while app-2 was down and did not run again"
    )
    assert (rows[0].at_s, rows[0].phase) == (40.1, "fault")


def test_a_death_says_when_the_container_ran_again() -> None:
    (row,) = surprises(dies(10.0, "worker", 1), starts(10.8, "worker"))
    assert row.text == "worker died with exit code 1, and ran again after 0.8 s"
    assert (row.code, row.outcome, row.phase) == ("container_died", "fail", "baseline")


def test_the_death_of_an_instrument_is_inconclusive() -> None:
    rows = surprises(dies(40.0, "toxiproxy"), starts(40.5, "toxiproxy"))
    assert codes(rows) == [("container_died", "toxiproxy", "inconclusive")]
    protected = [e if e["event"] != "target.parts" else parts(("app-3",)) for e in QUIET]
    assert codes(surprises(dies(40.0, "app-3"), base=protected))[0][2] == "inconclusive"


def test_an_allowed_surprise_is_only_reported() -> None:
    rows = surprises(dies(40.0, "app-3"), allow=("container_died",))
    assert codes(rows) == [("container_died", "app-3", "note")]


@pytest.mark.parametrize("kind", ["kill", "crash", "out_of_memory", "stop", "restart", "wipe"])
def test_a_fault_explains_one_death_of_its_target_and_its_start(kind: str) -> None:
    harmed = fault(kind, "app-2")
    planned = [dies(29.9, "app-2"), starts(60.1, "app-2")]
    assert surprises(*planned, faults=(harmed,)) == []
    again = surprises(*planned, dies(65.0, "app-2"), faults=(harmed,))
    assert codes(again) == [("container_died", "app-2", "fail")]
    other = surprises(*planned, dies(35.0, "app-3"), faults=(harmed,))
    assert codes(other) == [("container_died", "app-3", "fail")]


@pytest.mark.parametrize("kind", ["pause", "limit_cpu", "disconnect", "flush_cache"])
def test_a_fault_that_ends_no_container_explains_no_death(kind: str) -> None:
    rows = surprises(dies(40.0, "app-2"), faults=(fault(kind, "app-2"),))
    assert codes(rows) == [("container_died", "app-2", "fail")]


def test_a_link_fault_explains_no_death() -> None:
    rows = surprises(dies(40.0, "app-2"), faults=(fault("down", links=("app-2.redis",)),))
    assert codes(rows) == [("container_died", "app-2", "fail")]


def test_a_standby_is_stopped_by_the_healing_and_dies_by_itself_before() -> None:
    added = fault("start", "app-4", healed_s=61.0)
    healing = event("fault.healing", 60.0, fault="start-1")
    planned = [starts(30.1, "app-4"), healing, dies(60.5, "app-4", 0)]
    assert surprises(*planned, faults=(added,)) == []
    rows = surprises(*planned, dies(45.0, "app-4"), faults=(added,))
    assert codes(rows) == [("container_died", "app-4", "fail")]


def test_a_start_that_nobody_planned_and_a_freeze() -> None:
    rows = surprises(starts(10.0, "app-4"), event("container.pause", 12.0, service="redis"))
    assert codes(rows) == [
        ("container_paused", "redis", "fail"), ("container_started", "app-4", "note"),
    ]  # fmt: skip
    frozen = event("container.pause", 30.0, service="redis")
    assert surprises(frozen, faults=(fault("pause", "redis"),)) == []


def test_a_process_killed_for_memory_in_a_container_that_goes_on() -> None:
    rows = surprises(event("container.oom", 12.0, service="db-2"))
    assert codes(rows) == [("container_out_of_memory", "db-2", "fail")]
    assert rows[0].text == "a process in db-2 was killed for memory"


def test_a_job_that_ends_well_is_no_surprise_and_one_that_fails_is() -> None:
    assert surprises(dies(3.0, "migrate", 0)) == []
    assert codes(surprises(dies(3.0, "migrate", 1))) == [("container_died", "migrate", "fail")]
    assert codes(surprises(dies(3.0, "app-1", 0))) == [("container_died", "app-1", "fail")]


CUT = fault("down", links=("app-1.redis", "app-2.redis"))
KILLED_REDIS = fault("kill", "redis")
KILLED_DB = fault("kill", "db-2")


@pytest.mark.parametrize(
    ("harmed", "server", "breaker", "at_s", "is_explained"),
    [
        (CUT, "app-1", "redis", 30.2, True),
        (CUT, "app-3", "redis", 30.2, False),  # its link was not cut
        (CUT, "app-1", "db-ro", 35.0, False),
        (CUT, "app-1", "redis", 1.0, False),  # before
        (CUT, "app-1", "redis", 75.0, True),  # settling
        (CUT, "app-1", "redis", 85.0, False),  # long after
        (KILLED_REDIS, "app-3", "redis", 30.2, True),
        (KILLED_REDIS, "app-3", "db-rw", 30.2, False),
        (KILLED_DB, "app-1", "db-rw", 30.2, True),  # behind db-lb
        (KILLED_DB, "app-1", "db-ro", 30.2, True),
        (KILLED_DB, "app-1", "redis", 30.2, False),
        (fault("pause", "db-lb"), "app-1", "db-rw", 31.0, True),
        (fault("limit_cpu", "app-2"), "app-2", "redis", 31.0, True),
        (fault("limit_cpu", "app-2"), "app-1", "redis", 31.0, False),
        (fault("kill", "lb-1"), "app-1", "redis", 31.0, False),
        (fault("kill", "etcd-1"), "app-1", "db-rw", 31.0, True),  # nobody says what rests on it
        (fault("kill", "redis", healed_s=None), "app-1", "redis", 119.0, True),
        (fault("kill", "redis", start_s=None), "app-1", "redis", 31.0, False),
    ],
)
def test_a_breaker_that_opened_is_a_surprise_unless_what_it_guards_was_broken(
    harmed: Any, server: str, breaker: str, at_s: float, is_explained: bool
) -> None:
    rows = surprises(opened(at_s, server, breaker), faults=(harmed,))
    assert codes(rows) == ([] if is_explained else [("breaker_opened", server, "note")])


def test_a_breaker_that_opened_before_any_fault_says_so_and_for_how_long() -> None:
    events = (opened(0.4, "app-2", "redis"), closed(60.9, "app-2", "redis"))
    (row,) = surprises(*events, faults=(fault("kill", "app-2"),))
    assert row.text == "breaker redis of app-2 opened for 60.5 s, before any fault"
    assert (row.at_s, row.phase) == (0.4, "warmup")


def test_a_breaker_that_is_open_when_its_server_dies_is_not_the_next_processes() -> None:
    """Seen in a run: it opened at 3 s, its server died at 25 s, the next one's closed at 156 s."""
    fresh = [
        event("clock.offset", 56.0, service="app-2"),
        event("breaker.state", 56.0, server="app-2", breaker="redis", state="CLOSED"),
    ]
    events = [opened(3.0, "app-2", "redis"), dies(30.1, "app-2"), starts(55.0, "app-2"), *fresh]
    events += [opened(57.0, "app-2", "redis"), closed(100.0, "app-2", "redis")]
    (row,) = surprises(*events, faults=(fault("kill", "app-2"),))
    assert row.text == (
        "breaker redis of app-2 opened and was not CLOSED until its server died after 27.1 s, "
        "before any fault"
    )


def test_a_breaker_that_was_open_when_the_run_began() -> None:
    base = [e for e in QUIET if e["event"] != "breaker.state"]
    state = event("breaker.state", -0.4, server="app-1", breaker="redis", state="OPEN")
    later = event("breaker.state", 3.0, server="app-1", breaker="redis", state="CLOSED")
    rows = surprises(state, later, base=base)
    assert codes(rows) == [("breaker_open_before", "app-1", "note")]
    assert surprises({**state, "t_s": 45.0}, later, base=base) == []  # a server added meanwhile


@pytest.mark.parametrize(
    ("harmed", "is_explained"),
    [
        (fault("kill", "app-2"), True),
        (fault("kill", "lb-1"), True),
        (fault("down", links=("lb-1.app-2",)), True),
        (fault("kill", "app-1"), False),
        (fault("down", links=("lb-2.app-2",)), False),
        (fault("kill", "etcd-1"), False),
    ],
)
def test_a_server_that_left_the_rotation(harmed: Any, is_explained: bool) -> None:
    back = balanced("lb-1", "read", {"app-2": "UP"}, 36.5)[0]
    both = (leaves(33.0, "app-2"), leaves(33.1, "app-2", backend="write"))
    rows = surprises(*both, back, faults=(harmed,))
    assert codes(rows) == ([] if is_explained else [("left_rotation", "app-2", "note")])
    if rows:
        assert rows[0].text == "app-2 left the rotation of lb-1 (read) for 3.5 s"


def test_a_failover_after_a_fault_of_the_primary_is_explained_and_of_a_replica_is_not() -> None:
    moves = (
        cluster(45.0, None), cluster(50.0, "db-2", 2), leaves(50.1, "db-1", "db-lb", "rw"),
        leaves(50.1, "db-2", "db-lb", "ro"), opened(45.0, "app-1", "db-rw"),
    )  # fmt: skip
    assert surprises(*moves, faults=(fault("kill", "db-1"),)) == []
    assert surprises(*moves, faults=(fault("pause", "etcd-1"),)) == []
    rows = surprises(*moves, faults=(fault("kill", "db-3"),))
    assert codes(rows) == [("failover", "db-2", "note")]
    assert rows[0].text == "db-2 became the primary after db-1, timeline 2"
    assert codes(surprises(*moves)) == [("failover", "db-2", "note")]  # its effects are not listed


def test_a_new_primary_that_begins_its_timeline_a_moment_later_is_one_failover() -> None:
    moves = (cluster(45.0, None), cluster(50.0, "db-2", 1), cluster(50.6, "db-2", 2))
    assert surprises(*moves, faults=(fault("kill", "db-1"),)) == []
    assert codes(surprises(*moves)) == [("failover", "db-2", "note")]
    again = surprises(*moves, cluster(80.0, "db-2", 3), faults=(fault("kill", "db-1"),))
    assert codes(again) == [("failover", "db-2", "note")]


def test_a_new_timeline_of_the_same_primary_is_a_failover_too() -> None:
    assert codes(surprises(cluster(20.0, "db-1", 2))) == [("failover", "db-1", "note")]


def test_what_follows_from_an_unplanned_death_is_no_surprise_of_its_own() -> None:
    rows = surprises(dies(40.0, "app-2"), leaves(40.5, "app-2"), opened(41.0, "app-2", "redis"))
    assert codes(rows) == [("container_died", "app-2", "fail")]
    rows = surprises(dies(40.0, "toxiproxy"), leaves(40.5, "app-2"), opened(41.0, "app-1", "redis"))
    assert codes(rows) == [("container_died", "toxiproxy", "inconclusive")]


def test_a_generator_that_stood_still() -> None:
    late = {20.0 + n / 100: 0.9 - n / 100 for n in range(60)} | {50.0: 0.2}
    (row,) = surprises(main=samples(late | {0.0: 0.9}))  # in the warm-up it is getting going
    assert (row.code, row.who, row.at_s) == ("generator_stalled", "main load", 20.0)
    assert row.text.endswith("requests due from 20.0 to 20.6 s were sent up to 0.90 s late")


def test_probes_that_broke_or_looked_late() -> None:
    rows = surprises(
        event("probe.gap", 5.0, probe="patroni", error="KeyError('x')"),
        event("probe.late", 9.0, probe="haproxy lb-1", silent_s=7.25),
    )
    assert codes(rows) == [("probe_gap", "patroni", "note"), ("probe_gap", "haproxy lb-1", "note")]
    assert rows[1].text == "probe haproxy lb-1 did not look for 7.2 s"


def test_a_database_node_that_never_caught_up() -> None:
    why = "it follows timeline 1, the primary writes timeline 2"
    (row,) = surprises(left_behind=(Behind(node="db-3", why=why),))
    assert (row.code, row.who, row.outcome) == ("replica_not_caught_up", "db-3", "fail")
    assert row.text == f"db-3 did not catch up with the primary: {why}"


def loop(first_s: float, service: str, *codes: int) -> list[dict[str, Any]]:
    """An exit every two seconds, each half a second before the container runs again."""
    times = [first_s + 2 * n for n in range(len(codes))]
    ends = [dies(at_s, service, code) for at_s, code in zip(times, codes, strict=True)]
    return [*ends, *(starts(at_s + 0.5, service) for at_s in times)]


def test_a_crash_loop_is_one_line_that_says_how_often_when_and_during_which_fault() -> None:
    rows = surprises(*loop(31.2, "app-1", *[1] * 10), faults=(fault("pause", "redis"),))
    assert codes(rows) == [("container_died", "app-1", "fail")]
    assert rows[0].text == (
        "app-1 crash-looped while redis was frozen: 10 exits, exit code 1, from 31.2 to 49.2 s"
    )
    assert (rows[0].at_s, rows[0].phase) == (31.2, "fault")


@pytest.mark.parametrize(("count", "is_loop"), [(2, False), (3, True)])
def test_from_three_exits_on_it_is_a_crash_loop(count: int, is_loop: bool) -> None:
    rows = surprises(*loop(10.0, "app-1", *[1] * count))
    assert len(rows) == (1 if is_loop else count)
    assert ("crash-looped" in rows[0].text) is is_loop


@pytest.mark.parametrize(("lived_s", "lines"), [(30.0, 1), (30.25, 3)])
def test_a_container_that_ran_for_over_half_a_minute_was_in_no_loop(
    lived_s: float, lines: int
) -> None:
    times = [1.0 + (lived_s + 0.5) * n for n in range(3)]
    ends = [dies(at_s, "app-1", 1) for at_s in times]
    rows = surprises(*ends, *(starts(at_s + 0.5, "app-1") for at_s in times))
    assert [row.code for row in rows] == ["container_died"] * lines


def test_the_exits_of_a_loop_may_differ_and_its_last_may_be_for_good() -> None:
    ends = loop(10.0, "app-1", 1, 137, 1, 1)[:-1]
    killed = event("container.oom", 6.0, service="app-1")  # near the first alone
    (row,) = surprises(killed, *ends)
    assert row.text == (
        "app-1 crash-looped: 4 exits, exit codes 1 (3 times) and 137 (once), "
        "1 killed for memory, from 10.0 to 16.0 s; it did not run again"
    )
    assert row.code == "container_died"
    all_killed = [event("container.oom", 10.0 + 2 * n, service="app-1") for n in range(3)]
    (row,) = surprises(*all_killed, *loop(10.0, "app-1", 137, 137, 137))
    assert row.code == "container_out_of_memory"


def test_a_loop_of_an_instrument_leaves_no_evidence_and_an_allowed_one_is_a_note() -> None:
    (row,) = surprises(*loop(10.0, "toxiproxy", 1, 1, 1))
    assert row.text.startswith("toxiproxy (an instrument) crash-looped: 3 exits")
    assert row.outcome == "inconclusive"
    (row,) = surprises(*loop(10.0, "app-1", 1, 1, 1), allow=("container_died",))
    assert row.outcome == "note"


def test_exits_that_nobody_saw_the_start_between_are_a_loop_too() -> None:
    (row,) = surprises(*[dies(10.0 + n, "worker", 1) for n in range(9)])
    assert row.text.startswith("worker crash-looped: 9 exits, exit code 1, from 10.0 to 18.0 s")


@pytest.mark.parametrize(
    ("kind", "at_s", "words"),
    [
        ("pause", 10.0, "before any fault"),
        ("pause", 40.0, "while redis was frozen"),
        ("pause", 70.0, "soon after redis was frozen"),
        ("pause", 85.0, "while nothing was broken"),
        ("kill", 40.0, "while redis was down"),
        ("crash", 40.0, "after redis crashed"),
    ],
)
def test_a_single_exit_says_during_which_fault(kind: str, at_s: float, words: str) -> None:
    healing = event("fault.healing", 60.0, fault=f"{kind}-1")
    (row,) = surprises(healing, dies(at_s, "worker", 1), faults=(fault(kind, "redis"),))
    assert row.text == f"worker died with exit code 1 {words} and did not run again"


def test_exits_come_before_all_else_of_the_same_weight() -> None:
    rows = surprises(
        event("container.pause", 12.0, service="redis"), *loop(40.0, "app-1", 1, 1, 1),
        dies(90.0, "app-2"), dies(5.0, "toxiproxy"),
    )  # fmt: skip
    assert [row.who for row in rows] == ["app-1", "app-2", "redis", "toxiproxy"]


def test_the_gravest_come_first() -> None:
    rows = surprises(opened(1.0, "app-1", "redis"), dies(5.0, "toxiproxy"), dies(90.0, "app-1"))
    assert [row.outcome for row in rows] == ["fail", "inconclusive", "note"]


def test_an_old_run_without_a_list_of_parts_knows_who_is_in_its_balancers() -> None:
    old = [e for e in QUIET if e["event"] not in ("target.parts", "target.links")]
    rows = surprises(dies(40.0, "app-1"), dies(41.0, "toxiproxy"), base=old)
    assert [(row.who, row.outcome) for row in rows] == [
        ("app-1", "fail"), ("toxiproxy", "inconclusive"),
    ]  # fmt: skip
    (row,) = surprises(opened(1.0, "app-1", "redis"), faults=(KILLED_REDIS,), base=old)
    assert row.code == "breaker_opened"


def test_a_fault_row_knows_all_that_it_touched() -> None:
    touched = {"containers": [{"service": "app-1"}, {"service": "app-2"}], "links": ["a.b", "c.d"]}
    spec = FaultSpec(
        id="x-1", kind="kill", selector={"role": "app"}, phase="fault", start_s=1, end_s=2
    )
    experiment = Experiment(
        name="x", title="t", load=Load(rate_per_s=1, mix={"redirect": 1.0}),
        operations=OPERATIONS, phases=PHASES, faults=(spec,), hypothesis=(),
    )  # fmt: skip
    injecting = event("fault.injecting", 30.0, fault="x-1", target="app", resolved=touched)
    (row,) = fault_rows(experiment, [injecting])
    assert (row["service"], row["services"]) == ("app-1", ["app-1", "app-2"])
    assert row["links"] == ["a.b", "c.d"]


def named(rows: list[Surprise], code: str) -> list[Surprise]:
    return [row for row in rows if row.code == code]


def test_each_death_is_told_whole() -> None:
    events = [
        dies(40.0, "app-2"), starts(41.5, "app-2"), starts(39.0, "app-2"),
        event("container.oom", 44.0, service="db-1"), dies(49.0, "db-1", 9), starts(50.0, "db-1"),
        {**dies(70.0, "toxiproxy"), "exit_code": None}, starts(90.0, "app-3"),
        event("container.oom", 75.0, service="lb-1"), dies(80.1, "lb-1", 1),
    ]  # fmt: skip
    rows = surprises(*events)
    assert [row.text for row in rows if row.code != "container_started"] == [
        "app-2 died with exit code 137, and ran again after 1.5 s",
        "db-1 was killed for memory with exit code 9, and ran again after 1.0 s",
        "a process in lb-1 was killed for memory",
        "lb-1 died with exit code 1 and did not run again",
        "toxiproxy (an instrument) died and did not run again",
    ]
    assert codes(rows)[-2:] == [
        ("container_started", "app-2", "note"), ("container_started", "app-3", "note"),
    ]  # fmt: skip
    assert {row.text for row in named(rows, "container_started")} == {
        "app-2 was started", "app-3 was started",
    }  # fmt: skip


def test_an_instrument_that_was_frozen_or_lost_a_process_leaves_no_evidence() -> None:
    rows = surprises(
        event("container.pause", 12.0, service="toxiproxy"),
        event("container.oom", 11.0, service="toxiproxy"),
    )
    assert [(row.at_s, row.text, row.outcome) for row in rows] == [
        (11.0, "a process in toxiproxy (an instrument) was killed for memory", "inconclusive"),
        (12.0, "toxiproxy (an instrument) was frozen", "inconclusive"),
    ]


@pytest.mark.parametrize(
    ("what", "kind", "is_explained"),
    [
        ("oom", "out_of_memory", True), ("oom", "limit_memory", True), ("oom", "exec", True),
        ("oom", "kill", False), ("pause", "pause", True), ("pause", "exec", True),
        ("pause", "limit_cpu", False), ("start", "kill", True), ("start", "limit_cpu", True),
    ],
)  # fmt: skip
def test_which_faults_explain_what_happens_to_their_container(
    what: str, kind: str, is_explained: bool
) -> None:
    """And only of theirs, and while they last."""
    happened = event(f"container.{what}", 40.0, service="app-2")
    both = (fault("down", links=("a.b",)), fault(kind, "app-2"))
    assert (surprises(happened, faults=both) == []) is is_explained
    assert surprises(happened, faults=(fault(kind, "app-3"),)) != []
    assert surprises({**happened, "t_s": 20.0}, faults=both) != []


@pytest.mark.parametrize(("t_s", "is_explained"), [(29.5, True), (29.25, False)])
@pytest.mark.parametrize("last", [80.0])
def test_a_fault_explains_from_half_a_second_before_it_to_20_s_after_it(
    t_s: float, is_explained: bool, last: float
) -> None:
    frozen = (fault("pause", "redis"),)
    for at_s, expected in ((t_s, is_explained), (last, True), (last + 0.25, False)):
        happened = event("container.pause", at_s, service="redis")
        assert (surprises(happened, faults=frozen) == []) is expected


def test_exactly_three_of_a_kind_are_listed_whole_and_each_service_has_its_own_three() -> None:
    three = [event("container.pause", 10.0 + n, service="worker") for n in range(3)]
    four = [event("container.pause", 20.0 + n, service="app-1") for n in range(4)]
    more = [row for row in surprises(*three, *four) if "of this kind" in row.text]
    assert [(row.who, row.at_s) for row in more] == [("app-1", 22.0)]
    assert more[0].text.endswith("; 1 more of this kind later")
    mixed = [dies(15.0, "worker", 1), *three]
    assert len(surprises(*mixed)) == 4


def test_of_the_same_gravity_the_first_comes_first_and_at_one_moment_they_are_by_name() -> None:
    rows = surprises(dies(50.0, "app-3"), dies(40.0, "lb-2"), dies(40.0, "app-1"))
    assert [row.who for row in rows] == ["app-1", "lb-2", "app-3"]


def test_only_what_is_allowed_is_a_note() -> None:
    rows = surprises(
        dies(40.0, "app-3"), event("container.pause", 12.0, service="redis"),
        allow=("container_started", "container_died"),
    )  # fmt: skip
    assert codes(rows) == [
        ("container_paused", "redis", "fail"), ("container_died", "app-3", "note"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at_s", "phase"),
    [(-0.5, ""), (0.0, "warmup"), (2.0, "baseline"), (60.0, "recovery"), (120.0, "")],
)
def test_the_phase_of_a_moment(at_s: float, phase: str) -> None:
    (row,) = surprises(event("probe.gap", at_s, probe="p", error="e"))
    assert (row.phase, row.at_s) == (phase, at_s)


def test_a_run_of_failovers() -> None:
    """Promotions of another and of the same node, a cluster without a leader between them."""
    rows = surprises(
        cluster(10.0, "db-1", 2), cluster(20.0, None), cluster(30.0, "db-2", 2),
        cluster(31.0, "db-2", 3), cluster(32.0, "db-2", 4), cluster(50.0, "db-3", 5),
        cluster(51.0, "db-3", 6), cluster(52.0, "db-3", 6),
    )  # fmt: skip
    assert [(row.at_s, row.who, row.text) for row in rows] == [
        (10.0, "db-1", "db-1 was promoted, timeline 2"),
        (30.0, "db-2", "db-2 became the primary after db-1, timeline 2"),
        (32.0, "db-2", "db-2 was promoted, timeline 4"),
        (50.0, "db-3", "db-3 became the primary after db-2, timeline 5"),
        (51.0, "db-3", "db-3 was promoted, timeline 6"),
    ]


@pytest.mark.parametrize(
    ("t_s", "is_explained"), [(29.25, False), (29.5, True), (70.0, True), (70.25, False)]
)
def test_a_failover_explains_what_its_cluster_does_20_s_before_and_after_it(
    t_s: float, is_explained: bool
) -> None:
    moved = surprises(cluster(50.0, "db-2", 2), leaves(t_s, "db-1", "db-lb", "rw"))
    assert (named(moved, "left_rotation") == []) is is_explained
    failed = surprises(cluster(50.0, "db-2", 2), opened(t_s, "app-1", "db-rw"))
    assert (named(failed, "breaker_opened") == []) is is_explained
    assert named(surprises(cluster(50.0, "db-2", 2), leaves(50.0, "app-1")), "left_rotation")


def test_breakers_that_opened_of_several_servers() -> None:
    again = event(
        "breaker.transition", 70.0, server="app-1", breaker="redis",
        **{"from": "HALF_OPEN", "to": "OPEN"},
    )  # fmt: skip
    planned = (
        fault("kill", "lb-1", start_s=70.0, healed_s=99.0),
        fault("kill", "app-2", start_s=76.0, healed_s=77.0),
    )
    rows = surprises(
        opened(-0.25, "app-3", "redis"), opened(0.0, "app-3", "db-ro"),
        closed(5.0, "app-3", "db-ro"), opened(40.0, "app-1", "redis"), again,
        closed(75.5, "app-1", "redis"),
        opened(90.0, "app-2", "db-rw"), opened(72.0, "app-3", "redis"),
        dies(95.0, "lb-1", 0), dies(80.0, "app-2"),
        faults=planned,
    )  # fmt: skip
    assert [(row.at_s, row.who, row.text) for row in named(rows, "breaker_opened")] == [
        (0.0, "app-3", "breaker db-ro of app-3 opened for 5.0 s, before any fault"),
        (40.0, "app-1", "breaker redis of app-1 opened for 35.5 s, before any fault"),
        (72.0, "app-3", "breaker redis of app-3 opened and did not close again"),
    ]


@pytest.mark.parametrize(
    ("deaths_s", "words"),
    [
        ([5.0, 10.0, 18.0, 15.0], "for 3.0 s"),
        ([12.5, 11.5], "and was not CLOSED until its server died after 1.5 s"),
        ([13.0], "for 3.0 s"),
    ],
)
def test_a_breaker_is_open_until_it_closes_or_its_server_dies(
    deaths_s: list[float], words: str
) -> None:
    """Whichever is first, of several of each."""
    names = {9.0: "CLOSED", 10.0: "OPEN", 12.0: "HALF_OPEN", 13.0: "CLOSED", 20.0: "CLOSED"}
    assert _when([[at_s, name] for at_s, name in names.items()], deaths_s, 10.0) == words


def test_a_breaker_that_stayed_open_says_so() -> None:
    (row,) = surprises(opened(30.0, "app-2", "redis"), faults=(fault("pause", "lb-1"),))
    assert row.text == "breaker redis of app-2 opened and did not close again"
    early = dies(20.0, "app-2", 0)
    (row,) = named(
        surprises(early, opened(45.0, "app-2", "redis"), dies(99.0, "app-3")), "breaker_opened"
    )
    assert row.text == "breaker redis of app-2 opened and did not close again, before any fault"


@pytest.mark.parametrize(
    ("t_s", "state", "is_told"),
    [(-0.5, "OPEN", True), (3.0, "HALF_OPEN", True), (3.25, "OPEN", False), (1.0, "CLOSED", False)],
)
def test_which_breakers_were_open_when_the_run_began(t_s: float, state: str, is_told: bool) -> None:
    """By what each said first; what one server said is nothing to another."""
    base = [e for e in QUIET if e["event"] != "breaker.state"]
    first = event("breaker.state", t_s, server="app-2", breaker="redis", state=state)
    other = event("breaker.state", -0.5, server="app-1", breaker="redis", state="CLOSED")
    then = event("breaker.state", 3.5, server="app-2", breaker="redis", state="OPEN")
    rows = named(surprises(other, first, then, base=base), "breaker_open_before")
    assert [(row.at_s, row.who, row.text) for row in rows] == (
        [(0.0, "app-2", f"breaker redis of app-2 was {state} when the run began")]
        if is_told
        else []
    )


def test_only_what_a_server_said_first_was_so_when_the_run_began() -> None:
    half = event(
        "breaker.transition", 2.0, server="app-2", breaker="redis",
        **{"from": "OPEN", "to": "HALF_OPEN"},
    )  # fmt: skip
    rows = surprises(opened(1.0, "app-2", "redis"), half)
    assert codes(rows) == [("breaker_opened", "app-2", "note")]


def test_a_breaker_is_open_from_the_start_by_its_first_change_of_the_run() -> None:
    base = [e for e in QUIET if e["event"] != "breaker.state"]
    before = opened(-0.25, "app-3", "redis")
    first = event(
        "breaker.transition", 2.0, server="app-3", breaker="redis",
        **{"from": "OPEN", "to": "HALF_OPEN"},
    )  # fmt: skip
    rows = surprises(before, first, base=base)
    assert [row.text for row in rows] == ["breaker redis of app-3 was OPEN when the run began"]
    assert surprises(before, base=base) == []
    at_zero = surprises({**first, "t_s": 0.0}, base=base)
    assert codes(at_zero) == [("breaker_open_before", "app-3", "note")]


def test_servers_that_left_and_returned_by_turns() -> None:
    def moves(t_s: float, status: str, server: str = "app-2", backend: str = "read") -> Any:
        return balanced("lb-1", backend, {server: status}, t_s)[0]

    rows = surprises(
        moves(-0.3, "DOWN", "app-3"), moves(-0.2, "UP", "app-3"),
        moves(10.0, "DOWN"), moves(11.0, "DOWN", backend="write"), moves(12.0, "UP 1/3"),
        moves(12.5, "UP", backend="write"), moves(13.0, "UP"), moves(20.0, "MAINT"),
        moves(20.5, "DOWN"), moves(21.5, "DOWN", backend="write"), moves(0.0, "DOWN", "app-1"),
        moves(25.0, "UP", "app-1", "write"), moves(26.0, "UP", "app-3"),
        moves(30.0, "UP", "app-1"), moves(30.0, "DOWN", "app-1"), moves(30.5, "UP", "app-1"),
    )  # fmt: skip
    assert [(row.at_s, row.who, row.text) for row in rows] == [
        (0.0, "app-1", "app-1 left the rotation of lb-1 (read) for 30.0 s"),
        (10.0, "app-2", "app-2 left the rotation of lb-1 (read) for 2.0 s"),
        (20.0, "app-2", "app-2 left the rotation of lb-1 (read) and did not return"),
        (21.5, "app-2", "app-2 left the rotation of lb-1 (write) and did not return"),
        (30.0, "app-1", "app-1 left the rotation of lb-1 (read) for 0.5 s"),
    ]


def test_each_balancer_has_its_own_departures() -> None:
    rows = surprises(leaves(10.0, "app-2"), leaves(10.5, "app-2", "lb-2"), leaves(10.5, "app-3"))
    assert [row.text.removesuffix(" (read) and did not return") for row in rows] == [
        "app-2 left the rotation of lb-1", "app-2 left the rotation of lb-2",
        "app-3 left the rotation of lb-1",
    ]  # fmt: skip


def test_stalls_of_both_streams_and_how_far_apart_they_are() -> None:
    """Over a quarter of a second late; due times more than a second apart are another stall."""
    late = {20.0: 0.5, 20.5: 0.75, 21.5: 0.3, 22.75: 0.4, 50.0: 0.25, 119.99: 0.26}
    never = samples({30.0: np.nan, 40.0: 0.3})
    rows = surprises(main=samples(late), canary=never)
    assert [(row.at_s, row.who, row.text.partition(": ")[2]) for row in rows] == [
        (20.0, "main load", "requests due from 20.0 to 21.5 s were sent up to 0.75 s late"),
        (22.75, "main load", "requests due from 22.8 to 22.8 s were sent up to 0.40 s late"),
        (40.0, "canary", "requests due from 40.0 to 40.0 s were sent up to 0.30 s late"),
        (119.99, "main load", "requests due from 120.0 to 120.0 s were sent up to 0.26 s late"),
    ]
    assert rows[0].text.startswith("the main load stood still: ")
    assert {row.code for row in rows} == {"generator_stalled"}
    assert surprises(main=samples()[:0], canary=samples()[:0]) == []


def test_probe_gaps_without_their_facts() -> None:
    late, gap = surprises(event("probe.late", 8.0), event("probe.gap", 9.0))
    assert (late.text, gap.text) == ("probe  did not look for 0.0 s", "probe  could not look: ")
    (gap,) = surprises(event("probe.gap", 9.0, probe="patroni", error="refused"))
    assert gap.text == "probe patroni could not look: refused"


def test_a_node_that_was_left_behind_is_told_at_the_end() -> None:
    (row,) = surprises(left_behind=(Behind(node="db-3", why="it was behind"),))
    assert (row.at_s, row.phase) == (120.0, "")


ALERTS = Alerts(
    alerts=[
        AlertFound(alert="Cpu", severity="warning", labels={"part": "app-1"}, summary="90 %",
                   firing_s=10.0, resolved_s=20.0),
        AlertFound(alert="Known", firing_s=12.0),
        AlertFound(alert="Heartbeat", severity="none", firing_s=-60.0),
        AlertFound(alert="Old", firing_s=-60.0, resolved_s=5.0),
        AlertFound(alert="Warm", firing_s=0.5, resolved_s=1.5),
        AlertFound(alert="Later", firing_s=31.0),
        AlertFound(alert="Pending", pending_s=10.0),
    ],
    expected=["Known"],
)  # fmt: skip


def record_of(*faults: Any) -> Record:
    return Record(Experiment.model_construct(phases=PHASES), [], samples(), samples(), [*faults])


def test_an_alert_that_fires_before_anything_is_broken_is_one() -> None:
    found = figures(record_of(KILLED_REDIS), alerts=ALERTS)
    assert [(s.code, s.at_s, s.who, s.phase, s.outcome) for s in found] == [
        ("alert_fired", 0.0, "Old", "warmup", "note"),
        ("alert_fired", 10.0, "app-1", "baseline", "note"),
    ]
    assert [s.text for s in found] == [
        "alert Old was firing when the run began",
        "alert Cpu.warning of app-1 fired before any fault: 90 %",
    ]


def test_in_a_run_without_faults_every_alert_that_nobody_expects_is_one() -> None:
    found = figures(record_of(), alerts=ALERTS)
    assert [s.who for s in found] == ["Old", "app-1", "Later"]
    assert found[-1].text == "alert Later fired"


def test_the_leaders_of_several_regions_are_no_failovers_of_each_other() -> None:
    first = ({**cluster(t_s, "db-1", 1), "region": "us"} for t_s in (20.0, 40.0))
    other = ({**cluster(t_s, "eu-db", 1), "region": "eu"} for t_s in (20.1, 40.1))
    assert surprises(*first, *other) == []
    moved = {**cluster(50.0, "eu-db", 2), "region": "eu"}
    began = {**cluster(20.1, "eu-db", 1), "region": "eu"}
    assert codes(surprises(began, moved)) == [("failover", "eu-db", "note")]
