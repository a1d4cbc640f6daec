"""The figures of circuit breakers, from transition logs whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
from plain import plain

from harness.aspects import breakers
from harness.aspects.breakers import timeline as drawn
from harness.aspects.breakers.server import POLLED_S, server_of, uncertainty_of_server
from harness.aspects.breakers.server import _fast_fails as fast_fails_of
from harness.aspects.breakers.server import _last_state as last_state
from harness.model.experiment import Phase
from harness.model.uncertain import uncertainty_of
from harness.record.run import Record

FAULT_S, HEALED_S = 10.0, 60.0
STATES = [
    {"t_s": -0.5, "state": "CLOSED", "fast_fails": 9000, "fast_fail_p99_s": 0.009},  # of before
    {"t_s": 10.5, "state": "OPEN", "fast_fails": 9040, "fast_fail_p99_s": 0.007},  # a few
    {"t_s": 71.5, "state": "CLOSED", "fast_fails": 14_000, "fast_fail_p99_s": 0.001},
]
BOOTS = [-0.5]


PHASES = [Phase(name="fault", start_s=FAULT_S, end_s=HEALED_S)]
EXPERIMENT = cast(Any, SimpleNamespace(phases=PHASES, end_s=HEALED_S))


def move(t_s: float, states: str, failures: int = 0, probes: int | None = None) -> dict[str, Any]:
    before, after = states.split(" ")
    return {
        "t_s": t_s, "from": before, "to": after, "failures": failures, "probes": probes,
        "boot": "a",
    }  # fmt: skip


OPENED = [move(10.2, "CLOSED OPEN", failures=5)]
REOPENED = [
    *OPENED,
    move(40.2, "OPEN HALF_OPEN"),
    move(40.3, "HALF_OPEN OPEN", failures=6, probes=1),
]
CLOSED = [*REOPENED, move(70.3, "OPEN HALF_OPEN"), move(71.0, "HALF_OPEN CLOSED", probes=1)]


def server(transitions: list[dict[str, Any]]) -> dict[str, Any]:
    return _server_row(transitions, STATES, (FAULT_S, HEALED_S), BOOTS, PHASES)


def test_a_whole_course_gives_every_figure() -> None:
    assert server(CLOSED) == {
        "state_at_fault": "CLOSED",
        "opened_s": 10.2,
        "opened_after_fault_s": pytest.approx(0.2),
        "failures_to_open": 5,
        "reopened": 1,
        "failures_to_reopen": 1,
        "probes_per_cooldown": 1,
        "shortest_cooldown_s": pytest.approx(30.0),
        "closed_s": 71.0,
        "closed_after_heal_s": pytest.approx(11.0),
        "state_at_end": "CLOSED",
        "flaps": 0,
        "phases": {"fault": {"flaps": 0, "state_at_end": "OPEN"}},
        "fast_fails": 5000,
        "fast_fail_p99_s": 0.001,
    }


@pytest.mark.parametrize(
    "stuck",
    [OPENED, REOPENED, [*CLOSED, move(80.0, "CLOSED OPEN", failures=5)]],
    ids=["open", "re-opened", "closed, then open again"],
)
def test_one_breaker_that_stays_open_is_not_hidden_by_one_that_closed(
    stuck: list[dict[str, Any]],
) -> None:
    worst = _worst_of({"app-1": server(CLOSED), "app-2": server(stuck)})
    assert worst["closes_within"] is None
    assert worst["closed_at_end"] is False


def test_one_breaker_that_never_opened_is_not_hidden_by_one_that_did() -> None:
    worst = _worst_of({"app-1": server(CLOSED), "app-2": server([])})
    assert worst["opened_on_all"] is False
    assert worst["closes_within"] == pytest.approx(11.0)


def test_a_breaker_that_was_open_before_the_fault_says_so() -> None:
    early = [move(1.5, "CLOSED OPEN", failures=5)]
    assert server(early)["state_at_fault"] == "OPEN"
    assert server(early)["opened_s"] is None


def test_closing_before_the_heal_is_no_negative_time() -> None:
    early = [*OPENED, move(40.2, "OPEN HALF_OPEN"), move(41.0, "HALF_OPEN CLOSED", probes=1)]
    assert server(early)["closed_after_heal_s"] == 0


MOVES = {"CLOSED": ["OPEN"], "OPEN": ["HALF_OPEN"], "HALF_OPEN": ["OPEN", "CLOSED"]}


def walks(state: str, steps: int) -> Iterator[tuple[str, ...]]:
    """Every way a breaker can go from `state` in so many steps."""
    if not steps:
        yield (state,)
        return
    for following in MOVES[state]:
        for rest in walks(following, steps - 1):
            yield (state, *rest)


def offset(t_s: float, service: str, offset_s: float, uncertainty_s: float) -> dict[str, Any]:
    measured = {"offset_s": offset_s, "uncertainty_s": uncertainty_s}
    return {"event": "clock.offset", "t_s": t_s, "service": service, **measured}


def transitions(server: str, moves: list[dict[str, Any]]) -> list[dict[str, Any]]:
    origin = {"event": "breaker.transition", "server": server, "breaker": "redis"}
    return [{**origin, **moved} for moved in moves]


def log_of(walk: tuple[str, ...], failures: int, needed: int, let_through: int) -> Any:
    """A move each 7 s: opens after `failures`, re-opens after `needed` in HALF_OPEN."""
    count, moves = 0, []
    for number, (before, after) in enumerate(pairwise(walk)):
        count = {"CLOSED OPEN": failures, "HALF_OPEN OPEN": count + needed}.get(
            f"{before} {after}", 0 if after == "CLOSED" else count
        )
        probes = let_through if before == "HALF_OPEN" else None
        moves.append(move(11.0 + 7 * number, f"{before} {after}", count, probes))
    return moves


@pytest.mark.parametrize("steps", range(13))
@pytest.mark.parametrize(("failures", "needed", "let_through"), [(5, 1, 1), (7, 5, 3), (1, 2, 1)])
def test_every_course_of_a_breaker_is_told_as_it_was(
    steps: int, failures: int, needed: int, let_through: int
) -> None:
    for walk in walks("CLOSED", steps):
        moves = log_of(walk, failures, needed, let_through)
        found, steps_taken = server(moves), list(pairwise(walk))
        opens = steps_taken.count(("CLOSED", "OPEN"))
        reopens = steps_taken.count(("HALF_OPEN", "OPEN"))
        left_half_open = reopens + steps_taken.count(("HALF_OPEN", "CLOSED"))
        assert found["state_at_end"] == walk[-1]
        assert found["opened_s"] == (11.0 if opens else None)
        assert found["failures_to_open"] == (failures if opens else None)
        assert found["flaps"] == max(0, opens - 1)
        assert found["reopened"] == reopens
        assert found["failures_to_reopen"] == (needed if reopens else None)
        assert found["probes_per_cooldown"] == (let_through if left_half_open else None)
        assert found["shortest_cooldown_s"] == (7.0 if "HALF_OPEN" in walk else None)
        closed_s = moves[-1]["t_s"] if moves and walk[-1] == "CLOSED" else None
        assert found["closed_s"] == closed_s
        late_s = max(0.0, closed_s - HEALED_S) if closed_s else None
        assert found["closed_after_heal_s"] == late_s


def test_one_instance_that_misbehaves_is_seen_in_each_figure_of_the_worst() -> None:
    good = server(CLOSED)
    walk = ("CLOSED", "OPEN", "HALF_OPEN", "OPEN", "HALF_OPEN", "CLOSED", "OPEN", "HALF_OPEN")
    bad = server(log_of(walk, 9, 5, 3)) | {"fast_fail_p99_s": 0.2}
    worst = _worst_of({"app-1": good, "app-2": bad, "app-3": good})
    beside = ("servers", "expected_servers", "missing_servers", "uncertainty_s")
    assert {name: value for name, value in worst.items() if name not in beside} == {
        "opened_on_all": True,
        "failures_to_open": 9,
        "opens_within": pytest.approx(1.0),
        "reopened_on_all": True,
        "failures_to_reopen": 5,
        "probes_per_cooldown": 3,
        "cooldown": 7.0,
        "fast_fail_p99": 0.2,
        "closes_within": None,
        "closed_at_end": False,
        "flaps": 1,
    }


def test_an_opening_is_counted_in_its_phase_and_only_the_first_of_the_fault_is_excused() -> None:
    phases = [
        Phase(name=name, start_s=start_s, end_s=end_s)
        for name, start_s, end_s in (("before", 0.0, 10.0), ("fault", 10.0, 60.0), ("end", 60, 99))
    ]
    log = [
        *(move(4.0, "CLOSED OPEN", 5), move(6.0, "OPEN HALF_OPEN"), move(6.1, "HALF_OPEN CLOSED")),
        *(move(11.0, "CLOSED OPEN", 5), move(20.0, "OPEN HALF_OPEN")),
        *(move(20.1, "HALF_OPEN CLOSED"), move(58.0, "CLOSED OPEN", 5)),
    ]
    found = _server_row(log, STATES, (10.0, 60.0), BOOTS, phases)
    assert found["flaps"] == 2
    assert found["phases"] == {
        "before": {"flaps": 1, "state_at_end": "CLOSED"},
        "fault": {"flaps": 1, "state_at_end": "OPEN"},
        "end": {"flaps": 0, "state_at_end": "OPEN"},
    }


def test_times_of_an_app_are_as_uncertain_as_its_clock() -> None:
    """app-1 is slower by 0.1 s; app-2's clock was measured with a wide margin: it may be slower."""
    later = [{**moved, "t_s": moved["t_s"] + 0.1} for moved in CLOSED]
    events = [
        offset(0.0, "app-1", 0.0, 0.002),
        offset(0.0, "app-2", 0.0, 0.3),
        *transitions("app-1", later),
        *transitions("app-2", CLOSED),
    ]
    faults = [{"start_s": FAULT_S, "healed_s": HEALED_S}]
    record = Record(EXPERIMENT, events, pd.DataFrame(), pd.DataFrame(), faults)
    found = figures_of(record)["by_breaker"]["redis"]
    assert found["opens_within"] == pytest.approx(0.3)
    assert found["uncertainty_s"]["opens_within"] == pytest.approx(0.2)  # 0.2 + 0.3 at most
    assert found["uncertainty_s"]["closes_within"] == pytest.approx(0.2)
    assert uncertainty_of(found["uncertainty_s"], "cooldown") == 0  # between two times of one clock


def test_a_clock_that_was_not_measured_is_not_called_exact() -> None:
    record = Record(EXPERIMENT, transitions("app-1", CLOSED), pd.DataFrame(), pd.DataFrame(), [])
    found = figures_of(record)["by_breaker"]["redis"]["servers"]["app-1"]
    assert found["uncertainty_s"]["opened_after_fault_s"] is None


def test_without_a_thousand_fast_failures_of_this_run_their_p99_is_not_known() -> None:
    quick = [*STATES[:2], {**STATES[2], "fast_fails": 9999}]
    found = _server_row(CLOSED, quick, (FAULT_S, HEALED_S), BOOTS, PHASES)
    assert (found["fast_fails"], found["fast_fail_p99_s"]) == (999, None)


def test_a_process_that_was_killed_while_open_begins_closed() -> None:
    """Its successor logs nothing; the state that it shows first is the one that counts."""
    origin = {"server": "app-2", "breaker": "redis"}
    events = [
        offset(-0.5, "app-2", 0.0, 0.004),
        {"event": "breaker.state", **origin, **STATES[0]},
        *({"event": "breaker.transition", **origin, **moved} for moved in OPENED),
        offset(70.0, "app-2", 0.001, 0.002),
        {"event": "breaker.state", **origin, "t_s": 70.0, "state": "CLOSED", "fast_fails": 0},
    ]
    faults = [{"start_s": FAULT_S, "healed_s": HEALED_S}]
    record = Record(EXPERIMENT, events, pd.DataFrame(), pd.DataFrame(), faults)
    found = figures_of(record)["by_breaker"]["redis"]["servers"]["app-2"]
    assert (found["state_at_end"], found["closed_after_heal_s"]) == ("CLOSED", 10.0)
    off_by_s = {"opened_after_fault_s": pytest.approx(0.003), "closed_after_heal_s": POLLED_S}
    assert found["uncertainty_s"] == off_by_s
    assert drawn(record) == {"app-2/redis": [[0.0, "CLOSED"], [10.2, "OPEN"], [70.0, "CLOSED"]]}


def test_an_instance_known_only_by_its_log_is_told_of_too() -> None:
    log = [
        {"event": "breaker.transition", "server": "app-9", "breaker": "redis", **m} for m in CLOSED
    ]
    record = Record(EXPERIMENT, log, pd.DataFrame(), pd.DataFrame(), [])
    found = figures_of(record)["by_breaker"]["redis"]["servers"]
    assert found["app-9"]["state_at_end"] == "CLOSED"


def event(name: str, t_s: float, server: str, breaker: str, **facts: Any) -> dict[str, Any]:
    return {"event": name, "t_s": t_s, "server": server, "breaker": breaker, **facts}


def moved(t_s: float, states: str, server: str = "a", breaker: str = "x") -> dict[str, Any]:
    before, after = states.split()
    return event("breaker.transition", t_s, server, breaker, **{"from": before, "to": after})


def looked(t_s: float, state: str, server: str = "a", breaker: str = "x") -> dict[str, Any]:
    return event("breaker.state", t_s, server, breaker, state=state)


def began(t_s: float, service: str = "a") -> dict[str, Any]:
    return offset(t_s, service, 0.0, 0.001)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([looked(-1.0, "OPEN"), looked(3.0, "CLOSED")], {"a/x": [[0.0, "OPEN"]]},
                     id="the first look says how it began; the log says what changed"),
        pytest.param([moved(2.0, "OPEN HALF_OPEN"), looked(3.0, "CLOSED")],
                     {"a/x": [[0.0, "OPEN"], [2.0, "HALF_OPEN"]]}, id="first known by its log"),
        pytest.param([moved(-1.0, "CLOSED OPEN"), moved(0.0, "OPEN HALF_OPEN")],
                     {"a/x": [[0.0, "OPEN"], [0.0, "HALF_OPEN"]]}, id="from run start on"),
        pytest.param([moved(-1.0, "CLOSED OPEN")], {}, id="before run start alone"),
        pytest.param(
            [looked(-1.0, "CLOSED", "b", "y"), looked(-1.0, "CLOSED", "b", "x"),
             moved(5.0, "CLOSED OPEN", "a", "y"), moved(4.0, "CLOSED OPEN", "b", "y")],
            {"a/y": [[0.0, "CLOSED"], [5.0, "OPEN"]], "b/x": [[0.0, "CLOSED"]],
             "b/y": [[0.0, "CLOSED"], [4.0, "OPEN"]]}, id="several of several",
        ),
        pytest.param(
            [began(-2.0), looked(-1.0, "CLOSED"), moved(2.0, "CLOSED OPEN"), began(9.0),
             looked(9.5, "CLOSED"), looked(10.0, "OPEN")],
            {"a/x": [[0.0, "CLOSED"], [2.0, "OPEN"], [9.5, "CLOSED"]]},
            id="a new process begins with its own, once",
        ),
        pytest.param(
            [looked(-1.0, "CLOSED"), began(9.0), looked(9.5, "CLOSED"), looked(10.0, "OPEN")],
            {"a/x": [[0.0, "CLOSED"]]}, id="a new process in the same state",
        ),
        pytest.param(
            [looked(-1.0, "OPEN"), looked(-1.0, "OPEN", "a", "y"), looked(-1.0, "OPEN", "ab"),
             looked(-1.0, "OPEN", "b"), looked(-1.0, "OPEN", "c"), began(5.0), began(6.0, "b"),
             *(looked(7.0, "CLOSED", name) for name in ("a", "ab", "b", "c")),
             looked(8.0, "HALF_OPEN", "a", "y")],
            {"a/x": [[0.0, "OPEN"], [7.0, "CLOSED"]], "a/y": [[0.0, "OPEN"], [8.0, "HALF_OPEN"]],
             "ab/x": [[0.0, "OPEN"]], "b/x": [[0.0, "OPEN"], [7.0, "CLOSED"]],
             "c/x": [[0.0, "OPEN"]]}, id="two new processes before either is looked at",
        ),
    ],
)  # fmt: skip
def test_when_a_breaker_was_in_which_state(
    events: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    found = drawn(Record(EXPERIMENT, events, pd.DataFrame(), pd.DataFrame()))
    assert found == expected
    assert list(found) == sorted(found)


def test_several_breakers_of_several_servers_after_several_faults() -> None:
    """The first fault begins at 10 s, the last heal is at 60 s; one is not healed at all."""
    phases = [
        Phase(name=name, start_s=start_s, end_s=end_s)
        for name, start_s, end_s in (("warmup", 0.0, 5.0), ("one", 5.0, 30.0), ("two", 30.0, 99.0))
    ]
    experiment = cast(Any, SimpleNamespace(phases=phases, end_s=99.0))
    faults = [
        {"start_s": 40.0, "healed_s": 60.0}, {"start_s": None, "healed_s": None},
        {"start_s": 10.0, "healed_s": 35.0}, {"start_s": 20.0, "healed_s": None},
    ]  # fmt: skip
    later = [{**moved, "t_s": moved["t_s"] + 2} for moved in CLOSED]
    events = [
        *transitions("app-1", [move(-3.0, "OPEN HALF_OPEN"), move(0.0, "HALF_OPEN CLOSED")]),
        *transitions("app-1", CLOSED), *transitions("app-2", later),
        {**looked(-0.5, "CLOSED", "app-3", "db"), "fast_fails": 0, "fast_fail_p99_s": None},
        {**looked(80.0, "OPEN", "app-3", "db"), "fast_fails": 2000, "fast_fail_p99_s": 0.004},
        looked(80.0, "OPEN", "app-2", "redis"),
        began(-0.5, "app-1"), began(75.0, "app-2"),
    ]  # fmt: skip
    found = figures_of(Record(experiment, events, pd.DataFrame(), pd.DataFrame(), faults))
    assert [row["t_s"] for row in found["transitions"]][:3] == [0.0, 10.2, 12.2]
    assert len(found["transitions"]) == 1 + 2 * len(CLOSED)
    assert found["transitions"][0] == {
        "t_s": 0.0, "server": "app-1", "boot": "a", "breaker": "redis", "from": "HALF_OPEN",
        "to": "CLOSED", "failures": 0, "probes": None,
    }  # fmt: skip
    assert list(found["by_breaker"]) == ["db", "redis"]
    database, redis = found["by_breaker"].values()
    assert list(redis["servers"]) == ["app-1", "app-2"]
    assert redis["expected_servers"] == ["app-1", "app-2", "app-3"]
    assert (redis["missing_servers"], redis["opened_on_all"]) == (["app-3"], False)
    assert database["missing_servers"] == ["app-1", "app-2"]
    assert database["fast_fail_p99"] == 0.004
    assert redis["opens_within"] == pytest.approx(2.2)
    one, two = redis["servers"].values()
    assert one["closed_after_heal_s"] == pytest.approx(11.0)
    assert (two["state_at_end"], two["closed_s"]) == ("OPEN", None)  # its new process
    assert {name: row["state_at_end"] for name, row in two["phases"].items()} == {
        "one": "OPEN", "two": "CLOSED",
    }  # fmt: skip
    assert one["uncertainty_s"] == {"opened_after_fault_s": 0.001, "closed_after_heal_s": 0.001}


def test_without_a_fault_or_a_heal_nothing_is_after_it() -> None:
    record = Record(
        EXPERIMENT, transitions("app-1", CLOSED), pd.DataFrame(), pd.DataFrame(),
        [{"start_s": 10.0, "healed_s": None}],
    )  # fmt: skip
    row = figures_of(record)["by_breaker"]["redis"]["servers"]["app-1"]
    assert (row["opened_after_fault_s"], row["closed_after_heal_s"]) == (pytest.approx(0.2), 0.0)
    record.faults.clear()
    row = figures_of(record)["by_breaker"]["redis"]["servers"]["app-1"]
    assert (row["opened_s"], row["state_at_fault"], row["flaps"]) == (None, "CLOSED", 1)


OPENED_ROW = {"opened_s": 11.0, "closed_after_heal_s": 1.0, "reopened": 1, "state_at_end": "CLOSED"}


@pytest.mark.parametrize(
    ("figure", "field", "values", "worst"),
    [
        ("failures_to_open", "failures_to_open", (5, 9, 7), 9),
        ("opens_within", "opened_after_fault_s", (0.5, 0.75, 0.25), 0.75),
        ("failures_to_reopen", "failures_to_reopen", (1, None, 3), 3),
        ("probes_per_cooldown", "probes_per_cooldown", (1, 4, None), 4),
        ("cooldown", "shortest_cooldown_s", (30.0, 7.0, None), 7.0),
        ("cooldown", "shortest_cooldown_s", (None, None, None), None),
        ("fast_fail_p99", "fast_fail_p99_s", (0.001, 0.004, None), 0.004),
        ("closes_within", "closed_after_heal_s", (1.0, 9.0, 2.0), 9.0),
        ("closes_within", "closed_after_heal_s", (1.0, None, 2.0), None),
        ("flaps", "flaps", (0, 5, 2), 5),
        ("opened_on_all", "opened_s", (11.0, 0.0, 12.0), True),
        ("opened_on_all", "opened_s", (11.0, None, 12.0), False),
        ("reopened_on_all", "reopened", (1, 2, 3), True),
        ("reopened_on_all", "reopened", (1, 0, 3), False),
        ("closed_at_end", "state_at_end", ("CLOSED", "CLOSED", "CLOSED"), True),
        ("closed_at_end", "state_at_end", ("CLOSED", "HALF_OPEN", "CLOSED"), False),
        ("closed_at_end", "state_at_end", ("CLOSED", "CLOSED", None), False),
    ],
)
def test_the_worst_of_three_servers(figure: str, field: str, values: Any, worst: Any) -> None:
    rows = {f"app-{n}": {**OPENED_ROW, field: value} for n, value in enumerate(values)}
    assert _worst_of(rows)[figure] == worst
    if isinstance(worst, bool):
        servers = {name: breakers.Server(**row) for name, row in rows.items()}
        assert getattr(breakers._worst(servers, ["app-9"]), figure) is False
        assert getattr(breakers._worst({}), figure) is False


def test_a_server_that_never_opened_has_no_failures_that_opened_it() -> None:
    quiet = {"opened_s": None, "failures_to_open": 99, "opened_after_fault_s": 99.0}
    found = _worst_of({"app-1": {**OPENED_ROW, "failures_to_open": 5}, "app-2": quiet})
    assert (found["failures_to_open"], found["opens_within"]) == (5, None)


def test_the_worst_is_as_uncertain_as_the_others_make_it() -> None:
    half_s = {"opened_after_fault_s": 0.25, "closed_after_heal_s": 0.125}
    rows = {
        "app-1": {**OPENED_ROW, "opened_after_fault_s": 1.0, "uncertainty_s": half_s},
        "app-2": {**OPENED_ROW, "opened_after_fault_s": 0.5, "uncertainty_s": {
            "opened_after_fault_s": 2.0, "closed_after_heal_s": None}},
        "app-3": {"opened_s": None, "uncertainty_s": {"opened_after_fault_s": 50.0}},
    }  # fmt: skip
    found = _worst_of(rows)
    assert found["uncertainty_s"] == {"opens_within": 2.5 - 1.0, "closes_within": 0.125}
    assert _worst_of({"app-3": rows["app-3"]})["uncertainty_s"] == {
        "opens_within": None, "closes_within": None,
    }  # fmt: skip


def test_at_the_moment_of_the_fault_a_breaker_is_what_it_was_before() -> None:
    """It opens as the fault begins, and closes as it is healed and the phase ends."""
    log = [
        *(move(FAULT_S, "CLOSED OPEN", 5), move(59.0, "OPEN HALF_OPEN")),
        move(HEALED_S, "HALF_OPEN CLOSED"),
    ]
    found = server(log)
    assert (found["state_at_fault"], found["opened_after_fault_s"]) == ("CLOSED", 0.0)
    assert (found["closed_s"], found["closed_after_heal_s"]) == (HEALED_S, 0.0)
    assert found["phases"] == {"fault": {"flaps": 0, "state_at_end": "HALF_OPEN"}}
    again = server([*log, move(60.0, "CLOSED OPEN", 3), move(60.5, "OPEN HALF_OPEN")])
    assert (again["flaps"], again["phases"]["fault"]["flaps"]) == (1, 0)
    assert again["failures_to_open"] == 5
    early = server([move(9.0, "CLOSED OPEN", 99), move(9.5, "OPEN HALF_OPEN"),
                    move(9.75, "HALF_OPEN CLOSED"), *log])  # fmt: skip
    assert (early["flaps"], early["failures_to_open"], early["opened_s"]) == (1, 5, FAULT_S)


@pytest.mark.parametrize(
    ("openings", "needed"),
    [
        ([], None),
        ([("CLOSED", 5)], None),
        ([("CLOSED", 5), ("HALF_OPEN", 6)], 1),
        ([("CLOSED", 5), ("HALF_OPEN", 6), ("HALF_OPEN", 10), ("HALF_OPEN", 12)], 4),
        ([("CLOSED", 5), ("HALF_OPEN", 8), ("CLOSED", 20), ("HALF_OPEN", 21)], 3),
        ([("CLOSED", 5), ("HALF_OPEN", 5)], 5),  # it counted from 0 again
        ([("CLOSED", 5), ("HALF_OPEN", 2)], 2),
        ([("HALF_OPEN", 4)], 4),
        ([("CLOSED", None), ("HALF_OPEN", 3), ("HALF_OPEN", None)], 3),
    ],
)
def test_the_most_failures_that_a_reopening_took(
    openings: list[tuple[str, int | None]], needed: int | None
) -> None:
    log = []
    for number, (state, failures) in enumerate(openings):
        opening = {**move(20.0 + number, f"{state} OPEN"), "failures": failures}
        log += [opening, move(20.5 + number, "OPEN HALF_OPEN", failures=77)]
    assert server(log)["failures_to_reopen"] == needed


def test_a_cooldown_is_from_an_opening_to_the_next_probe_of_the_same_process() -> None:
    log = [
        *(move(20.0, "CLOSED OPEN"), move(32.0, "OPEN HALF_OPEN"), move(32.5, "HALF_OPEN OPEN")),
        *({**move(33.0, "OPEN HALF_OPEN"), "boot": "b"}, move(40.0, "HALF_OPEN OPEN")),
        *(move(51.0, "OPEN HALF_OPEN"), move(51.5, "HALF_OPEN CLOSED"), move(52.0, "CLOSED OPEN")),
    ]
    assert server(log)["shortest_cooldown_s"] == 11.0
    assert server(log[:3])["shortest_cooldown_s"] == 12.0
    assert server(log[2:4])["shortest_cooldown_s"] is None
    assert server(log[5:])["shortest_cooldown_s"] is None


@pytest.mark.parametrize(
    ("states", "boots", "expected"),
    [
        pytest.param([], [], (None, None), id="nothing"),
        pytest.param([(1.0, "OPEN"), (2.0, "CLOSED")], [], (1.0, "CLOSED"), id="no log: looks"),
        pytest.param([(1.0, "CLOSED"), (3.0, "OPEN"), (4.0, "CLOSED")], [0.5, 3.0],
                     (3.0, "CLOSED"), id="looks since the last process began"),
        pytest.param([(1.0, "CLOSED"), (2.0, "OPEN")], [0.5, 3.0], (1.0, "OPEN"),
                     id="a new process that nobody looked at"),
        pytest.param([(1.0, "CLOSED")], [], (1.0, "CLOSED"), id="one look"),
    ],
)  # fmt: skip
def test_the_last_state_by_looks(
    states: list[tuple[float, str]], boots: list[float], expected: tuple[float | None, str | None]
) -> None:
    rows = [{"t_s": t_s, "state": state} for t_s, state in states]
    assert last_state([], rows, boots) == expected


@pytest.mark.parametrize(
    ("boots", "looks", "expected"),
    [
        ([], [(80.0, "CLOSED")], (71.0, "CLOSED")),
        ([-1.0], [(-0.5, "CLOSED"), (80.0, "OPEN")], (71.0, "CLOSED")),
        ([-1.0, 71.0], [(-0.5, "CLOSED"), (80.0, "OPEN")], (71.0, "CLOSED")),
        ([72.0, -1.0], [(-0.5, "CLOSED"), (80.0, "OPEN")], (80.0, "OPEN")),
        ([-1.0, 72.0], [(72.0, "HALF_OPEN"), (80.0, "OPEN")], (72.0, "OPEN")),
        ([-1.0, 72.0], [(-0.5, "OPEN"), (60.0, "HALF_OPEN")], (-0.5, "HALF_OPEN")),
        ([-1.0, 72.0], [], (71.0, "CLOSED")),
    ],
)
def test_the_last_state_by_the_log_until_a_new_process_begins(
    boots: list[float], looks: list[tuple[float, str]], expected: tuple[float, str]
) -> None:
    rows = [{"t_s": t_s, "state": state} for t_s, state in looks]
    assert last_state(CLOSED, rows, boots) == expected


def refused(t_s: float, fast_fails: int | None, p99_s: float | None) -> dict[str, Any]:
    return {"t_s": t_s, "state": "OPEN", "fast_fails": fast_fails, "fast_fail_p99_s": p99_s}


@pytest.mark.parametrize(
    ("boots", "looks", "expected"),
    [
        pytest.param([], [], (0, None), id="never looked at"),
        pytest.param([], [(-1.0, 500, 9.0), (5.0, 1499, 8.0)], (999, None), id="too few"),
        pytest.param([], [(-1.0, 500, 9.0), (5.0, 1500, 8.0)], (1000, 8.0), id="just enough"),
        pytest.param([], [(-1.0, 500, 9.0), (5.0, 1500, 0.25), (6.0, 2500, 0.75),
                          (7.0, 3500, 0.5)], (3000, 0.75), id="the worst of three looks"),
        pytest.param([], [(-1.0, None, None), (0.0, 7, 9.0), (5.0, None, 5.0),
                          (6.0, 1007, 0.5)], (1000, 0.5), id="looks that do not say"),
        pytest.param([-1.0, 4.0], [(-1.0, 500, 9.0), (3.0, 1600, 0.25), (4.0, 0, None),
                                   (5.0, 1200, 0.5)], (1100 + 1200, 0.5), id="two processes"),
        pytest.param([-1.0, 4.0], [(-1.0, 500, 9.0), (3.0, 1600, 0.25), (4.0, 1700, 0.75)],
                     (1100 + 1700, 0.75), id="a look at the moment the second was first seen"),
        pytest.param([-1.0, 4.0], [(-1.0, 500, 9.0), (3.0, 1600, 0.25), (4.0, 999, 7.0)],
                     (1100 + 999, 0.25), id="the second has too few"),
        pytest.param([-1.0, 2.0, 4.0], [(2.0, 300, 7.0), (3.0, 1600, 0.25)], (1600, 0.25),
                     id="two that nobody looked at"),
        pytest.param([0.0], [(-1.0, 500, 9.0), (0.0, 700, 8.0), (1.0, 1700, 0.5)],
                     (1000, 0.5), id="a look before the first process was known"),
        pytest.param([], [(-1.0, 500, 9.0), (5.0, 1500, None), (6.0, 1600, 0.5)], (1100, 0.5),
                     id="a p99 that it does not say"),
    ],
)  # fmt: skip
def test_fast_failures_of_this_run(
    boots: list[float], looks: list[Any], expected: tuple[int, float | None]
) -> None:
    states = [refused(*look) for look in looks]
    assert fast_fails_of(states, boots) == expected
    row = server_of([], states, (FAULT_S, HEALED_S), boots, PHASES)
    assert (row.fast_fails, row.fast_fail_p99_s) == expected


def test_an_opening_as_a_phase_begins_is_one_of_that_phase() -> None:
    spans = [(5.0, 20.0), (20.0, 30.0), (30.0, 40.0)]
    phases = [Phase(name=f"{a:.0f}", start_s=a, end_s=b) for a, b in spans]
    log = [move(at_s, "CLOSED OPEN") for at_s in (7.0, 20.0, 29.0, 30.0)]
    found = server_of(log, [], (5.0, 60.0), [], phases)
    assert {name: row.flaps for name, row in found.phases.items()} == {"5": 0, "20": 2, "30": 1}


def test_a_time_that_only_a_poll_knows_is_as_uncertain_as_the_poll() -> None:
    logged = [move(20.0, "CLOSED OPEN"), move(30.0, "HALF_OPEN CLOSED")]
    for closed_s, half_s in ((None, 0.25), (30.0, 0.25), (20.0, 0.25), (31.0, 1.0)):
        assert uncertainty_of_server(breakers.Server(closed_s=closed_s), logged, 0.25) == {
            "opened_after_fault_s": 0.25, "closed_after_heal_s": half_s,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"failures_to_open": 5}, "never opened"),
        ({"opened_s": 0.0, "failures_to_open": 5, "reopened": 2, "state_at_end": "OPEN"},
         "opened after 5 failures, re-opened 2 times, OPEN at the end"),
    ],
)  # fmt: skip
def test_what_a_server_did_in_words(row: dict[str, Any], text: str) -> None:
    assert breakers.Server(**row).words == text


def figures_of(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = plain(breakers.figures(record))
    return found


def _server_row(*arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = plain(server_of(*arguments))
    del found["uncertainty_s"]  # its clocks are read later
    return found


def _worst_of(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = plain(
        breakers._worst({n: breakers.Server(**r) for n, r in rows.items()})
    )
    return found
