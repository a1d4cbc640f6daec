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
from harness.aspects.breakers.server import POLLED_S, server_of
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
