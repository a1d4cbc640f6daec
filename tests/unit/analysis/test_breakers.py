"""The figures of circuit breakers, from transition logs whose truth is known."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.breakers import _server, _worst

FAULT_S, HEALED_S = 10.0, 60.0
STATES = [
    {"state": "OPEN", "fast_fails": 40, "fast_fail_p99_s": 0.007},  # the slowest of a few
    {"state": "CLOSED", "fast_fails": 5000, "fast_fail_p99_s": 0.001},
]


def move(t_s: float, states: str, failures: int = 0, probes: int | None = None) -> dict[str, Any]:
    before, after = states.split(" ")
    return {"t_s": t_s, "from": before, "to": after, "failures": failures, "probes": probes}


OPENED = [move(10.2, "CLOSED OPEN", failures=5)]
REOPENED = [
    *OPENED,
    move(40.2, "OPEN HALF_OPEN"),
    move(40.3, "HALF_OPEN OPEN", failures=6, probes=1),
]
CLOSED = [*REOPENED, move(70.3, "OPEN HALF_OPEN"), move(71.0, "HALF_OPEN CLOSED", probes=3)]


def server(transitions: list[dict[str, Any]]) -> dict[str, Any]:
    return _server(transitions, STATES, (FAULT_S, HEALED_S))


def test_a_whole_course_gives_every_figure() -> None:
    assert server(CLOSED) == {
        "opened_s": 10.2,
        "opened_after_fault_s": pytest.approx(0.2),
        "failures_to_open": 5,
        "reopened": 1,
        "failures_to_reopen": 1,
        "probes_per_cooldown": 1,
        "closed_s": 71.0,
        "closed_after_heal_s": pytest.approx(11.0),
        "state_at_end": "CLOSED",
        "flaps": 0,
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
    worst = _worst({"app-1": server(CLOSED), "app-2": server(stuck)})
    assert worst["closes_within"] is None
    assert worst["closed_at_end"] is False


def test_one_breaker_that_never_opened_is_not_hidden_by_one_that_did() -> None:
    worst = _worst({"app-1": server(CLOSED), "app-2": server([])})
    assert worst["opened_on_all"] is False
    assert worst["closes_within"] == pytest.approx(11.0)


def test_closing_before_the_heal_is_no_negative_time() -> None:
    early = [*OPENED, move(40.2, "OPEN HALF_OPEN"), move(41.0, "HALF_OPEN CLOSED", probes=3)]
    assert server(early)["closed_after_heal_s"] == 0
