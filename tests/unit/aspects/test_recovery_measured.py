"""What is found of each operation's recovery, in hand-made records of several operations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plain import plain

from harness.aspects import recovery
from harness.aspects.recovery import Recovery, Scattered
from harness.model.expectation import Comparison, Expectation
from harness.model.experiment import Experiment, Phase, RemedySpec
from harness.model.findings import RemedyFound
from harness.model.load import Keys, Load, Operation
from harness.record.run import Record

RATE, END_S = 16, 60.0
OPERATIONS = {
    "read": Operation(path="/{key}"),
    "write": Operation(method="POST", path="/", is_write=True),
    "look": Operation(path="/health"),
}
PHASES = (
    Phase(name="warmup", start_s=0, end_s=5),
    Phase(name="calm", start_s=5, end_s=20),
    Phase(name="fault", start_s=20, end_s=END_S),
)
KILL = {"fault": "kill-1", "kind": "kill", "service": "db-1", "start_s": 40.0, "healed_s": 48.0}
DOWN = {"fault": "down-1", "kind": "down", "service": "db-2", "start_s": 20.0, "healed_s": None}
NEVER = {"fault": "kill-2", "kind": "kill", "service": "db-3", "start_s": None, "healed_s": None}

COLD = Keys(cold_population=300_000)


def probes(name: str, *failing: tuple[float, float]) -> pd.DataFrame:
    """Answered after 1/64 s; those that are sent in a failing stretch fail."""
    at_s = np.arange(0, END_S, 1 / RATE)
    ok = ~np.any([(at_s >= a) & (at_s < b) for a, b in failing or [(0, 0)]], axis=0)
    return pd.DataFrame(
        {
            "op": name, "intended_s": at_s, "sent_s": at_s, "done_s": at_s + 1 / 64, "ok": ok,
            "error": np.where(ok, "", "timeout"), "cache": "db", "served_by": "app-1",
        }
    )  # fmt: skip


def record_of(
    *canaries: pd.DataFrame, main: Any = (), faults: Any = (NEVER, KILL, DOWN), **changes: Any
) -> Record:
    load = {"keys": COLD, **changes.pop("load", {})}
    experiment = Experiment(
        name="x", title="t", operations=OPERATIONS, phases=PHASES, faults=(),
        load=Load(rate_per_s=10, mix={"read": 2.0, "write": 1.0}, **load),
        hypothesis=tuple(changes.pop("hypothesis", ())),
    )  # fmt: skip
    nothing = probes("read").iloc[:0]
    tables = [pd.concat(each) if each else nothing for each in (main, canaries)]
    ordered = [table.sort_values("intended_s", kind="stable") for table in tables]
    return Record(experiment, changes.pop("events", []), *ordered, faults=list(faults))


def figures_of(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = plain(recovery.figures(record))
    return found


NOTHING = plain(Recovery())


def test_all_that_is_said_of_an_operation() -> None:
    """Two faults, in the plan's order; an outage of each, and failures before and after them."""
    reads = probes("read", (3, 3.0625), (20.5, 26), (40, 41.5), (50, 50.0625), (55, 55.0625))
    writes = probes("write", (30, 30.5), (41, 99))
    found = figures_of(record_of(reads, writes, probes("look", (0, 99))))
    assert list(found) == ["read", "write"]
    kill = {"recovery_time_s": 1.4765625, "uncertainty_s": 0.0390625, "recovered": True,
            "fault_start_s": 40.0, "after_healing_s": None}  # fmt: skip
    down = {"recovery_time_s": 5.9765625, "uncertainty_s": 0.0390625, "recovered": True,
            "fault_start_s": 20.0, "after_healing_s": None}  # fmt: skip
    assert found["read"] == {
        **down,
        "failed_requests": 3 + 88 + 24,
        "never_failed": False,
        "error_budget": 0.005,
        "outages": [
            {"kind": "total", "start_s": 20.46875, "end_s": 25.9765625, "uncertainty_s": 0.0390625,
             "failed": 88, "probes": 88, "error_rate": 1.0},
            {"kind": "total", "start_s": 39.96875, "end_s": 41.4765625, "uncertainty_s": 0.0390625,
             "failed": 24, "probes": 24, "error_rate": 1.0},
        ],
        "scattered": {
            "failed": 3, "error_rate": 3 / (960 - 112), "first_s": 3.0, "last_s": 55.0,
        },
        "degradation": None,
        "degradation_time_s": None,
        "marks": [],
        "parts": {},
        "stream": "canary",
        "cold_share": 1.0,
        "probes": 960,
        "by_fault": {"kill-1": kill, "down-1": down},
    }  # fmt: skip
    lost = {"recovery_time_s": None, "uncertainty_s": 0.03125, "recovered": False,
            "fault_start_s": 40.0, "after_healing_s": None}  # fmt: skip
    assert found["write"]["by_fault"] == {
        "kill-1": lost,
        "down-1": {**down, "recovery_time_s": 10.4765625},
    }
    assert {name: found["write"][name] for name in lost} == lost
    assert found["write"]["cold_share"] is None


SWITCH = RemedySpec(id="runbook-1", kind="runbook", services=("db-1",), phase="fault", start_s=52.0)


@pytest.mark.parametrize(
    ("planned", "begun_s", "healed_s", "recovered_s"),
    [
        (SWITCH, 52.5, 48.0, 1.5),  # a planned operation: what it costs is its own
        (SWITCH, 52.5, 53.0, 14.0),  # while the fault lasts: an answer to it
        (SWITCH, 52.5, None, 14.0),
        (SWITCH, None, 48.0, 14.0),  # it was never begun
        (SWITCH.model_copy(update={"start_s": None, "after_fault": "kill-1"}), 52.5, 48.0, 14.0),
    ],
)
def test_an_outage_after_a_planned_operation_is_no_faults(
    planned: RemedySpec, begun_s: float | None, healed_s: float | None, recovered_s: float
) -> None:
    kill = {**KILL, "healed_s": healed_s}
    record = record_of(probes("read", (40, 41.5), (53, 54)), probes("write"), faults=[kill])
    experiment = record.experiment.model_copy(update={"remedies": (planned,)})
    begun = RemedyFound(remedy="runbook-1", kind="runbook", target="db-1", start_s=begun_s)
    found = figures_of(replace(record, experiment=experiment, remedies=[begun]))
    assert found["read"]["recovery_time_s"] == pytest.approx(recovered_s, abs=0.05)


@pytest.mark.parametrize(("rate_per_s", "more_s"), [(0, 0.25), (100, 0.0)])
def test_what_workers_recorded_is_as_uncertain_as_their_clocks_and_a_canary_is_not(
    rate_per_s: float, more_s: float
) -> None:
    clocks = [{"number": 1, "uncertainty_s": 0.125}, {"number": 2, "uncertainty_s": 0.25}]
    summary = {"event": "load.summary", "t_s": 60.0, "workers": clocks}
    tables = [probes("read", (20.5, 26)), probes("write")]
    slow = Expectation("fault", "read", "p95", "<", 0.5, "s", "text")
    found = [
        figures_of(
            record_of(*tables, main=tables, load={"canary_rate_per_s": rate_per_s},
                      events=events, hypothesis=[slow])
        )["read"]
        for events in ([], [summary])
    ]  # fmt: skip
    alone, several = found
    for pick in (
        lambda one: one,
        lambda one: one["by_fault"]["down-1"],
        lambda one: one["outages"][0],
        lambda one: one["degradation"],
    ):
        assert pick(several)["uncertainty_s"] == pick(alone)["uncertainty_s"] + more_s
    assert several["recovery_time_s"] == alone["recovery_time_s"]


def test_of_a_partial_outage_the_error_rate_is_that_of_its_probes() -> None:
    reads = probes("read")
    is_third = (reads["intended_s"] >= 30) & (reads["intended_s"] < 40) & (reads.index % 3 == 0)
    reads.loc[is_third, "ok"] = False
    (outage,) = figures_of(record_of(reads))["read"]["outages"]
    assert (outage["kind"], outage["failed"], outage["probes"]) == ("partial", 54, 160)
    assert outage["error_rate"] == 54 / 160


def test_what_says_nothing_about_the_target_is_no_probe() -> None:
    reads = probes("read")
    own = {100: "dropped", 101: "no_descriptors", 102: "unfinished"}
    for row, error in own.items():
        reads.loc[row, ["ok", "error"]] = [False, error]
    reads.loc[103, ["ok", "error", "sent_s"]] = [False, "refused", np.nan]
    reads.loc[104, ["ok", "error", "done_s"]] = [False, "refused", np.nan]
    found = figures_of(record_of(reads))["read"]
    assert (found["probes"], found["failed_requests"], found["never_failed"]) == (955, 0, True)


@pytest.mark.parametrize(("rate_per_s", "stream"), [(100, "canary"), (0.5, "canary"), (0, "main")])
def test_the_main_load_is_looked_at_only_where_no_canary_was_planned(
    rate_per_s: float, stream: str
) -> None:
    canary, main = probes("read", (20, 22)), [probes("read", (20, 30))]
    record = record_of(canary, main=main, load={"canary_rate_per_s": rate_per_s})
    found = figures_of(record)["read"]
    assert found["stream"] == stream
    assert found["failed_requests"] == (32 if stream == "canary" else 160)
    assert found["cold_share"] == (1.0 if stream == "canary" else None)


def test_a_canary_that_recorded_nothing_is_no_evidence() -> None:
    limit = Expectation("fault", "read", "p95", "<", 0.2, "s", "text")
    found = figures_of(record_of(main=[probes("read")], hypothesis=[limit]))["read"]
    slow = found.pop("degradation")
    assert (slow["recovered"], slow["slow"], slow["stretches"], slow["by_fault"]) == (
        None, 0, [], {},
    )  # fmt: skip
    expected = {**NOTHING, "error_budget": 0.005, "outages": [], "marks": []}
    assert found == {name: value for name, value in expected.items() if name != "degradation"}


def limit(comparison: Comparison, share: float, subject: str = "read") -> Expectation:
    return Expectation("fault", subject, "error_rate", comparison, share, "share", "text")


def success(comparison: Comparison, share: float) -> Expectation:
    return Expectation("fault", "read", "success_rate", comparison, share, "share", "text")


@pytest.mark.parametrize(
    ("limits", "budget"),
    [
        ([], 0.005),
        ([limit("<", 0.01)], 0.01),
        ([limit("<=", 0.01)], 0.01),
        ([limit("==", 0.01)], 0.01),
        ([limit(">", 0.01)], 0.005),
        ([limit(">=", 0.01)], 0.005),
        ([limit("<", 0.01, "write")], 0.005),
        ([limit("<", 0.04), limit("<", 0.02), limit("<", 0.03)], 0.02),
        ([limit(">", 0.01), limit("<", 0.03)], 0.03),
        ([limit("<", 0.001), limit("<", 0.03)], 0.005),
        ([success(">=", 0.75), success(">", 0.98)], pytest.approx(0.02)),
        ([success("<", 0.98)], 0.005),
        ([limit("<", 0.05), limit("<", 0.3)], 0.05),
        ([limit("<=", 0.5)], 0.05),
        ([Expectation("fault", "read", "p95", "<", 0.03, "s", "text")], 0.005),
    ],
)
def test_the_strictest_limit_of_the_operation_is_its_error_budget(
    limits: list[Expectation], budget: float
) -> None:
    assert (
        figures_of(record_of(probes("read"), hypothesis=limits))["read"]["error_budget"] == budget
    )


def test_an_operation_without_a_canary_is_measured_by_the_main_load() -> None:
    main = [probes("read", (20.5, 26)), probes("write", (41, 43))]
    record = record_of(probes("read"), main=main, load={"canary": ("read",)})
    found = figures_of(record)
    assert (found["read"]["stream"], found["read"]["failed_requests"]) == ("canary", 0)
    assert (found["write"]["stream"], found["write"]["failed_requests"]) == ("main", 32)
    assert (found["read"]["cold_share"], found["write"]["cold_share"]) == (1.0, None)


def test_what_the_error_budget_allows_is_no_outage() -> None:
    reads = probes("read", (30, 30.25))  # four in a row
    found = figures_of(record_of(reads, hypothesis=[limit("<", 0.05)]))["read"]
    assert (found["outages"], found["scattered"]["failed"]) == ([], 4)
    assert len(figures_of(record_of(reads))["read"]["outages"]) == 1


def test_all_probes_can_be_those_of_an_outage() -> None:
    found = figures_of(record_of(probes("read", (0, 99))))["read"]
    assert found["scattered"] == plain(Scattered())
    assert (found["recovered"], found["failed_requests"], found["never_failed"]) == (
        False,
        960,
        False,
    )


def cold(**changes: Any) -> pd.DataFrame:
    """A second has 16 canaries: from 4 s Redis has those of each third second, from 20 s all."""
    reads = probes("read", (6, 7))
    second = reads["intended_s"].astype(int)
    reads["cache"] = np.where(second % 2 == 0, "db", "")
    reads.loc[(second % 3 == 0) & (second < 10), "cache"] = "redis"
    reads.loc[second >= 20, "cache"] = "redis"
    return reads


@pytest.mark.parametrize(
    ("faults", "keys", "share"),
    [
        ((KILL, DOWN), {}, 13 / 14),  # of 5 s to 20 s, one of which failed: Redis had second 9
        ((KILL,), {}, 13 / 34),
        ((), {}, 13 / 54),
        (({**DOWN, "start_s": 5.0},), {}, None),
        ((KILL, DOWN), {"cold_population": 0}, None),
        ((KILL, DOWN), {"cold_population": 1}, 13 / 14),
    ],
)
def test_the_share_that_no_cache_answered_before_any_fault(
    faults: Any, keys: dict[str, int], share: float | None
) -> None:
    others = probes("write")
    others["cache"] = "redis"
    record = record_of(cold(), others, faults=faults, load={"keys": COLD.model_copy(update=keys)})
    found = figures_of(record)
    assert found["read"]["cold_share"] == share
    assert found["write"]["cold_share"] is None  # it asks for no key


def test_the_parts_of_the_worst_recovery_stand_beside_it() -> None:
    start = {"event": "container.start", "t_s": 43.0, "service": "db-1"}
    clock = [{"event": "run.clock", "t_s": float(t), "wall_s": 1e9 + t} for t in (0, 1)]
    reads = probes("read", (20.5, 22), (40, 50))
    found = figures_of(record_of(reads, events=[*clock, start]))["read"]
    assert [mark["part"] for mark in found["marks"]] == [
        "restarted_s",
        "healed_s",
        "first_success_s",
    ]
    assert found["parts"] == {"restarted_s": 3.0, "healed_s": 5.0, "first_success_s": 1.9765625}
    assert found["fault_start_s"] == 40.0
