"""A run walks its plan, and whatever cuts it, everything is healed and the journal is empty."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from fakes import (
    PROJECT,
    Cut,
    FakeClock,
    FakeDriver,
    FakeEngine,
    FakeLinkClient,
    FakeLinks,
    make_tools,
)

from harness.aspects.findings_json import findings_from_json
from harness.errors import EngineError, RecordError
from harness.faults import KINDS
from harness.judge import judge
from harness.model.experiment import Experiment, FaultSpec, Phase, Safeguard
from harness.model.load import Load
from harness.model.timeline import Plan, Step
from harness.probes.health import Health
from harness.record.faults import fault_rows
from harness.record.folder import RunFolder
from harness.runner import LEAD_S, World, run_plan
from harness.runner.run import ASKED_S
from harness.undo import Journal, replay


def _spec(kind: str, start_s: float, end_s: float, **selector: str) -> FaultSpec:
    return FaultSpec(
        id=f"{kind}-1", kind=kind, selector=selector, phase="fault", start_s=start_s, end_s=end_s,
        parameters={"latency": 100} if kind == "latency" else {},
    )  # fmt: skip


FAULTS = (
    _spec("kill", 2, 6, service="app-1"),
    _spec("down", 3, 7, link="app-*.redis"),
    _spec("latency", 3, 7, link="app-1.db-rw"),
)


def _experiment(**facts: Any) -> Experiment:
    phases = (Phase(name="warmup", start_s=0, end_s=1), Phase(name="fault", start_s=1, end_s=8))
    load = Load(rate_per_s=10, mix={"redirect": 1.0})
    base = {
        "name": "x", "title": "t", "load": load, "operations": {}, "phases": phases,
        "faults": FAULTS, "hypothesis": (),
    }  # fmt: skip
    return Experiment(**{**base, **facts})


def _plan() -> Plan:
    steps = [Step(0, "phase", "warmup"), Step(1, "phase", "fault")]
    for fault in FAULTS:
        steps += [Step(fault.start_s, "inject", fault.id), Step(fault.end_s, "heal", fault.id)]
    ordered = tuple(sorted([*steps, Step(8, "end", "end")], key=lambda step: step.at_s))
    return Plan("x", 1, ordered, FAULTS, 8)


class _CutJournal(Journal):
    def __init__(self, path: Path, cut: Cut) -> None:
        super().__init__(path)
        self._cut = cut

    def add(self, entry: Any) -> None:
        self._cut("journal.add")
        super().add(entry)
        self._cut("journal.add done")

    def remove(self, fault: str) -> None:
        self._cut("journal.remove")
        super().remove(fault)


class _Case:
    def __init__(self, folder: Path, cut: Cut, stop: Callable[[], bool] = lambda: False) -> None:
        self.tools = make_tools(cut)
        self.driver = FakeDriver(cut)
        self.journal = _CutJournal(folder / "state" / "journal.jsonl", cut)
        self.folder = RunFolder(folder / "run")
        self.folder.create()
        self.world = World(
            project=PROJECT, boot_id="b", tools=self.tools, journal=self.journal, probes=(),
            driver=self.driver, health=lambda: Health((), {}),
            show=lambda _: None, is_stopped=stop, beside=lambda work: work(),
        )  # fmt: skip

    def run(self, experiment: Experiment | None = None) -> str:
        return run_plan(_plan(), experiment or _experiment(), self.world, self.folder)

    def at_s(self, at_s: float, act: Callable[[], Any]) -> None:
        """Do something from outside at a time of the run, noticed by its next tick."""
        clock, done = self.tools.clock, []
        assert isinstance(clock, FakeClock)
        due_s = clock.now_s() + LEAD_S + at_s

        def hook() -> None:
            if clock.now_s() >= due_s and not done:
                done.append(act())

        self.driver.cut.hooks["driver.check"] = hook

    def events(self, name: str) -> list[dict[str, Any]]:
        return [e for e in self.folder.read_events() if e["event"] == name]

    def assert_whole(self) -> None:
        engine, links = self.tools.engine, self.tools.links
        assert isinstance(engine, FakeEngine)
        assert isinstance(links, FakeLinks)
        assert all(c.is_running for c in engine.found.values())
        assert all(links.enabled.values())
        assert not any(links.suffering.values())
        assert self.journal.entries() == []


def test_a_run_injects_proves_heals_and_says_so(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    assert case.run() == "completed"
    case.assert_whole()
    active = {e["fault"]: e for e in case.events("fault.active")}
    assert set(active) == {"kill-1", "down-1", "latency-1"}
    assert active["kill-1"]["start_s"] == pytest.approx(2, abs=0.01)
    healed = {e["fault"]: e["healed_s"] for e in case.events("fault.healed")}
    assert healed["kill-1"] == pytest.approx(6, abs=0.01)
    assert len(case.events("run.clock")) >= 8
    assert case.events("run.finished")[0]["status"] == "completed"


def test_a_target_that_is_not_steady_is_not_broken_and_is_read_all_the_same(
    tmp_path: Path,
) -> None:
    case = _Case(tmp_path, Cut())
    asked: list[float] = []
    case.world = replace(case.world, missed=lambda at_s: asked.append(at_s) or ["a: x", "b: y"])
    log = _with_readings(case, writes=None)
    assert case.run() == "not_steady"
    case.assert_whole()
    assert asked == [pytest.approx(2 - ASKED_S, abs=0.01)]
    assert case.events("fault.injecting") == []
    assert case.events("steady_state.missed")[0]["limits"] == ["a: x", "b: y"]
    (finished,) = case.events("run.finished")
    assert finished["message"] == "not steady before the fault: a: x; b: y"
    assert [when for _, when, _ in log] == ["before", "after run"]
    assert [event["when"] for event in case.events("target.check")] == ["before", "after"]


def test_a_steady_target_is_asked_once_and_no_fault_comes_later_for_it(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    asked: list[float] = []

    def missed(at_s: float) -> list[str]:
        asked.append(at_s)
        case.tools.clock.at_s += ASKED_S  # type: ignore[attr-defined]  # it takes that long
        return []

    case.world = replace(case.world, missed=missed)
    assert case.run() == "completed"
    assert len(asked) == 1
    first = min(event["start_s"] for event in case.events("fault.active"))
    assert first == pytest.approx(2, abs=0.01)


@dataclass
class _Reading:
    """Notes when it is taken, and by whom; raises `error`."""

    name: str
    log: list[tuple[str, str, bool]]
    driver: FakeDriver
    error: Exception | None = None

    def take_before(self) -> None:
        self._take("before")

    def take_after(self, folder: RunFolder) -> None:
        self._take(f"after {folder.run_id}")

    def _take(self, when: str) -> None:
        self.log.append((self.name, when, self.driver.is_stopped))
        if self.error is not None:
            raise self.error


def _with_readings(case: _Case, **errors: Exception | None) -> list[tuple[str, str, bool]]:
    """A case with one reading for each name; what they note."""
    log: list[tuple[str, str, bool]] = []
    made = tuple(_Reading(name, log, case.driver, error) for name, error in errors.items())
    case.world = replace(case.world, readings=made)
    return log


def test_all_readings_are_taken_before_the_load_and_after_healing(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    log = _with_readings(case, writes=None, clicks=None)
    assert case.run() == "completed"
    assert len(log) == 4
    assert set(log[:2]) == {("writes", "before", False), ("clicks", "before", False)}
    assert set(log[2:]) == {("writes", "after run", True), ("clicks", "after run", True)}
    assert case.events("probe.gap") == []


@dataclass
class _Waiting:
    """Comes to an end once all the others have begun."""

    name: str
    before: Barrier
    after: Barrier

    def take_before(self) -> None:
        self.before.wait(5)

    def take_after(self, folder: RunFolder) -> None:
        self.after.wait(5)


def test_readings_wait_beside_each_other_and_beside_the_start_of_the_load(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    before, after = Barrier(3), Barrier(2)
    start = case.driver.start

    def start_with_them() -> None:
        before.wait(5)
        start()

    case.driver.start = start_with_them  # type: ignore[method-assign]
    readings = (_Waiting("writes", before, after), _Waiting("clicks", before, after))
    case.world = replace(case.world, readings=readings)
    assert case.run() == "completed"


def test_what_cannot_be_read_is_a_gap_ends_no_run_and_hides_no_other(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    log = _with_readings(case, clicks=EngineError("no such table"), writes=None)
    assert case.run() == "completed"
    gaps = [(gap["probe"], gap["error"]) for gap in case.events("probe.gap")]
    assert gaps == [("clicks", "no such table")] * 2
    assert sorted(name for name, when, _ in log if when == "after run") == ["clicks", "writes"]


def test_what_was_read_and_cannot_be_written_is_no_gap_but_an_error(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    full = OSError(28, "No space left on device")
    _with_readings(case, writes=RecordError.of(tmp_path / "writes.json", full))
    with suppress(RecordError):
        assert case.run() == "error"
    assert case.events("probe.gap") == []
    assert case.events("run.finished")[-1]["status"] == "error"


def _steps_of_a_run(folder: Path) -> int:
    cut = Cut()
    _Case(folder, cut).run()
    return cut.count


@pytest.mark.parametrize("error", [EngineError("cut"), KeyboardInterrupt(), ValueError("cut")])
def test_a_run_cut_at_any_step_leaves_nothing_broken(tmp_path: Path, error: BaseException) -> None:
    total = _steps_of_a_run(tmp_path / "whole")
    assert total > 25
    for at in range(total):
        cut = Cut(at, error)
        case = _Case(tmp_path / f"{type(error).__name__}-{at}", cut)
        try:
            status = case.run()
        except Exception as raised:  # noqa: BLE001  # a cut in the healing itself: `harness heal` ends it
            status = type(raised).__name__
            assert replay(case.journal, case.tools, lambda *_: None) == []
        case.assert_whole()
        assert status in ("completed", "interrupted", "error", "HealError"), cut.names[-1]
        assert case.driver.is_stopped


def test_a_request_to_stop_heals_and_is_an_interruption(tmp_path: Path) -> None:
    asked = iter([False] * 30 + [True] * 1000)
    case = _Case(tmp_path, Cut(), lambda: next(asked))
    assert case.run() == "interrupted"
    case.assert_whole()
    assert case.driver.is_stopped


def test_a_safeguard_aborts_and_heals(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    case.driver.error_rate = 0.9
    guard = Safeguard(operation="redirect", error_rate=0.5, for_s=3)
    assert case.run(_experiment(safeguards=(guard,))) == "aborted"
    case.assert_whole()
    assert case.events("safeguard.tripped")


def test_a_worker_that_is_missed_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    gone = ("worker 2 of 4 (far): nothing was heard of it after second 3",)
    case.at_s(3, lambda: setattr(case.driver, "missing", gone))
    assert case.run() == "completed"
    case.assert_whole()
    [event] = case.events("load.worker_missing")
    assert event["worker"] == gone[0]
    assert event["t_s"] >= 3


# -- proven by effect, and throughout


def _row(case: _Case, fault: str) -> dict[str, Any]:
    """What the findings say of a fault."""
    rows = fault_rows(_experiment(), case.folder.read_events())
    return next(row for row in rows if row["fault"] == fault)


def _reasons(case: _Case) -> list[tuple[str, str]]:
    """The codes and texts that the faults give to the verdict."""
    rows = fault_rows(_experiment(), case.folder.read_events())
    found = {"status": "completed", "faults": rows, "load": {"problems": []}}
    verdict = judge(_experiment(), findings_from_json(found))
    assert verdict.outcome == "inconclusive"
    reasons = [(reason.code, reason.text) for reason in verdict.reasons]
    return [(code, text) for code, text in reasons if code == "fault_not_proven"]


def test_a_fault_is_held_until_it_is_healed(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    assert case.run() == "completed"
    assert case.events("fault.lost") == []
    held = {e["fault"]: e for e in case.events("fault.held")}
    assert held.keys() == {"kill-1", "down-1", "latency-1"}
    assert held["kill-1"]["held_s"] == pytest.approx(6, abs=0.01)
    assert held["kill-1"]["looks"] >= 5
    row = _row(case, "down-1")
    assert (row["proven"], row["evidence"], row["lost_s"]) == (True, "client", None)
    assert row["held_s"] == pytest.approx(held["down-1"]["held_s"])
    assert _reasons(case) == []


def test_a_link_adapter_that_cuts_nothing_is_not_proven(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    wire = FakeLinks(Cut())
    tools = replace(case.tools, client=FakeLinkClient(wire))
    case.world = replace(case.world, tools=tools)
    assert case.run() == "completed"
    assert {e["fault"] for e in case.events("fault.active")} == {"kill-1"}
    assert {e["fault"] for e in case.events("fault.unproven")} == {"down-1", "latency-1"}
    (_, down), (_, latency) = _reasons(case)
    assert down.startswith("down app-*.redis is not proven: 2 links cut by Toxiproxy's word, but")
    assert "a client of app-1.db-rw saw 100 bytes" in latency


@pytest.mark.parametrize("proof_s", [2.5, 7.5])
def test_an_effect_is_awaited_as_long_as_its_kind_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof_s: float
) -> None:
    monkeypatch.setitem(KINDS, "down", replace(KINDS["down"], proof_s=proof_s))
    case = _Case(tmp_path, Cut())
    tools = replace(case.tools, client=FakeLinkClient(FakeLinks(Cut())))
    case.world = replace(case.world, tools=tools)
    case.run()
    unproven, _ = case.events("fault.unproven")
    assert unproven["fault"] == "down-1"
    assert unproven["t_s"] - unproven["start_s"] == pytest.approx(proof_s, abs=1.0)


def test_a_cut_that_ends_early_is_not_proven_any_more(tmp_path: Path) -> None:
    """As when Toxiproxy is killed for memory: its restart switches every link on again."""
    case = _Case(tmp_path, Cut())
    links = case.tools.links
    assert isinstance(links, FakeLinks)
    case.at_s(3.9, lambda: links.enabled.update(dict.fromkeys(links.enabled, True)))
    assert case.run() == "completed"
    (lost,) = case.events("fault.lost")
    assert lost["fault"] == "down-1"
    assert lost["lost_s"] == pytest.approx(5, abs=0.1)
    assert lost["lost_s"] - lost["seen_s"] <= 1.1
    row = _row(case, "down-1")
    assert (row["proven"], row["healed"], row["held_s"]) == (False, True, None)
    assert row["lost_s"] == lost["lost_s"]
    ((code, text),) = _reasons(case)
    assert code == "fault_not_proven"
    assert "down app-*.redis is not proven: planned for 4 s, it ended after 2 s" in text
    assert "not cut: app-1.redis" in text


def test_a_killed_container_that_something_else_starts_is_not_proven_any_more(
    tmp_path: Path,
) -> None:
    case = _Case(tmp_path, Cut())
    case.at_s(3.9, lambda: case.tools.engine.start("id-app-1"))
    assert case.run() == "completed"
    assert [e["fault"] for e in case.events("fault.lost")] == ["kill-1"]
    ((_, text),) = _reasons(case)
    assert "planned for 4 s, it ended after 3 s (app-1 is running)" in text
    case.assert_whole()


def test_a_run_folder_without_such_events_is_read_as_before(tmp_path: Path) -> None:
    case = _Case(tmp_path, Cut())
    case.run()
    names = ("fault.held", "fault.lost")
    old = [e for e in case.folder.read_events() if e["event"] not in names]
    for event in old:
        event.pop("evidence", None)
    rows = fault_rows(_experiment(), old)
    assert all(row["proven"] and row["healed"] for row in rows)
    assert {row["evidence"] for row in rows} == {None}
