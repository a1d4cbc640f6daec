"""What a restore brought back, in made-up records whose truth is known.

64 creates a second, each acknowledged 1/128 s after it was sent. Data break at 20 s, nothing is
served from 30 s to 40 s, and what was acknowledged up to `reach_s` is there afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.aspects import ASPECTS, recovery, restore, writes
from harness.aspects.base import Findings
from harness.aspects.clause import parse_expectation
from harness.aspects.restore import Restore
from harness.judge import judge
from harness.model.compared import Compared
from harness.model.experiment import Experiment, FaultSpec, Phase
from harness.model.figure import Figure
from harness.model.findings import FaultFound, Run
from harness.model.load import Keys, Load, Operation
from harness.model.readback import Readback
from harness.model.sources import Sources
from harness.record.folder import RunFolder
from harness.record.run import Record
from harness.record.tables import WRITES

RATE, END_S, EFFECT_S, DOWN_S, UP_S = 64, 60.0, 20.0, 30.0, 40.0
FLIGHT_S, APART_S = 1 / 128, 1 / RATE
OPERATIONS = {
    "create": Operation(method="POST", path="/{token}", is_write=True, writes="token"),
    "read": Operation(path="/{key}"),
}
DAMAGE = {"fault": "damage_rows-1", "kind": "damage_rows", "start_s": 19.5, "effect_s": EFFECT_S}
DELETE = {"fault": "delete_rows-2", "kind": "delete_rows", "start_s": 25.0, "effect_s": 25.0}
WIPE = {"fault": "wipe-1", "kind": "wipe", "start_s": 19.5, "effect_s": EFFECT_S}
KILL = {"fault": "kill-1", "kind": "kill", "start_s": 19.5, "effect_s": None}
REMEDIES = (
    {"event": "remedy.started", "t_s": 30.0, "remedy": "stop-1", "start_s": 30.0},
    {"event": "remedy.done", "t_s": 31.0, "remedy": "stop-1", "done_s": 31.0},
    {"event": "remedy.started", "t_s": 31.0, "remedy": "runbook-2", "start_s": 31.0},
    {"event": "remedy.done", "t_s": 42.0, "remedy": "runbook-2", "done_s": 42.0},
)


def healed(fault: str, **facts: Any) -> dict[str, Any]:
    return {"event": "fault.healed", "t_s": 50.0, "fault": fault, "healed_s": 50.0, **facts}


def experiment(*expected: str, faults: int = 1) -> Experiment:
    clauses = [parse_expectation("run", "restore", text, set(OPERATIONS)) for text in expected]
    spec = FaultSpec(
        id="damage_rows-1", kind="damage_rows", selector={"role": "db"}, parameters={},
        phase="fault", start_s=EFFECT_S, end_s=END_S,
    )  # fmt: skip
    return Experiment(
        name="x", title="t", operations=OPERATIONS, faults=(spec,) * faults,
        phases=(Phase(name="calm", start_s=0, end_s=20), Phase(name="fault", start_s=20, end_s=60)),
        load=Load(rate_per_s=2.0 * RATE, mix={"create": 1.0, "read": 1.0},
                  keys=Keys(cold_population=0), canary_rate_per_s=0),
        hypothesis=tuple(clauses),
    )  # fmt: skip


class Case:
    """A run in which all is back at 40 s, and in it what was acknowledged up to `reach_s`."""

    def __init__(self, tmp_path: Path, reach_s: float = END_S) -> None:
        self.sent_s = np.arange(0, END_S, 1 / RATE)
        self.done_s = self.sent_s + FLIGHT_S
        self.down_s: tuple[float, float] = (DOWN_S, UP_S)
        self.rows = np.where((self.done_s <= reach_s) | (self.sent_s >= UP_S), 1, 0)
        self.faults: Sequence[Mapping[str, Any]] = (DAMAGE,)
        self.events: list[Mapping[str, Any]] = [*REMEDIES, healed("damage_rows-1", put_back=0)]
        self.nodes = {"db-1": {"role": "primary", "caught_up": True}}
        self.is_read_back = True
        self.wrong_s: tuple[float, ...] = ()
        self.expected: tuple[str, ...] = ()
        self.folder = RunFolder(tmp_path / "run")
        self.folder.create()

    @property
    def is_up(self) -> Any:
        return (self.sent_s < self.down_s[0]) | (self.sent_s >= self.down_s[1])

    def _samples(self, name: str) -> pd.DataFrame:
        is_write = name == "create"
        outcomes = np.where(self.is_up, "ok", "unknown") if is_write else ""
        is_wrong = np.isin(self.sent_s, self.wrong_s) & (not is_write)
        error = np.where(is_wrong, "wrong_content", np.where(self.is_up, "", "timeout"))
        return pd.DataFrame(
            {
                "op": name, "key": np.arange(len(self.sent_s)), "intended_s": self.sent_s,
                "sent_s": self.sent_s, "done_s": self.done_s, "ok": error == "", "error": error,
                "cache": "db", "served_by": "app-1", "status": 200, "write": outcomes,
            }
        )  # fmt: skip

    def _read_back(self) -> None:
        is_there = self.rows > 0
        numbers = np.flatnonzero(is_there)
        columns = [["db-1"] * len(numbers), ["m"] * len(numbers), numbers, self.rows[is_there]]
        path = self.folder.path / "target" / "writes.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns, schema=WRITES), path)
        self.folder.write_json("target/writes.json", {"nodes": self.nodes})

    def record(self) -> Record:
        main = pd.concat([self._samples("create"), self._samples("read")])
        main = main.sort_values("intended_s", kind="stable")
        events = [dict(event) for event in self.events]
        faults = [
            {"proven": True, "healed_s": 50.0, "service": "db-1", **fault} for fault in self.faults
        ]
        return Record(experiment(*self.expected), events, main, main.iloc[:0], faults)

    def findings(self) -> Findings:
        if self.is_read_back:
            self._read_back()
        record = self.record()
        found = {
            aspect.section: aspect.measure(record, self.folder)
            for aspect in (recovery.ASPECT, writes.ASPECT, restore.ASPECT)
        }
        faults = [
            FaultFound(fault=f["fault"], kind=f["kind"], start_s=f["start_s"], proven=f["proven"],
                       phase="fault")
            for f in record.faults
        ]  # fmt: skip
        return Findings(Run(status="completed", end_s=END_S, faults=faults), found)

    def found(self) -> Restore:
        return self.findings().of(restore.ASPECT)

    def figure(self, clause: str) -> Figure:
        (item,) = experiment(clause).hypothesis
        return restore.ASPECT.figure(item, self.findings())

    def verdict(self, clause: str) -> tuple[str, str]:
        """Outcome and code."""
        (judgement,) = judge(experiment(clause), self.findings()).judgements
        return judgement.outcome, judgement.code


GOOD = (
    "recovery_point == 0s", "writes_lost == 0", "writes_discarded == 0", "data_intact",
    "recovery_time < 20.5s",
)  # fmt: skip


def test_what_was_restored_whole_keeps_every_limit(tmp_path: Path) -> None:
    case = Case(tmp_path)
    found = case.found()
    assert (found.faults, found.effect_s) == (["damage_rows-1"], EFFECT_S)
    assert (found.recovery_point_s, found.uncertainty_s, found.is_beyond) == (0.0, 0.0, False)
    assert (found.writes_lost, found.lost_after, found.writes_discarded, found.holes) == (
        0, 0, 0, 0,
    )  # fmt: skip
    assert (found.put_back, found.wrong_answers) == (0, 0)
    assert [case.verdict(clause) for clause in GOOD] == [("pass", "")] * len(GOOD)


def test_three_seconds_are_lost(tmp_path: Path) -> None:
    """And what came between the fault and the restore is discarded; nothing of it is a hole."""
    case = Case(tmp_path, reach_s=17.0)
    found = case.found()
    assert found.recovery_point_s == EFFECT_S - (17.0 + FLIGHT_S)
    assert found.uncertainty_s == APART_S
    assert (found.writes_lost, found.lost_after) == (3 * RATE, 0)
    assert (found.writes_discarded, found.holes) == (10 * RATE, 0)
    assert found.examples["lost"][0] == f"m{17 * RATE}, acknowledged at 17.008 s"
    assert found.examples["discarded"][0] == f"m{20 * RATE}, acknowledged at 20.008 s"
    assert case.verdict("recovery_point < 2.5s") == ("fail", "recovery_point_exceeded")
    assert case.verdict("recovery_point < 3s") == ("inconclusive", "within_uncertainty")
    assert case.verdict("recovery_point < 3.1s") == ("pass", "")
    assert case.figure("recovery_point < 1s").happened_s == (17.0 + FLIGHT_S, found.restored_s)
    assert case.verdict("writes_lost == 0") == ("fail", "restore_lost_writes")
    assert case.verdict("writes_discarded < 700") == ("pass", "")
    assert case.verdict("data_intact") == ("pass", "")
    assert case.figure("writes_lost == 0").evidence.startswith(
        "192 of 3,200 acknowledged writes: 192 from before the fault, 0 once restored; m1088"
    )


def test_what_was_written_after_the_fault_is_the_price_of_going_back(tmp_path: Path) -> None:
    case = Case(tmp_path, reach_s=EFFECT_S)
    found = case.found()
    assert (found.recovery_point_s, found.writes_lost) == (0.0, 0)
    assert found.writes_discarded == 10 * RATE
    assert case.verdict("writes_discarded == 0") == ("fail", "restore_discarded_writes")
    assert case.verdict("data_intact") == ("pass", "")


def test_all_is_lost_and_nobody_knows_how_far_back(tmp_path: Path) -> None:
    case = Case(tmp_path, reach_s=-1.0)
    found = case.found()
    assert (found.is_beyond, found.recovery_point_s) == (True, EFFECT_S - FLIGHT_S)
    assert case.verdict("recovery_point < 10s") == ("fail", "recovery_point_exceeded")
    assert case.figure("recovery_point < 10s").happened_s == (FLIGHT_S, found.restored_s)
    assert case.verdict("recovery_point < 30s") == ("inconclusive", "not_measured")


def test_how_far_back_is_not_decided_until_all_is_well(tmp_path: Path) -> None:
    case = Case(tmp_path, reach_s=17.0)
    case.down_s, case.events = (DOWN_S, math.inf), []
    assert case.figure("recovery_point < 1s").happened_s == (17.0 + FLIGHT_S, math.inf)


def test_a_hole_is_a_lost_write_with_a_later_one_there(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.rows[5 * RATE] = case.rows[18 * RATE] = 0
    case.rows[30 * RATE - 10] = 0  # within a second of the last: in any order
    found = case.found()
    assert (found.holes, found.writes_lost, found.writes_discarded) == (2, 2, 1)
    assert found.recovery_point_s == EFFECT_S - 5.0 - FLIGHT_S
    assert case.verdict("data_intact") == ("fail", "data_not_intact")
    evidence = case.figure("data_intact").evidence
    assert evidence == "2 lost writes with a later one there (m320, acknowledged at 5.008 s)"


@pytest.mark.parametrize(("apart", "holes"), [(RATE, 0), (RATE + 1, 1)])
def test_the_tolerance_is_a_second(tmp_path: Path, apart: int, holes: int) -> None:
    """The last that is there before the restore began was acknowledged at 30 s - 1/128 s."""
    case = Case(tmp_path)
    case.rows[30 * RATE - 1 - apart] = 0
    assert case.found().holes == holes


def test_a_share_of_the_rows_that_nobody_restored(tmp_path: Path) -> None:
    """Without remedies and without outage nothing excuses a loss."""
    case = Case(tmp_path)
    case.events = [healed("damage_rows-1", put_back=0)]
    case.down_s = (END_S, END_S)
    case.rows[::5] = 0
    found = case.found()
    assert (found.restored_by, found.began_s, found.restored_s) == ("", EFFECT_S, EFFECT_S)
    assert found.writes_lost == len(case.rows[::5])
    assert (found.writes_discarded, found.recovery_time_s) == (0, 0.0)
    assert (found.holes or 0) > 200
    assert case.verdict("data_intact") == ("fail", "data_not_intact")


def test_a_write_that_is_lost_once_restored_is_no_price(tmp_path: Path) -> None:
    case = Case(tmp_path, reach_s=EFFECT_S)
    case.rows[45 * RATE] = 0
    found = case.found()
    assert (found.writes_lost, found.lost_after, found.recovery_point_s) == (1, 1, 0.0)
    assert case.figure("data_intact").evidence == "1 writes lost once restored"


def test_a_phantom_or_a_duplicate_is_no_part_of_the_history(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.rows[7] = 2
    assert case.verdict("data_intact") == ("fail", "data_not_intact")
    assert case.figure("data_intact").evidence == "1 duplicates"


def test_rows_that_the_harness_put_back_were_not_restored(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.events = [*REMEDIES, healed("damage_rows-1", put_back=5)]
    assert case.found().put_back == 5
    assert case.verdict("data_intact") == ("fail", "data_not_intact")
    assert case.figure("data_intact").evidence == "5 rows put back by the harness"
    case.events = [*REMEDIES, healed("damage_rows-1")]
    assert case.verdict("data_intact") == ("inconclusive", "not_measured")


def test_a_wrong_answer_counts_once_restored(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.wrong_s = (21.0, 25.0)
    assert case.found().wrong_answers == 0
    case.wrong_s = (21.0, 45.0)
    assert case.found().wrong_answers == 1
    assert case.verdict("data_intact") == ("fail", "data_not_intact")


def test_of_several_faults_the_first_counts_and_all_rows_put_back(tmp_path: Path) -> None:
    case = Case(tmp_path, reach_s=17.0)
    case.faults = (DELETE, DAMAGE, KILL)
    case.events += [healed("delete_rows-2", put_back=2), healed("delete_rows-2", put_back=1)]
    found = case.found()
    assert found.faults == ["delete_rows-2", "damage_rows-1"]
    assert (found.effect_s, found.put_back) == (EFFECT_S, 3)
    assert found.writes_lost == 3 * RATE
    case.events = case.events[:-2]
    assert case.found().put_back is None  # of one it is not said


# -- when


def test_remedies_say_when_it_was_restored_but_not_after_the_outage(tmp_path: Path) -> None:
    case = Case(tmp_path)
    found = case.found()
    assert (found.restored_by, found.began_s) == ("remedies", DOWN_S)
    assert found.restored_s == pytest.approx(UP_S, abs=0.02)  # it was served before they were done
    case.down_s = (END_S, END_S)
    assert case.found().restored_s == 42.0


def test_a_remedy_that_was_not_done_restored_nothing(tmp_path: Path) -> None:
    case = Case(tmp_path, reach_s=17.0)
    case.events = [*REMEDIES[:-1], healed("damage_rows-1", put_back=0)]
    found = case.found()
    assert (found.restored_s, found.wrong_answers) == (None, None)
    assert (found.writes_lost, found.lost_after) == (3 * RATE, 0)
    assert case.verdict("data_intact") == ("inconclusive", "not_measured")


def test_without_remedies_the_last_outage_is_the_time_of_restoring(tmp_path: Path) -> None:
    case = Case(tmp_path, reach_s=EFFECT_S)
    case.faults, case.events = (WIPE,), []
    found = case.found()
    assert found.restored_by == "outage"
    assert found.began_s == pytest.approx(DOWN_S, abs=0.02)
    assert found.restored_s == pytest.approx(UP_S, abs=0.02)
    assert (found.writes_lost, found.writes_discarded, found.put_back) == (0, 10 * RATE, 0)


def test_the_recovery_time_is_that_of_the_last_outage_of_any_operation(tmp_path: Path) -> None:
    case = Case(tmp_path)
    found = case.found()
    assert found.recovery_time_s == pytest.approx(UP_S - EFFECT_S, abs=0.02)
    assert (found.recovery_uncertainty_s or 0) > 0
    assert list(found.parts) == ["until the restore began", "restoring"]
    assert sum(found.parts.values()) == pytest.approx(found.recovery_time_s)
    assert case.verdict("recovery_time < 19s") == ("fail", "restore_late")
    case.down_s = (DOWN_S, END_S)
    found = case.found()
    assert (found.recovered, found.recovery_time_s, found.parts) == (False, None, {})
    assert case.verdict("recovery_time < 100s") == ("fail", "restore_late")


def test_writes_of_the_moment_of_the_fault_are_discarded(tmp_path: Path) -> None:
    """Who restores to the moment before the fault gives them up: the commit took up to 50 ms."""
    case = Case(tmp_path, reach_s=EFFECT_S)
    active = {"event": "fault.active", "t_s": 21.0, "fault": "damage_rows-1", "commit_s": 0.05}
    case.events.append({**active, "start_s": 19.5})
    found = case.found()
    assert (found.commit_s, found.in_commit, found.writes_lost) == (0.05, 3, 0)
    assert case.verdict("writes_lost == 0")[0] == "pass"
    case.rows[19 * RATE :] = 0
    assert case.verdict("writes_lost == 0") == ("fail", "restore_lost_writes")


# -- what is no evidence


def test_a_run_in_which_nothing_broke_data_says_nothing(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.faults = (KILL,)
    findings = case.findings()
    assert findings.of(restore.ASPECT) == Restore()
    assert not restore.ASPECT.has_any(findings)
    assert list(restore.ASPECT.compare(findings, set())) == []
    assert list(restore.ASPECT.tiles(findings)) == []
    figure = case.figure("writes_lost == 0")
    assert figure.gap == "no fault that breaks data was injected"
    case.expected = ("writes_lost == 0",)
    assert case.found().effect_s == 19.5  # any fault counts where it is asked for
    case.faults = ()
    assert case.found() == Restore()


@pytest.mark.parametrize("clause", ["recovery_point == 0s", "writes_lost == 0", "data_intact"])
def test_writes_that_were_not_read_back_are_no_evidence(tmp_path: Path, clause: str) -> None:
    case = Case(tmp_path)
    case.nodes = {"db-1": {"role": "replica", "caught_up": True}}
    assert case.verdict(clause) == ("inconclusive", "writes_not_checked")
    case.is_read_back = False
    case.folder.path.joinpath("target", "writes.json").unlink()
    assert case.verdict(clause) == ("inconclusive", "writes_not_checked")
    assert case.verdict("recovery_time < 21s") == ("pass", "")


@pytest.mark.parametrize("clause", ["recovery_point == 0s", "writes_lost == 0", "data_intact"])
def test_few_writes_before_the_fault_prove_nothing_good(tmp_path: Path, clause: str) -> None:
    case = Case(tmp_path)
    case.faults = ({**DAMAGE, "start_s": 0.2, "effect_s": 0.25},)
    assert case.verdict(clause) == ("inconclusive", "too_few_samples")
    case.rows[0] = 0
    assert case.verdict(clause)[0] == "fail"


def test_a_fault_that_was_not_proven_restores_nothing(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.faults = ({**DAMAGE, "proven": False},)
    assert case.verdict("recovery_point == 0s") == ("inconclusive", "fault_not_proven")


def test_writes_that_were_not_looked_up_leave_a_good_figure_open(tmp_path: Path) -> None:
    findings = Case(tmp_path).findings()
    read = replace(findings.of(writes.ASPECT), not_read={"too late": 3})
    sections = {**findings.sections, "writes": read}
    (item,) = experiment("writes_lost == 0").hypothesis
    figure = restore.ASPECT.figure(item, Findings(findings.run, sections))
    assert (figure.gap_code, figure.gap) == (
        "writes_not_checked", "3 acknowledged writes were not read back",
    )  # fmt: skip


def test_what_a_way_to_read_back_does_not_show_is_said(tmp_path: Path) -> None:
    findings = Case(tmp_path).findings()
    read = replace(findings.of(writes.ASPECT), phantom=None, duplicates=None)
    (item,) = experiment("data_intact").hypothesis
    sections = {**findings.sections, "writes": read}
    figure = restore.ASPECT.figure(item, Findings(findings.run, sections))
    assert figure.value == 1
    assert figure.evidence.endswith("; not shown: phantom writes, duplicates")


def test_what_is_missing_is_said_before_the_run() -> None:
    nobody, known = (
        Sources(labels={}),
        Sources(
            labels={}, readback=Readback(service="db", sql="SELECT t FROM w WHERE t IN ({tokens})")
        ),
    )
    (item,) = experiment("writes_lost == 0").hypothesis
    (late,) = experiment("recovery_time < 1s").hypothesis
    lacks = restore.ASPECT.lacks
    assert "has no fault" in lacks(item, experiment(faults=0), known)
    assert "nothing reads back" in lacks(item, experiment(), nobody)
    assert lacks(item, experiment(), known) == lacks(late, experiment(), nobody) == ""
    need = restore.ASPECT.needs(item, experiment())
    assert need is not None
    assert (need.needed, need.sent) == (20, RATE)
    assert restore.ASPECT.needs(late, experiment()) is None


# -- comparing and showing


def test_what_two_sets_of_runs_are_compared_by(tmp_path: Path) -> None:
    case = Case(tmp_path, reach_s=17.0)
    findings = case.findings()
    found = {
        one.metric: measured.value for one, measured in restore.ASPECT.compare(findings, set())
    }
    assert found.keys() == {"writes_lost", "data_broken", "recovery_point", "recovery_time"}
    assert (found["writes_lost"], found["data_broken"]) == (192.0, 0.0)
    lost = Compared("run", "writes", "lost", "never", "count")
    assert lost in dict(writes.ASPECT.compare(findings, {"writes.lost"}))
    assert lost not in dict(writes.ASPECT.compare(findings, {"restore.writes_lost"}))


def test_the_key_figures_of_the_report(tmp_path: Path) -> None:
    point, lost, intact = restore.ASPECT.tiles(Case(tmp_path, reach_s=17.0).findings())
    assert (point.label, point.value, point.tone) == ("recovery point", 3.0 - FLIGHT_S, "bad")
    assert (lost.label, lost.value, lost.tone) == ("writes lost", 192, "bad")
    assert lost.note.endswith("acknowledged; 640 discarded")
    assert (intact.label, intact.value, intact.tone) == ("data intact", "yes", "good")
    case = Case(tmp_path / "other")
    case.rows[7] = 2
    assert [tile.tone for tile in restore.ASPECT.tiles(case.findings())] == ["good", "good", "bad"]


def test_of_several_wipes_that_one_has_broken_the_data_which_ended_the_writes(
    tmp_path: Path,
) -> None:
    """A write that was sent before it and acknowledged just after says nothing."""
    case = Case(tmp_path, reach_s=17.0)
    at_s = {"wipe-1": EFFECT_S, "wipe-2": 22.5, "wipe-3": 25.0}
    case.faults = [{**WIPE, "fault": name, "effect_s": s} for name, s in at_s.items()]
    case.down_s = (EFFECT_S, UP_S)
    case.done_s = np.where(np.abs(case.sent_s - EFFECT_S) < APART_S, EFFECT_S + 0.1, case.done_s)
    found = case.found()
    assert found.effect_s == EFFECT_S
    assert found.recovery_point_s == EFFECT_S - (17.0 + FLIGHT_S)
    case.down_s = (EFFECT_S + 3 * APART_S, UP_S)
    assert case.found().effect_s == 22.5


def test_of_several_wipes_the_last_one_has_broken_the_data_if_writes_went_on(
    tmp_path: Path,
) -> None:
    """One that comes after the operator began is another matter."""
    case = Case(tmp_path)
    at_s = {"wipe-1": EFFECT_S, "wipe-2": 22.5, "wipe-3": 25.0, "wipe-4": 41.0}
    case.faults = [{**WIPE, "fault": name, "effect_s": s} for name, s in at_s.items()]
    found = case.found()
    assert (found.effect_s, found.began_s) == (25.0, 30.0)
    case.events = []
    assert case.found().effect_s == 41.0


def test_it_stands_before_the_writes_in_a_report() -> None:
    sections = [aspect.section for aspect in ASPECTS]
    assert sections.index("restore") + 1 == sections.index("writes")
    assert set(asdict(Restore())) >= {"recovery_point_s", "effect_s", "parts"}
