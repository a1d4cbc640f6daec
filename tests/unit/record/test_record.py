"""A record of one run: what its events say of its end, its faults and its gaps."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from harness.bundled.traffic import OPERATIONS
from harness.model.experiment import Experiment, FaultSpec, Phase
from harness.model.load import Load
from harness.record.faults import fault_rows
from harness.record.run import Record, bounds, codes_of, is_the_targets, within

PHASES = (
    Phase(name="warmup", start_s=0, end_s=2),
    Phase(name="baseline", start_s=2, end_s=30),
    Phase(name="fault", start_s=30, end_s=90),
)


def event(name: str, t_s: float, **facts: Any) -> dict[str, Any]:
    return {"event": name, "t_s": t_s, **facts}


def spec(name: str, kind: str = "kill", end_s: float = 60.0, **selector: str) -> FaultSpec:
    return FaultSpec(
        id=name, kind=kind, selector=selector or {"role": "app"}, phase="fault",
        candidates=("app-1", "app-2"), start_s=30.0, end_s=end_s,
    )  # fmt: skip


def experiment(*faults: FaultSpec) -> Experiment:
    return Experiment(
        name="x", title="t", load=Load(rate_per_s=1, mix={"redirect": 1.0}),
        operations=OPERATIONS, phases=PHASES, faults=faults, hypothesis=(),
    )  # fmt: skip


def record(*events: dict[str, Any], faults: tuple[dict[str, Any], ...] = ()) -> Record:
    nothing = pd.DataFrame({"intended_s": []})
    return Record(experiment(), list(events), nothing, nothing, list(faults))


def test_what_is_judged_is_each_phase_but_the_warm_up_and_then_the_run() -> None:
    judged = record().judged
    assert [phase.name for phase in judged] == ["baseline", "fault", "run"]
    assert (judged[-1].start_s, judged[-1].end_s) == (2, 90)
    assert record().phases == PHASES


def test_how_a_run_ended_is_what_its_last_end_says() -> None:
    ends = (
        event("run.finished", 70.0, status="aborted", message="stopped"),
        event("run.finished", 61.0, status="completed", message="all done"),
    )
    assert (record(*ends).status, record(*ends).message) == ("aborted", "stopped")
    silent = record(ends[1], event("run.finished", 80.0, status="error"))
    assert (silent.status, silent.message) == ("error", "")
    only = record(event("run.finished", 70.0, status="aborted", message="stopped"))
    assert (only.status, only.message) == ("aborted", "stopped")


def test_a_run_without_an_end_was_cut_off() -> None:
    cut = record(event("run.started", 0.0))
    assert (cut.status, cut.message) == ("interrupted", "the run was cut off")


def test_events_of_several_names_are_in_order_of_time() -> None:
    events = [event("a", 3.0), event("b", 1.0), event("c", 2.0), event("a", 0.5)]
    found = record(*events).events_of("a", "b")
    assert [(e["event"], e["t_s"]) for e in found] == [("a", 0.5), ("b", 1.0), ("a", 3.0)]
    assert record(*events).events_of("d") == []


def test_notes_count_each_gap_of_each_probe() -> None:
    gaps = [
        event("probe.gap", 1.0, probe="patroni", error="timeout"),
        event("probe.gap", 2.0, probe="haproxy", error="refused"),
        event("probe.gap", 3.0, probe="patroni", error="timeout"),
        event("probe.gap", 4.0, probe="patroni", error="refused"),
        event("probe.late", 4.0, probe="clicks", error="no gap"),
    ]
    assert record(*gaps).notes() == [
        "haproxy: refused (1 times)", "patroni: refused (1 times)", "patroni: timeout (2 times)",
    ]  # fmt: skip
    assert record().notes() == []


def test_faults_that_were_injected_and_when() -> None:
    rows = ({"start_s": 50}, {"start_s": None}, {"start_s": 0.0})
    found = record(faults=rows)
    assert found.injected == [rows[0], rows[2]]
    assert found.fault_starts_s == [50.0, 0.0]


def samples(due_s: list[float], **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"intended_s": due_s, **columns})


def test_a_request_is_of_the_phase_in_which_it_was_due_its_end_excluded() -> None:
    due = samples([1.9, 2.0, 2.0, 29.9, 30.0, 31.0])
    assert bounds(due, PHASES[1]) == slice(1, 4)
    assert within(due, PHASES[1]).index.tolist() == [1, 2, 3]
    assert bounds(due, PHASES[2]) == slice(4, 6)


def test_who_says_something_of_the_target() -> None:
    errors = ["", "dropped", "timeout", "no_descriptors", "unfinished", "wrong_status"]
    found = is_the_targets(samples([0.0] * 6, error=errors))
    assert found.tolist() == [True, False, True, False, False, True]


@pytest.mark.parametrize("kind", ["object", "category"])
def test_names_of_a_column_and_where_each_row_has_its_own(kind: str) -> None:
    column = pd.Series(["b", "a", "b", "c"]).astype(kind)  # type: ignore[call-overload]
    names, codes = codes_of(pd.DataFrame({"served_by": column}), "served_by")
    assert (names, codes.tolist()) == (["a", "b", "c"], [1, 0, 1, 2])
    assert isinstance(codes, np.ndarray)


NEVER = {
    "fault": "kill-1", "kind": "kill", "target": "app", "selector": {"role": "app"},
    "candidates": ["app-1", "app-2"], "service": None, "services": [], "links": [],
    "phase": "fault", "planned_s": 30.0, "start_s": None, "effect_s": None, "healed_s": None,
    "held_s": None, "lost_s": None, "evidence": None, "proven": False, "healed": False,
    "detail": "never injected",
}  # fmt: skip


def rows(*events: dict[str, Any], faults: tuple[FaultSpec, ...] = (spec("kill-1"),)) -> Any:
    return fault_rows(experiment(*faults), list(events))


def injecting(name: str, t_s: float, *services: str, **facts: Any) -> dict[str, Any]:
    containers = [{"service": service} for service in services]
    resolved = {"containers": containers, "links": facts.pop("links", [])}
    return event("fault.injecting", t_s, fault=name, resolved=resolved, **facts)


def test_a_fault_that_was_never_injected() -> None:
    assert rows() == [NEVER]
    assert rows(event("fault.active", 3.0, fault="other"), event("run.started", 0.0)) == [NEVER]
    (bare,) = rows(faults=(cast(Any, spec("x-1").model_copy(update={"selector": {}})),))
    assert bare["target"] == ""


def test_a_fault_from_its_start_to_its_healing() -> None:
    touched = injecting("kill-1", 30.5, "app-2", "app-3", links=["a.b"], target="app-2")
    (row,) = rows(touched)
    injected = {
        "target": "app-2", "services": ["app-2", "app-3"], "links": ["a.b"], "service": "app-2",
        "start_s": 30.5, "detail": "injected, not proven",
    }  # fmt: skip
    assert row == {**NEVER, **injected}
    active = event(
        "fault.active", 31.5, fault="kill-1", start_s=30.75, effect_s=31.0, detail="it is gone",
        killed_for_memory=True, evidence="exit code 137", unknown=1,
    )  # fmt: skip
    proven = {
        "proven": True, "start_s": 30.75, "effect_s": 31.0, "detail": "it is gone",
        "killed_for_memory": True, "evidence": "exit code 137",
    }  # fmt: skip
    (row,) = rows(touched, active)
    assert row == {**NEVER, **injected, **proven}
    held = event("fault.held", 59.0, fault="kill-1", held_s=28.25)
    healed = event("fault.healed", 62.0, fault="kill-1", healed_s=61.5, verified=True)
    (row,) = rows(touched, active, held, healed)
    assert row == {
        **NEVER, **injected, **proven, "held_s": 28.25, "healed_s": 61.5, "healed": True,
    }  # fmt: skip


def test_a_healing_that_was_not_verified_is_none() -> None:
    for facts in ({"verified": False}, {}):
        (row,) = rows(event("fault.healed", 62.0, fault="kill-1", healed_s=61.5, **facts))
        assert (row["healed_s"], row["healed"]) == (61.5, False)


def test_a_fault_without_effect_is_unproven_even_if_it_was_proven_before() -> None:
    active = event("fault.active", 31.0, fault="kill-1", detail="gone")
    unproven = event("fault.unproven", 32.0, fault="kill-1", detail="it went on")
    (row,) = rows(injecting("kill-1", 30.5, "app-2"), active, unproven)
    assert (row["proven"], row["detail"], row["start_s"]) == (False, "it went on", 30.5)


def test_a_fault_that_was_over_before_its_healing_is_proven_no_more() -> None:
    active = event("fault.active", 31.0, fault="kill-1", detail="gone")
    lost = event("fault.lost", 45.0, fault="kill-1", lost_s=42.75, detail="it runs again")
    (row,) = rows(injecting("kill-1", 30.5, "app-2"), active, lost)
    assert (row["proven"], row["lost_s"]) == (False, 42.75)
    assert row["detail"] == "planned for 30 s, it ended after 12 s (it runs again)"
    (row,) = rows(lost)
    assert row["detail"] == "planned for 30 s, it ended after 43 s (it runs again)"


@pytest.mark.parametrize("resolved", [None, {}, {"containers": None, "links": None}])
def test_a_fault_that_touched_nothing_by_name(resolved: Any) -> None:
    (row,) = rows(event("fault.injecting", 30.0, fault="kill-1", resolved=resolved))
    assert (row["service"], row["services"], row["links"]) == (None, [], [])
    assert (row["target"], row["start_s"]) == ("app", 30.0)


def test_each_event_is_told_of_its_own_fault_and_rows_are_as_planned() -> None:
    faults = (spec("pause-2", "pause", 75.0, service="redis"), spec("kill-1"))
    first, second = rows(
        injecting("kill-1", 30.0, "app-1"),
        injecting("pause-2", 31.0, "redis"),
        event("fault.healed", 80.0, fault="kill-1", healed_s=79.0, verified=True),
        faults=faults,
    )
    assert (first["fault"], first["kind"], first["planned_s"]) == ("pause-2", "pause", 45.0)
    assert (first["target"], first["service"], first["healed"]) == ("redis", "redis", False)
    assert (second["fault"], second["service"], second["healed"]) == ("kill-1", "app-1", True)
