"""What an expectation on a recovery is held against, what is compared, and the tiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.aspects import recovery
from harness.aspects.base import Findings
from harness.aspects.recovery import Recovery, Scattered, hidden_by_caches
from harness.aspects.recovery.by_fault import Recovered
from harness.aspects.recovery.degradation import Degradation
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.figure import Basis, Figure, failed, no_figure
from harness.model.findings import FaultFound, Run
from harness.model.page import Tile
from harness.model.verdict import Reason

FAULTS = [
    FaultFound(fault="kill-1", kind="kill", phase="first", start_s=20.0, proven=True),
    FaultFound(fault="down-1", kind="down", phase="second", start_s=50.0, proven=True),
    FaultFound(fault="kill-2", kind="kill", phase="second", start_s=48.0, proven=True),
    FaultFound(fault="kill-3", kind="kill", phase="second", start_s=None, proven=False),
    FaultFound(fault="kill-4", kind="kill", phase="third", start_s=None, proven=False),
]


def after(time_s: float | None, uncertainty_s: float | None = 0.01) -> Recovered:
    recovered = time_s is not None
    return Recovered(recovery_time_s=time_s, uncertainty_s=uncertainty_s, recovered=recovered)


OF_EACH = {"kill-1": after(3.0), "down-1": after(9.9, 0.1), "kill-2": after(9.7, 0.5)}
LOST = {"kill-1": after(3.0), "down-1": after(None), "kill-2": after(9.7)}
QUICK = {name: after(0.0, None) for name in OF_EACH}


def of_each(rows: Mapping[str, Recovered], **facts: Any) -> Recovery:
    return Recovery(by_fault=rows, recovered=False, **facts)


def degraded(rows: Mapping[str, Recovered]) -> Recovery:
    slow = Degradation(metric="p99", limit_s=0.25, by_fault=rows)
    return of_each(OF_EACH, degradation=slow)


def expected(phase: str, metric: str = "recovery_time", subject: str = "read") -> Expectation:
    return Expectation(phase, subject, metric, "<=", 30.0, "s", "text", "operation")


def figure(item: Expectation, found: Recovery, end_s: float | None = 100.0) -> Figure:
    """But for when it happened."""
    return replace(figure_of(item, found, end_s), happened_s=None)


def figure_of(item: Expectation, found: Recovery, end_s: float | None = 100.0) -> Figure:
    other = of_each({"kill-1": after(None)}, stream="main")
    findings = Findings(Run(faults=FAULTS, end_s=end_s), {"recovery": {"x": other, "read": found}})
    return recovery.ASPECT.figure(item, findings)


def basis(start_s: float, end_s: float = 100.0, stream: str = "canary") -> Basis:
    return Basis((stream,), start_s, end_s, "read")


@pytest.mark.parametrize(
    ("phase", "found", "expects"),
    [
        ("run", of_each(OF_EACH),
         Figure(9.9, "recovered after 9.900 s (± 100 ms)", uncertainty=0.3, basis=basis(19.0))),
        ("first", of_each(OF_EACH),
         Figure(3.0, "recovered after 3.000 s (± 10 ms)", uncertainty=0.01, basis=basis(19.0))),
        ("second", of_each(OF_EACH, stream="main"),
         Figure(9.9, "recovered after 9.900 s (± 100 ms)", uncertainty=0.3,
                basis=basis(47.0, stream="main"))),
        ("first", of_each(QUICK), Figure(0.0, "no outage", basis=basis(19.0))),
        ("first", of_each({"kill-1": after(2.0, None)}),
         Figure(2.0, "recovered after 2.000 s (± 0 ms)", basis=basis(19.0))),
        ("first", of_each({"kill-1": after(2.5, 2.0)}),
         Figure(2.5, "recovered after 2.500 s (± 2000 ms)", uncertainty=2.0, basis=basis(19.0))),
        ("first", of_each(QUICK, never_failed=True, probes=9000),
         Figure(0.0, "never failed in 9,000 probes", basis=basis(19.0))),
        ("first", of_each(QUICK, scattered=Scattered(failed=1200, last_s=55.125)),
         Figure(0.0, "no outage; also scattered failures: 1,200, the last at 55.12 s",
                basis=basis(19.0))),
        ("first", of_each(OF_EACH, scattered=Scattered(failed=0, last_s=55.0)),
         Figure(3.0, "recovered after 3.000 s (± 10 ms)", uncertainty=0.01, basis=basis(19.0))),
        ("first", of_each(OF_EACH, scattered=Scattered(failed=2)),
         Figure(3.0, "recovered after 3.000 s (± 10 ms)", uncertainty=0.01, basis=basis(19.0))),
        ("first", of_each(LOST),
         Figure(3.0, "recovered after 3.000 s (± 10 ms)", uncertainty=0.01, basis=basis(19.0))),
    ],
)  # fmt: skip
def test_the_recovery_time_is_the_longest_of_the_phases_faults(
    phase: str, found: Recovery, expects: Figure
) -> None:
    assert figure(expected(phase), found) == with_uncertainty(expects)


@pytest.mark.parametrize(
    ("rows", "expects"),
    [
        (OF_EACH, Figure(9.9, "p99 within 250 ms regained after 9.900 s (± 100 ms)",
                         uncertainty=0.3, basis=basis(47.0))),
        (QUICK, Figure(0.0, "p99 within 250 ms throughout", basis=basis(47.0))),
    ],
)  # fmt: skip
def test_the_degradation_time_alike(rows: Mapping[str, Recovered], expects: Figure) -> None:
    found = degraded(rows)
    assert figure(expected("second", "degradation_time"), found) == with_uncertainty(expects)


def with_uncertainty(expects: Figure) -> Figure:
    """With a tolerance, as it is the difference of two times."""
    changes = {"uncertainty": pytest.approx(expects.uncertainty)}
    return Figure(**{f: changes.get(f, getattr(expects, f)) for f in Figure.__slots__})


@pytest.mark.parametrize(
    ("phase", "metric", "found", "expects"),
    [
        ("second", "recovery_time", of_each(LOST),
         failed("not recovered by the end of the run", "not_recovered")),
        ("run", "recovery_time", of_each(LOST),
         failed("not recovered by the end of the run", "not_recovered")),
        ("run", "recovery_time", Recovery(), no_figure("no probe of it was recorded")),
        ("run", "degradation_time", Recovery(), no_figure("no probe of it was recorded")),
        ("run", "recovery_time", Recovery(probes=1), no_figure("no fault was injected")),
        ("third", "recovery_time", of_each(OF_EACH), no_figure("no fault was injected in third")),
        ("third", "degradation_time", degraded(OF_EACH),
         no_figure("no fault was injected in third")),
        ("second", "degradation_time", degraded(LOST),
         failed("p99 within 250 ms was not regained by the end of the run", "not_recovered")),
        ("first", "degradation_time", of_each(OF_EACH),
         no_figure("the experiment sets no p95, p99 or p50 limit that read misses")),
    ],
)  # fmt: skip
def test_why_there_is_no_such_time(
    phase: str, metric: str, found: Recovery, expects: Figure
) -> None:
    result = figure(expected(phase, metric), found)
    facts = ("value", "gap", "gap_code", "failure", "failure_code", "uncertainty", "weakness")
    assert {name: getattr(result, name) for name in facts} == {
        name: getattr(expects, name) for name in facts
    }


@pytest.mark.parametrize("faults", [[], FAULTS[3:]])
def test_without_any_fault_there_is_no_recovery(faults: list[FaultFound]) -> None:
    findings = Findings(Run(faults=faults), {"recovery": {"read": Recovery()}})
    assert recovery.ASPECT.figure(expected("run"), findings).gap == "no fault was injected"


def test_a_figure_rests_on_all_probes_from_just_before_the_fault_to_the_end() -> None:
    assert figure(expected("second"), of_each(OF_EACH)).basis == basis(47.0)
    assert figure(expected("run"), of_each(OF_EACH), end_s=None).basis == basis(19.0, math.inf)
    assert figure(expected("third"), of_each(OF_EACH)).basis == basis(math.inf)
    nothing = figure(expected("run", subject="write"), of_each(OF_EACH))
    assert (nothing.gap, nothing.basis) == ("no fault was injected", Basis((), 0.0, 0.0))


@pytest.mark.parametrize("metric", ["recovery_time", "degradation_time"])
@pytest.mark.parametrize(
    ("took_s", "end_s", "happened_s"),
    [(40.0, 100.0, (30.0, 60.0)), (None, 100.0, (70.0, 100.0)), (None, None, (math.inf, math.inf))],
    ids=["back late", "never back", "nobody knows"],
)
def test_a_time_is_missed_where_the_target_had_all_of_the_limit_in_quiet(
    metric: str, took_s: float | None, end_s: float | None, happened_s: tuple[float, float]
) -> None:
    late = Recovered(
        recovery_time_s=took_s, uncertainty_s=0.1, recovered=took_s is not None, fault_start_s=20.0
    )
    rows = {"kill-1": late, "kill-2": replace(after(3.0), fault_start_s=48.0)}
    found = of_each(rows, degradation=Degradation(metric="p99", limit_s=0.25, by_fault=rows))
    assert figure_of(expected("run", metric), found, end_s).happened_s == happened_s


def test_a_time_that_caches_can_hide_is_weak_evidence() -> None:
    cached = of_each(OF_EACH, cold_share=0.125)
    assert figure(expected("first"), cached).weakness == Reason(
        "canary_not_cold",
        "recovered after 3.000 s (± 10 ms); caches answered 88% of its canary before the fault"
        " and could hide the fault",
    )  # fmt: skip
    assert figure(expected("first"), of_each(OF_EACH, cold_share=0.5)).weakness is None
    assert figure(expected("first"), of_each(OF_EACH)).weakness is None


@pytest.mark.parametrize(
    ("subject", "end_s", "is_hidden"),
    [("read", 20.0, False), ("read", 20.5, True), ("read", 49.0, True), ("write", 49.0, False)],
)
def test_caches_hide_nothing_from_what_ended_before_the_first_fault(
    subject: str, end_s: float, is_hidden: bool
) -> None:
    run = Run(faults=[*FAULTS[1:], FAULTS[0]])
    findings = Findings(run, {"recovery": {"read": of_each(OF_EACH, cold_share=0.0)}})
    found = hidden_by_caches(expected("run", subject=subject), findings, end_s, "seen")
    assert (found is not None) == is_hidden


def test_without_a_fault_there_is_nothing_that_caches_could_hide() -> None:
    findings = Findings(Run(), {"recovery": {"read": Recovery(cold_share=0.0)}})
    assert hidden_by_caches(expected("run"), findings, 1e9, "seen") is None


def test_two_sets_of_runs_are_compared_by_both_times_of_each_operation() -> None:
    slow = Degradation(metric="p95", limit_s=0.2, recovered=True, recovery_time_s=4.0)
    stuck = Degradation(metric="p95", limit_s=0.2, recovered=False)
    found = {
        "read": Recovery(recovered=True, recovery_time_s=2.5, degradation=slow),
        "write": Recovery(recovered=False, degradation=stuck),
        "list": Recovery(recovered=True, recovery_time_s=0.0),
        "look": Recovery(degradation=Degradation(metric="p95", limit_s=0.2)),
    }
    rows = recovery.ASPECT.compare(Findings(Run(), {"recovery": found}), set())
    assert list(rows) == [
        (Compared("run", name, metric, "duration", "s"), Measured(time_s))
        for name, metric, time_s in (
            ("read", "recovery_time", 2.5), ("read", "degradation_time", 4.0),
            ("write", "recovery_time", math.inf), ("write", "degradation_time", math.inf),
            ("list", "recovery_time", 0.0),
        )
    ]  # fmt: skip


def test_each_operation_has_a_tile_that_says_how_it_did() -> None:
    found = {
        "a": Recovery(never_failed=True, recovered=True, recovery_time_s=0.0, stream="main"),
        "b": Recovery(failed_requests=7),
        "c": Recovery(failed_requests=7, recovered=False),
        "d": Recovery(failed_requests=1200, recovered=True, recovery_time_s=0.0),
        "e": Recovery(recovered=True, recovery_time_s=2.5, uncertainty_s=0.5, stream="main"),
        "f": Recovery(recovered=True, recovery_time_s=42.5, after_healing_s=1.5, uncertainty_s=0.5),
    }
    assert list(recovery.ASPECT.tiles(Findings(Run(), {"recovery": found}))) == [
        Tile("a recovery", "never failed", "measured by the main", "good"),
        Tile("b failed", 7, "measured by the canary; no fault"),
        Tile("c recovery", "not recovered", "still failing at the end of the run", "bad"),
        Tile("d recovery", "no outage", "1,200 scattered failures; measured by the canary"),
        Tile("e recovery time", 2.5, "measured by the main", "", 0.5, "seconds"),
        Tile(
            *("f recovery after healing", 1.5),
            "42.5 s after the fault, which the harness held; measured by the canary",
            *("", 0.5, "seconds"),
        ),
    ]


def test_the_parts_in_order_leave_out_what_is_unknown() -> None:
    """Findings of an earlier version can have a part that is known no more."""
    of_way = {"zebra_s": 2.0, "first_success_s": 0.0, "detected_s": 3.0, "healed_s": None}
    found = Recovery(parts={**of_way, "acorn_s": 1.0, "routed_s": -0.5})
    assert found.parts_in_order == [
        ("detected_s", 3.0), ("first_success_s", 0.0), ("acorn_s", 1.0), ("zebra_s", 2.0),
    ]  # fmt: skip
