"""What an expectation on a breaker is held against, and what two sets of runs are compared by."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.aspects import breakers
from harness.aspects.base import Findings
from harness.aspects.breakers import Breaker, Breakers, InPhase, Server
from harness.aspects.breakers.contradictions import Contradiction
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.figure import Figure, failed, flag, no_figure
from harness.model.findings import Run

ONE = Server(
    state_at_fault="CLOSED", opened_s=31.0, failures_to_open=5, reopened=2, state_at_end="CLOSED",
    flaps=1, fast_fails=4000,
    phases={"fault": InPhase(flaps=3, state_at_end="OPEN"),
            "end": InPhase(flaps=0, state_at_end="CLOSED")},
)  # fmt: skip
TWO = replace(
    ONE, failures_to_open=9, reopened=0, flaps=4, fast_fails=7,
    phases={"fault": InPhase(flaps=2, state_at_end="HALF_OPEN"),
            "end": InPhase(flaps=1, state_at_end="CLOSED")},
)  # fmt: skip
EACH = (
    "app-1 opened after 5 failures, re-opened 2 times, CLOSED at the end;"
    " app-2 opened after 9 failures, re-opened 0 times, CLOSED at the end"
)
BOTH = Breaker(
    servers={"app-1": ONE, "app-2": TWO}, opened_on_all=True, failures_to_open=9, opens_within=0.25,
    reopened_on_all=False, failures_to_reopen=4, probes_per_cooldown=3, cooldown=60.0,
    fast_fail_p99=0.0005, closes_within=40.0, closed_at_end=True, flaps=6,
    uncertainty_s={"opens_within": 0.02, "closes_within": 0.5},
)  # fmt: skip
STUCK = replace(BOTH, servers={"app-1": replace(ONE, state_at_end="OPEN"), "app-2": TWO})
QUIET = replace(
    BOTH, opened_on_all=False, opens_within=None, closes_within=None, fast_fail_p99=None,
    servers={"app-1": Server(state_at_fault="CLOSED"), "app-2": TWO},
)  # fmt: skip
OTHER = Breaker(servers={"app-9": Server(state_at_fault="OPEN")}, missing_servers=["app-8"])


def item(metric: str, phase: str = "run", name: str = "hot") -> Expectation:
    unit = breakers.METRICS[metric].unit
    return Expectation(phase, f"breaker.{name}", metric, "<=", 1.0, unit, "text", "breaker")


def figure(expected: Expectation, found: Breaker, *against: Contradiction) -> Figure:
    names = {"a": OTHER, "cache": OTHER, "hot": found, "z": OTHER}
    names["cache.hot"] = replace(found, cooldown=7.0)
    every = Breakers(by_breaker=names, contradictions=against)
    return breakers.ASPECT.figure(expected, Findings(Run(), {"breakers": every}))


@pytest.mark.parametrize(
    ("metric", "found", "expected"),
    [
        ("opened_on_all", BOTH, flag(value=True, evidence=EACH)),
        ("reopened_on_all", BOTH, flag(value=False, evidence=EACH)),
        ("failures_to_open", BOTH, Figure(9, "9 (worst)")),
        ("failures_to_reopen", BOTH, Figure(4, "4 (worst)")),
        ("probes_per_cooldown", BOTH, Figure(3, "3 (worst)")),
        ("cooldown", BOTH, Figure(60.0, "60.00 s (worst)")),
        ("fast_fail_p99", BOTH, Figure(0.0005, "0.5 ms (worst)")),
        ("opens_within", BOTH, Figure(0.25, "250 ms (worst)", uncertainty=0.02)),
        ("closes_within", BOTH, Figure(40.0, "40.00 s (worst)", uncertainty=0.5)),
        ("opens_within", replace(BOTH, opens_within=0.0, uncertainty_s={}),
         Figure(0.0, "0 ms (worst)")),
        ("opened_on_all", QUIET,
         flag(value=False, evidence=f"app-1 never opened;{EACH.partition(';')[2]}")),
        ("opens_within", QUIET,
         failed(f"it did not open on every server: app-1 never opened;{EACH.partition(';')[2]}",
                "breaker_never_opened")),
        ("closes_within", replace(STUCK, closes_within=None),
         failed("it never closed: " + EACH.replace("CLOSED", "OPEN", 1), "breaker_never_closed")),
        ("fast_fail_p99", replace(BOTH, fast_fail_p99=None),
         no_figure("not enough samples: calls that failed fast: app-1 4,000, app-2 7")),
        ("cooldown", replace(BOTH, cooldown=None), Figure(None, EACH)),
        ("cooldown", replace(BOTH, servers={
            "app-1": replace(ONE, state_at_fault="OPEN"), "app-2": TWO,
            "app-3": replace(ONE, state_at_fault="HALF_OPEN")}),
         no_figure("not CLOSED when the fault started: app-1, app-3", "breaker_not_closed_before")),
        ("cooldown", Breaker(servers={}), no_figure("no breaker named hot reported")),
        ("cooldown", replace(BOTH, missing_servers=["app-3", "app-4"]),
         failed("app-3, app-4 did not report breaker hot", "breaker_not_reported")),
        ("flaps", BOTH, Figure(4, "4 (worst)")),
        ("closed_at_end", BOTH, flag(value=True, evidence="CLOSED at the end")),
        ("closed_at_end", STUCK, flag(value=False, evidence="app-1 OPEN at the end")),
    ],
)  # fmt: skip
def test_the_figure_of_the_run_is_that_of_the_worst_server(
    metric: str, found: Breaker, expected: Figure
) -> None:
    assert figure(item(metric), found) == expected


@pytest.mark.parametrize(
    ("metric", "phase", "expected"),
    [
        ("flaps", "fault", Figure(3, "3 (worst)")),
        ("flaps", "end", Figure(1, "1 (worst)")),
        ("closed_at_end", "end", flag(value=True, evidence="CLOSED at the end")),
        ("closed_at_end", "fault",
         flag(value=False, evidence="app-1 OPEN at the end, app-2 HALF_OPEN at the end")),
        ("flaps", "calm", no_figure("not every breaker reported its state in calm")),
    ],
)  # fmt: skip
def test_the_figure_of_a_phase_is_that_of_the_worst_server_then(
    metric: str, phase: str, expected: Figure
) -> None:
    assert figure(item(metric, phase), BOTH) == expected


def test_each_server_must_have_reported_on_a_phase() -> None:
    half = replace(BOTH, servers={"app-1": ONE, "app-2": replace(TWO, phases={})})
    assert figure(item("flaps", "fault"), half) == no_figure(
        "not every breaker reported its state in fault"
    )


def test_a_state_before_the_fault_is_no_matter_of_a_phase() -> None:
    early = replace(BOTH, servers={"app-1": replace(ONE, state_at_fault="OPEN")})
    assert figure(item("flaps", "fault"), early) == Figure(3, "3 (worst)")


def test_a_breaker_is_found_by_its_whole_name() -> None:
    assert figure(item("cooldown", name="cache.hot"), BOTH).value == 7.0
    unknown = figure(item("cooldown", name="x"), BOTH)
    assert unknown == no_figure("no breaker named x reported")


def test_the_first_thing_that_contradicts_its_word_overrides_each_figure() -> None:
    facts: dict[str, Any] = {"what": "it lied", "evidence": "7 answers"}
    against = [
        Contradiction(server="app-3", breaker="cache", at_s=1.0, **facts),
        Contradiction(server="app-1", breaker="hot", at_s=20.25, until_s=22.5, **facts),
        Contradiction(server="app-2", breaker="hot", at_s=30.0, **facts),
    ]
    expected = replace(
        failed("app-1 at 20.2 s: it lied (7 answers)", "breaker_contradiction"),
        happened_s=(20.25, 22.5),
    )
    for found in (BOTH, replace(BOTH, missing_servers=["app-3"])):
        assert figure(item("cooldown"), found, *against) == expected
        assert figure(item("flaps", "fault"), found, *against) == expected
    assert figure(item("cooldown"), BOTH, against[0]).value == 60.0
    assert figure(item("cooldown"), BOTH, against[2]).happened_s == (30.0, math.inf)


def compared(found: dict[str, Breaker], *expected: str) -> dict[str, tuple[str, str, float]]:
    findings = Findings(Run(), {"breakers": Breakers(by_breaker=found)})
    rows = list(breakers.ASPECT.compare(findings, set(expected)))
    assert all(figure.phase == "run" and measured.requests == 0 for figure, measured in rows)
    by_id = {
        f"{figure.subject} {figure.metric}": (figure.kind, figure.unit, measured.value)
        for figure, measured in rows
    }
    assert len(by_id) == len(rows)
    return by_id


def test_two_sets_of_runs_are_compared_by_what_each_breaker_did() -> None:
    empty = Breaker(servers={})
    assert compared({"none": empty, "hot": BOTH, "quiet": QUIET}, "breaker.hot.opened_on_all") == {
        "breaker.hot opens_within": ("duration", "s", 0.25),
        "breaker.hot closes_within": ("duration", "s", 40.0),
        "breaker.hot fast_fail_p99": ("response_time", "s", 0.0005),
        "breaker.hot failures_to_open": ("count", "count", 9.0),
        "breaker.hot failures_to_reopen": ("count", "count", 4.0),
        "breaker.hot probes_per_cooldown": ("count", "count", 3.0),
        "breaker.hot flaps": ("count", "count", 6.0),
        "breaker.hot not_closed_at_end": ("never", "flag", 0.0),
        "breaker.hot not_opened_on_all": ("never", "flag", 0.0),
        "breaker.quiet failures_to_open": ("count", "count", 9.0),
        "breaker.quiet failures_to_reopen": ("count", "count", 4.0),
        "breaker.quiet probes_per_cooldown": ("count", "count", 3.0),
        "breaker.quiet flaps": ("count", "count", 6.0),
        "breaker.quiet not_closed_at_end": ("never", "flag", 0.0),
    }


def test_what_was_expected_and_is_not_so_is_compared_as_bad_news() -> None:
    found = {"hot": replace(QUIET, closed_at_end=False)}
    names = ("breaker.hot.reopened_on_all", "breaker.cold.opened_on_all")
    assert {
        name: value for name, (kind, _, value) in compared(found, *names).items() if kind == "never"
    } == {"breaker.hot not_closed_at_end": 1.0, "breaker.hot not_reopened_on_all": 1.0}
    first, *_ = breakers.ASPECT.compare(
        Findings(Run(), {"breakers": Breakers(by_breaker={"hot": BOTH})}), set()
    )
    assert first == (
        Compared("run", "breaker.hot", "opens_within", "duration", "s"),
        Measured(0.25),
    )


def test_a_breaker_has_opened_if_any_server_says_so() -> None:
    assert QUIET.ever_opened
    assert not Breaker(servers={"app-1": Server(), "app-2": Server()}).ever_opened
