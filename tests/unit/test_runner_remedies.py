"""The operator of a run: in order, beside the walk, within bounds, and taken back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import PROJECT, Cut, FakeClock, FakeDriver, FakeEngine, container, make_tools

from harness.errors import EngineError
from harness.model.container import Container
from harness.model.experiment import Experiment, FaultSpec, Phase, RemedySpec
from harness.model.findings import RemedyFound
from harness.model.load import Load
from harness.plan import make_plan
from harness.probes.health import Health
from harness.record.events import EVENTS
from harness.record.folder import RunFolder
from harness.record.remedies import remedies_found
from harness.runner import LEAD_S, World, run_plan
from harness.undo import Journal

KILL = FaultSpec(
    id="kill-1", kind="kill", selector={"service": "db"}, phase="fault", start_s=2, end_s=8
)


def remedy(kind: str, number: int, *services: str, **facts: Any) -> RemedySpec:
    return RemedySpec(id=f"{kind}-{number}", kind=kind, services=services, **facts)


class Engine(FakeEngine):
    """Commands take effect as `answers` says, by their first word."""

    answers: dict[str, tuple[int, str]]

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        super().execute(container_id, command, timeout_s)
        return self.answers.get(command[0], (0, "OK"))


class Case:
    """A run of 8 s whose database is killed at 2 s, or not, with these remedies."""

    def __init__(
        self,
        folder: Path,
        *remedies: RemedySpec,
        faults: tuple[FaultSpec, ...] = (KILL,),
        cut: Cut | None = None,
        listed: Sequence[Container] = (),
        allow_total_loss: bool = True,
    ) -> None:
        self.cut = cut or Cut()
        runbook = {"harness.runbook.restore": "restore '--to' {fault_at}"}
        made = make_tools(
            self.cut, container("db", "db"), container("db-2", "db"),
            container("backup", "", labels=runbook), container("app-4", status="created"), *listed,
        )  # fmt: skip
        assert isinstance(made.engine, FakeEngine)
        self.engine = Engine(made.engine.found, made.engine.clock, self.cut)
        self.engine.answers = {}
        self.tools = replace(made, engine=self.engine)
        self.clock = self.engine.clock
        assert isinstance(self.clock, FakeClock)
        self.zero_s = self.clock.now_s() + LEAD_S
        self.experiment = Experiment(
            name="x", title="t", load=Load(rate_per_s=10, mix={"a": 1.0}), operations={},
            phases=(
                Phase(name="warmup", start_s=0, end_s=1), Phase(name="fault", start_s=1, end_s=8)
            ),
            faults=faults, remedies=remedies, hypothesis=(), allow_total_loss=allow_total_loss,
        )  # fmt: skip
        self.journal = Journal(folder / "state" / "journal.jsonl")
        self.folder = RunFolder(folder / "run")
        self.folder.create()
        self.held: list[Callable[[], None]] = []
        self.hooks: list[tuple[float, Callable[[], None]]] = []
        self.stopped_s = math.inf
        self.shown: list[tuple[str, ...]] = []
        self.world = World(
            project=PROJECT, boot_id="b", tools=self.tools, journal=self.journal, probes=(),
            driver=FakeDriver(self.cut), health=lambda: Health((), {}),
            show=lambda progress: self.shown.append(progress.remedies),
            is_stopped=self._look, beside=lambda work: work(),
            hide=lambda text: text.replace("hunter2", "***"),
        )  # fmt: skip

    def holding(self) -> Case:
        """Threads begin nothing until `release`, as if it took long."""
        self.world = replace(self.world, beside=self.held.append)
        return self

    def at_s(self, at_s: float, act: Callable[[], None]) -> None:
        self.hooks.append((self.zero_s + at_s, act))

    def release(self) -> None:
        while self.held:
            self.held.pop(0)()

    def _look(self) -> bool:
        for due in [hook for hook in self.hooks if self.clock.now_s() >= hook[0]]:
            self.hooks.remove(due)
            due[1]()
        return self.clock.now_s() >= self.zero_s + self.stopped_s

    def run(self) -> str:
        return run_plan(make_plan(self.experiment, 1), self.experiment, self.world, self.folder)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [e for e in self.folder.read_events() if e["event"] == name]

    @property
    def found(self) -> dict[str, RemedyFound]:
        events = self.folder.read_events()
        return {each.remedy: each for each in remedies_found(self.experiment, events)}

    def status(self, service: str) -> str:
        return next(c.status for c in self.engine.found.values() if c.service == service)

    def calls(self, *names: str) -> list[str]:
        return [name for name in self.cut.names if name in names]


def test_a_chain_is_done_in_order_from_the_fault_on(tmp_path: Path) -> None:
    case = Case(
        tmp_path,
        remedy("runbook", 1, "backup", parameters={"name": "restore"}, after_fault="kill-1",
               delay_s=1.0),
        remedy("start", 2, "db", after_remedy="runbook-1", delay_s=0.5),
    )  # fmt: skip
    assert case.run() == "completed"
    first, second = case.found.values()
    assert (first.state, second.state) == ("done", "done")
    assert first.start_s == pytest.approx(3.0, abs=0.01)
    assert second.start_s == pytest.approx((first.done_s or 0) + 0.5, abs=0.01)
    at = "1970-01-12T13:48:22.500000+00:00"  # of the fake's wall clock, at second 2 of the run
    assert case.engine.executed == [f"restore --to {at}"]
    assert first.command == ("restore", "--to", at)
    assert second.detail == "started db: running"
    assert first.output == ("OK",)
    assert case.status("db") == "running"
    assert case.journal.is_empty()


def test_what_a_remedy_starts_is_no_fault_that_was_lost(tmp_path: Path) -> None:
    """The fault was active until somebody meant to end it: that is what was to be shown."""
    case = Case(tmp_path, remedy("start", 1, "db", after_fault="kill-1", delay_s=2.0))
    assert case.run() == "completed"
    assert case.events("fault.lost") == []
    (held,) = case.events("fault.held")
    assert held["held_s"] == pytest.approx(4.0, abs=0.1)
    assert case.events("fault.healed")[0]["verified"] is True
    assert case.calls("engine.start") == ["engine.start"]  # and not once more by the healing


def test_a_standby_is_stopped_again_after_its_time(tmp_path: Path) -> None:
    case = Case(
        tmp_path, remedy("start", 1, "app-4", start_s=1.0, phase="fault", for_s=3.0), faults=()
    )
    assert case.run() == "completed"
    found = case.found["start-1"]
    assert found.start_s == pytest.approx(1.0, abs=0.01)
    assert found.undone_s == pytest.approx(4.0, abs=0.01)
    assert case.status("app-4") == "exited"
    assert case.journal.is_empty()


def test_a_standby_without_a_time_is_stopped_at_the_end(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("start", 1, "app-4", start_s=1.0), faults=())
    assert case.run() == "completed"
    assert case.found["start-1"].undone_s == pytest.approx(8.0, abs=0.01)
    assert case.status("app-4") == "exited"


def test_a_list_is_all_of_them_and_a_stop_is_taken_back_at_the_end(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("stop", 1, "db", "db-2", start_s=1.0), faults=())
    assert case.run() == "completed"
    assert case.found["stop-1"].detail == (
        "SIGTERM to db: exited with 137; SIGTERM to db-2: exited with 137"
    )
    assert case.status("db") == case.status("db-2") == "running"
    undone = [event["target"] for event in case.events("remedy.undone")]
    assert undone == ["db-2", "db"]  # the newest first
    assert case.journal.is_empty()


def test_at_the_end_what_a_remedy_holds_is_taken_back_before_the_fault_is_healed(
    tmp_path: Path,
) -> None:
    """Rows can be put back only where somebody is up; a lasting fault still has its last look."""
    pause = FaultSpec(
        id="pause-1", kind="pause", selector={"service": "db-2"}, phase="fault", start_s=2, end_s=8
    )
    case = Case(
        tmp_path, remedy("stop", 1, "db", after_fault="pause-1", delay_s=1.0), faults=(pause,)
    )
    assert case.run() == "completed"
    ends = ("remedy.undone", "fault.held", "fault.healed")
    seen = [e["event"] for e in case.folder.read_events() if e["event"] in ends]
    assert seen == ["fault.held", "remedy.undone", "fault.healed"]
    assert case.journal.is_empty()


def test_all_members_of_a_role_are_stopped_only_on_purpose(tmp_path: Path) -> None:
    """Each of them alone would not be the last one."""
    both = remedy("stop", 1, "db", "db-2", start_s=1.0)
    case = Case(tmp_path, both, faults=(), allow_total_loss=False)
    assert case.run() == "completed"
    found = case.found["stop-1"]
    assert found.state == "failed"
    assert "db-2 is the last running member of role db" in found.detail
    assert case.calls("engine.stop") == []


def test_an_instrument_is_left_alone(tmp_path: Path) -> None:
    proxy = container("pager", "monitoring")
    case = Case(tmp_path, remedy("restart", 1, "pager", start_s=1.0), faults=(), listed=(proxy,))
    assert case.run() == "completed"
    assert "protected" in case.found["restart-1"].detail
    assert case.calls("engine.restart") == []


def test_a_command_that_fails_ends_its_chain_and_not_the_run(tmp_path: Path) -> None:
    case = Case(
        tmp_path,
        remedy("runbook", 1, "backup", parameters={"name": "restore"}, after_fault="kill-1"),
        remedy("start", 2, "db", after_remedy="runbook-1"),
        remedy("restart", 3, "db-2", start_s=5.0),
    )
    case.engine.answers["restore"] = (3, "\n".join(f"line {n}" for n in range(30)) + "\nhunter2\n")
    assert case.run() == "completed"
    first, second, third = case.found.values()
    assert (first.state, first.detail) == ("failed", "backup: the command exited with 3")
    assert list(first.output) == [*(f"line {n}" for n in range(11, 30)), "***"]
    assert (second.state, second.detail) == ("skipped", "runbook-1 failed")
    assert third.state == "done"
    assert case.journal.is_empty()


def test_what_waits_for_a_fault_that_was_not_seen_is_skipped(tmp_path: Path) -> None:
    case = Case(
        tmp_path,
        remedy("start", 1, "db", after_fault="kill-1"),
        remedy("restart", 2, "db", after_remedy="start-1"),
    )
    case.engine.kill = lambda _: None  # type: ignore[method-assign]
    assert case.run() == "completed"
    assert [each.detail for each in case.found.values()] == [
        "kill-1 was not seen to take effect", "start-1 was skipped",
    ]  # fmt: skip


def test_the_walk_goes_on_while_a_remedy_works(tmp_path: Path) -> None:
    case = Case(
        tmp_path, remedy("runbook", 1, "backup", parameters={"name": "restore"},
                         after_fault="kill-1"), remedy("start", 2, "app-4", start_s=2.0),
    ).holding()  # fmt: skip
    case.at_s(5.1, case.release)
    case.at_s(7.5, case.release)
    assert case.run() == "completed"
    first, second = case.found.values()
    assert first.took_s == pytest.approx(3.1, abs=0.25)
    assert second.asked_s == 2.0
    assert second.start_s == pytest.approx(5.2, abs=0.25)  # one operator
    assert len(case.events("run.clock")) >= 8
    assert {("runbook backup",), ("start app-4",)} < set(case.shown)


def test_a_bound_that_is_over_is_a_failure(tmp_path: Path) -> None:
    facts = {"parameters": {"name": "restore"}, "after_fault": "kill-1", "within_s": 2.0}
    case = Case(
        tmp_path, remedy("runbook", 1, "backup", **facts), remedy("restart", 2, "db-2", start_s=3)
    ).holding()
    case.at_s(6.0, lambda: case.held.pop(-1)())
    assert case.run() == "completed"
    first, second = case.found.values()
    assert (first.state, first.detail) == ("failed", "it was not done within 2 s")
    assert second.state == "done"
    assert case.journal.is_empty()
    (undone,) = case.events("remedy.undone")
    assert undone["detail"] == (
        "the runbook restore was interrupted or failed, and may have done a part;"
        " to finish it, run it again: docker exec fake-backup-1 restore --to"
        " 1970-01-12T13:48:22.500000+00:00"
    )


def test_what_is_done_too_late_is_a_failure(tmp_path: Path) -> None:
    """Although nobody had given it up yet."""
    case = Case(tmp_path, remedy("restart", 1, "db-2", start_s=1.0, within_s=2.0), faults=())
    case.holding()
    case.at_s(3.5, case.release)
    assert case.run() == "completed"
    assert case.found["restart-1"].detail == "it was not done within 2 s"


def test_a_restart_that_fails_half_way_is_started_at_the_end(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("restart", 1, "db-2", start_s=1.0), faults=())

    def half(container_id: str, grace_s: int = 10) -> None:
        case.engine.stop(container_id, grace_s)
        raise EngineError("the engine was restarted")

    case.engine.restart = half  # type: ignore[method-assign]
    assert case.run() == "completed"
    assert case.found["restart-1"].state == "failed"
    assert case.status("db-2") == "running"
    assert case.journal.is_empty()


def test_an_effect_that_is_not_seen_is_a_failure(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("start", 1, "db", after_fault="kill-1", within_s=2.0))
    real, case.engine.start = case.engine.start, lambda _: None  # type: ignore[method-assign]
    case.at_s(7.0, lambda: setattr(case.engine, "start", real))
    assert case.run() == "completed"
    assert case.found["start-1"].detail == "db does not run"


def test_at_the_end_the_one_going_on_has_its_time_and_no_other_is_begun(tmp_path: Path) -> None:
    case = Case(
        tmp_path,
        remedy("runbook", 1, "backup", parameters={"name": "restore"}, after_fault="kill-1"),
        remedy("start", 2, "db-2", after_remedy="runbook-1"),
    ).holding()
    case.at_s(20.0, case.release)
    assert case.run() == "completed"
    first, second = case.found.values()
    assert first.state == "done"
    assert first.done_s == pytest.approx(20.0, abs=0.25)
    assert (second.state, second.detail) == ("skipped", "the run ended before it was due")


def test_an_interruption_waits_for_the_call_and_then_takes_it_back(tmp_path: Path) -> None:
    """What the engine is asked for takes effect although nobody waits any more."""
    case = Case(tmp_path, remedy("stop", 1, "db-2", start_s=1.0), faults=()).holding()
    case.stopped_s = 3.0
    real_sleep = case.clock.sleep_until_s

    def sleep(at_s: float) -> None:
        real_sleep(at_s)
        if at_s >= case.zero_s + 7.0:
            case.release()

    case.clock.sleep_until_s = sleep  # type: ignore[method-assign]
    assert case.run() == "interrupted"
    assert case.calls("engine.stop", "engine.start") == ["engine.stop", "engine.start"]
    assert case.status("db-2") == "running"
    assert case.found["stop-1"].detail == "it was cut off after 2.0 s"
    assert case.clock.now_s() < case.zero_s + 8.0
    assert case.journal.is_empty()


def test_an_interruption_ends_in_bounded_time_even_if_a_call_never_returns(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("stop", 1, "db-2", start_s=1.0), faults=()).holding()
    case.stopped_s = 3.0
    assert case.run() == "interrupted"
    assert case.clock.now_s() < case.zero_s + 40.0
    assert case.journal.is_empty()


@pytest.mark.parametrize("error", [EngineError("cut"), RuntimeError("cut")])
def test_an_engine_that_refuses_fails_the_remedy(tmp_path: Path, error: Exception) -> None:
    case = Case(tmp_path, remedy("restart", 1, "db-2", start_s=1.0), faults=())

    def refuse(*_: Any) -> None:
        raise error

    case.engine.restart = refuse  # type: ignore[method-assign]
    assert case.run() == "completed"
    assert case.found["restart-1"].state == "failed"
    assert "cut" in case.found["restart-1"].detail
    assert case.journal.is_empty()


def test_nothing_to_do_is_no_remedy(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("start", 1, "db", start_s=1.0), faults=())
    assert case.run() == "completed"
    assert case.found["start-1"].detail == "nothing to start: db is running"


def test_what_runs_already_is_left_alone(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("start", 1, "db", "db-2", after_fault="kill-1"))
    assert case.run() == "completed"
    assert case.found["start-1"].detail == "started db: running"


def test_the_undo_of_the_experiments_own_command_is_run(tmp_path: Path) -> None:
    parameters = {"command": ["grow"], "undo": ["shrink"]}
    own = remedy("exec", 1, "backup", parameters=parameters, start_s=1.0, for_s=2.0)
    case = Case(tmp_path, own, faults=())
    assert case.run() == "completed"
    assert case.engine.executed == ["grow", "shrink"]
    assert case.found["exec-1"].undone_s == pytest.approx(3.0, abs=0.01)


def test_a_command_that_needs_a_fault_waits_for_one(tmp_path: Path) -> None:
    own = remedy("exec", 1, "backup", parameters={"command": ["to", "{fault_at}"]}, start_s=1.0)
    case = Case(tmp_path, own)
    assert case.run() == "completed"
    assert "stands for the first fault, and there was none yet" in case.found["exec-1"].detail
    assert case.engine.executed == []


def test_a_target_that_is_not_steady_is_helped_as_little_as_broken(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("start", 1, "app-4", start_s=4.0), faults=())
    asked: list[float] = []
    case.world = replace(case.world, missed=lambda at_s: asked.append(at_s) or ["a: x"])
    assert case.run() == "not_steady"
    assert asked == [pytest.approx(3.0, abs=0.01)]
    assert case.status("app-4") == "created"
    assert case.found["start-1"].state == "skipped"


def test_every_event_says_what_its_reader_needs(tmp_path: Path) -> None:
    case = Case(
        tmp_path,
        remedy("stop", 1, "db-2", start_s=1.0),
        remedy("exec", 2, "gone", parameters={"command": ["x"]}, start_s=1.0),
        remedy("start", 3, "app-4", after_remedy="exec-2"),
        faults=(),
    )
    assert case.run() == "completed"
    names = {e["event"] for e in case.folder.read_events()}  # read_events refuses what lacks a fact
    assert {name for name in EVENTS if name.startswith("remedy.")} <= names
    assert case.found["exec-2"].detail == "gone: there is no such container"


def test_a_journal_of_a_remedy_is_marked_as_one(tmp_path: Path) -> None:
    case = Case(tmp_path, remedy("stop", 1, "db-2", start_s=1.0), faults=())
    lines: list[str] = []
    case.at_s(3.0, lambda: lines.append(case.journal.path.read_text()))
    case.run()
    raw = json.loads(lines[0])
    assert (raw["fault"], raw["remedy"]) == ("stop-1 of fake-db-2-1", "stop-1")
    assert raw["spec"]["kind"] == "stop"
