"""A run is cut at every single step, in every way; nothing stays broken, nothing is lost.

A step is an effect: a call of the engine or of a link, a file of the journal replaced or
shortened, an event written, a call of the load, a look at the health, the read-back. SIGKILL is
an exception that nothing catches, after which no effect happens; `harness heal` then replays.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fakes import (
    PROJECT,
    Cut,
    FakeClock,
    FakeDriver,
    FakeEngine,
    FakeLinks,
    FakePacketQueues,
    FakeWatchdog,
    container,
    make_tools,
)
from make_faults import PARAMETERS

from harness.cli.console import Screen
from harness.errors import EngineError, HarnessError, RecordError
from harness.faults import KINDS
from harness.faults.base import LINK, Tools
from harness.model.experiment import Experiment, FaultSpec, Phase, RemedySpec
from harness.model.load import Load
from harness.plan import make_plan
from harness.probes.health import Health
from harness.record.event_log import EventLog
from harness.record.folder import RunFolder
from harness.record.run import Record
from harness.runner import LEAD_S, World, run_plan
from harness.runner import run as running
from harness.session.stop import Stop
from harness.undo import Journal, replay

START_S = FakeClock().now_s() + LEAD_S
OUTLIVED = {
    "engine.start", "engine.start done", "engine.connect", "links.True", "links.True done",
    "links.remove", "packets.remove", "driver.stop", "log.load.summary", "readback",
}  # fmt: skip
"""Steps after whose failure a run may still complete: it heals again, or kills its load."""

CHANGES = ("engine.", "links.", "packets.")  # what reaches the target

FULL = ("log.", "journal.replace")  # what needs space on the disk

IN_STEP_OR_AT_ONCE = pytest.mark.parametrize(
    "stop_at_s", [math.inf, 2.7], ids=["walked", "stopped"]
)
"""Each fault is healed when its time is over, or all at once because the run was stopped."""


class Killed(BaseException):
    """What a SIGKILL is to the code: the end, which nothing catches."""


@pytest.fixture(autouse=True)
def _no_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of runs; that the journal reaches the disk is the matter of test_undo."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def _fault(kind: str, start_s: float, end_s: float, **selector: str) -> FaultSpec:
    return FaultSpec(
        id=f"{kind}-1", kind=kind, selector=selector, phase="fault", start_s=start_s, end_s=end_s,
        parameters=PARAMETERS.get(kind, {}),
    )  # fmt: skip


OVERLAPPING = (
    _fault("kill", 1, 3, service="app-1"),
    _fault("down", 1.5, 3.5, link="app-*.redis"),
    _fault("latency", 1.5, 3.5, link="app-1.db-rw"),
    _fault("disconnect", 2, 4, service="app-2"),
)


def _remedy(kind: str, *services: str, **facts: Any) -> RemedySpec:
    return RemedySpec(id=f"{kind}-1", kind=kind, services=services, **facts)


HELPED = (
    _remedy("stop", "app-2", "app-3", after_fault="kill-1"),
    _remedy("runbook", "redis", after_remedy="stop-1", parameters={"name": "restore"}),
    _remedy("start", "app-1", "app-2", after_remedy="runbook-1"),
    _remedy("restart", "app-1", after_remedy="start-1"),
    _remedy("exec", "redis", start_s=2, parameters={"command": ["grow"], "undo": ["shrink"]}),
)
"""What an operator does about the first fault alone."""


def _experiment(faults: tuple[FaultSpec, ...], remedies: tuple[RemedySpec, ...] = ()) -> Experiment:
    return Experiment(
        name="x", title="t", load=Load(rate_per_s=10, mix={"redirect": 1.0}), operations={},
        phases=(Phase(name="warmup", start_s=0, end_s=1), Phase(name="fault", start_s=1, end_s=4)),
        faults=faults, remedies=remedies, hypothesis=(), allow_total_loss=True,
    )  # fmt: skip


class _CutJournal(Journal):
    """Each change of the file is two steps: before it, and when it is done."""

    def __init__(self, path: Path, cut: Cut) -> None:
        super().__init__(path)
        self._cut = cut

    def _replace(self, lines: list[str]) -> None:
        self._cut("journal.replace")
        super()._replace(lines)
        self._cut("journal.replace done")

    def _keep(self, lines: list[str]) -> None:
        self._cut("journal.keep")
        super()._keep(lines)
        self._cut("journal.keep done")


class _NoDatabase:
    """A reading that finds nothing to read."""

    name = "readback"

    def __init__(self, cut: Cut) -> None:
        self._cut = cut

    def take_before(self) -> None:
        """Nothing."""

    def take_after(self, folder: RunFolder) -> None:
        self._cut("readback")
        raise HarnessError("there is no database here")


@dataclass
class _Case:
    """One run on fakes, all of whose effects pass `cut`."""

    path: Path
    cut: Cut
    faults: tuple[FaultSpec, ...] = OVERLAPPING
    stop_at_s: float = math.inf
    stop: Stop = field(default_factory=lambda: Stop(Screen()))
    watchdog: FakeWatchdog = field(default_factory=FakeWatchdog)
    remedies: tuple[RemedySpec, ...] = ()

    def __post_init__(self) -> None:
        labels = {"harness.runbook.restore": "restore it"}
        redis = container("redis", "cache", labels=labels)
        self.tools = make_tools(self.cut, *(container(f"app-{n}") for n in (1, 2, 3)), redis)
        self.before = _state(self.tools)
        self.journal = _CutJournal(self.path / "state" / "journal.jsonl", self.cut)
        self.folder = RunFolder(self.path / "run")
        self.folder.create()
        is_killed = isinstance(self.cut.error, Killed)
        samples = self.folder.samples_dir if is_killed else None  # slow to write
        self.driver = FakeDriver(self.cut, samples=samples)

    def run(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """The status, or the name of the exception that came out."""
        cut = self.cut

        class CutLog(EventLog):
            def write(self, at_s: float, event: str, **facts: Any) -> None:
                cut(f"log.{event}")
                super().write(at_s, event, **facts)

        monkeypatch.setattr(running, "EventLog", CutLog)
        experiment = _experiment(self.faults, self.remedies)
        world = World(
            project=PROJECT, boot_id="b", tools=self.tools, journal=self.journal, probes=(),
            driver=self.driver, health=self._health, readings=(_NoDatabase(cut),),
            show=lambda _: cut("show"), is_stopped=self._is_stopped, watchdog=self.watchdog,
            beside=lambda work: work(),
        )  # fmt: skip
        self.stop.is_walking = True
        try:
            with self.stop.handled():
                return run_plan(make_plan(experiment, 1), experiment, world, self.folder)
        except BaseException as error:  # noqa: BLE001  # what came out is what is asserted
            return type(error).__name__

    def _is_stopped(self) -> bool:
        return self.stop.asked or self.tools.clock.now_s() >= START_S + self.stop_at_s

    def _health(self) -> Health:
        self.cut("health")
        return Health((), {})

    def heal(self, said: list[str] | None = None) -> list[Any]:
        """As `harness heal` does it in a new process."""
        engine, links, packets = self.tools.engine, self.tools.links, self.tools.packets
        assert isinstance(engine, FakeEngine)
        assert isinstance(links, FakeLinks)
        assert isinstance(packets, FakePacketQueues)
        engine.cut = links.cut = packets.cut = Cut()

        def say(_: Any, __: Any, detail: str) -> None:
            if said is not None:
                said.append(detail)

        return replay(Journal(self.journal.path), self.tools, say)

    def status(self) -> str:
        experiment, empty = _experiment(self.faults), pd.DataFrame()
        return Record(experiment, self.folder.read_events(), empty, empty).status

    def let_engine_go(self, at_s: float, for_s: float) -> None:
        engine = self.tools.engine
        assert isinstance(engine, FakeEngine)
        engine.gone_s = (START_S + at_s, START_S + at_s + for_s)

    def assert_whole(self) -> None:
        assert _state(self.tools) == self.before, self.cut.names[-3:]
        assert Journal(self.journal.path).entries() == []

    def assert_kept(self) -> None:
        """Every event that was written, and every sample, can be read."""
        last = self.cut.at if self.cut.stays else self.cut.count
        written = [name for name in self.cut.names[:last] if name.startswith("log.")]
        assert len(self.folder.read_events()) >= len(written) - (not self.cut.stays)
        if self.driver.samples is not None and "driver.check" in self.cut.names:
            assert self.folder.read_samples("main").num_rows == 10


def _state(tools: Tools) -> Any:
    """What faults may change, and healing must restore; `created` and `exited` are both: down."""
    assert isinstance(tools.engine, FakeEngine)
    assert isinstance(tools.links, FakeLinks)
    containers = {
        c.service: (
            c.status.replace("created", "exited"),
            dict(c.networks),
            (c.memory_bytes, c.memory_swap_bytes, c.nano_cpus),
        )
        for c in tools.engine.found.values()
    }
    suffering = {link: toxics for link, toxics in tools.links.suffering.items() if toxics}
    assert isinstance(tools.packets, FakePacketQueues)
    stores = dict(tools.engine.postgres.stores)
    return containers, dict(tools.links.enabled), suffering, tools.packets.shaped, stores


def _dry_run(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at_s: float = math.inf,
    faults: tuple[FaultSpec, ...] = OVERLAPPING,
) -> _Case:
    """A run that nothing cuts."""
    case = _Case(path, Cut(), faults, stop_at_s)
    ended = "completed" if stop_at_s == math.inf else "interrupted"
    assert case.run(monkeypatch) == case.status() == ended
    case.assert_whole()
    return case


def _cases(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at_s: float = math.inf,
    **cut: Any,
) -> Iterator[tuple[str, _Case, str]]:
    """A run for each step, cut there: the step's name, and how the run ended."""
    total = len(_dry_run(path / "dry", monkeypatch, stop_at_s).cut.names)
    for at in range(total):
        case = _Case(path / str(at), Cut(at, **cut), stop_at_s=stop_at_s)
        ended = case.run(monkeypatch)
        yield case.cut.names[at], case, ended


def test_every_kind_of_effect_is_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(_dry_run(tmp_path, monkeypatch).cut.names) >= {
        "engine.kill", "engine.start", "engine.disconnect", "engine.connect", "links.False",
        "links.True", "links.add", "links.remove", "journal.replace", "journal.keep",
        "log.fault.injecting", "log.fault.active", "log.fault.healed", "log.run.finished",
        "driver.start", "driver.stop", "health", "readback", "show",
    }  # fmt: skip


@IN_STEP_OR_AT_ONCE
@pytest.mark.parametrize("error", [RuntimeError("cut"), EngineError("cut")])
def test_an_error_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, stop_at_s: float
) -> None:
    for step, case, ended in _cases(tmp_path, monkeypatch, stop_at_s, error=error):
        if ended == "HealError":  # an unforeseen error in a healing: `harness heal` ends it
            assert case.status() == "error"
            assert case.heal() == []
        elif step == "log.run.finished":
            assert (ended, case.status()) == (type(error).__name__, "interrupted")
        else:
            assert ended == case.status()
            assert ended == "error" or step in OUTLIVED, step
        case.assert_whole()
        case.assert_kept()
        assert case.driver.is_stopped


@IN_STEP_OR_AT_ONCE
def test_a_keyboard_interrupt_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at_s: float
) -> None:
    for step, case, ended in _cases(tmp_path, monkeypatch, stop_at_s, error=KeyboardInterrupt()):
        if step == "log.run.finished":
            assert (ended, case.status()) == ("KeyboardInterrupt", "interrupted")
        else:
            assert ended == case.status()
            assert ended == "interrupted" or step in ("driver.stop", "log.load.summary"), step
        case.assert_whole()
        case.assert_kept()


@pytest.mark.usefixtures("hears_of_its_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Twice in a row, as an impatient user does it; the handler is that of `harness run`."""

    def act() -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    seen = []
    for step, case, ended in _cases(tmp_path, monkeypatch, act=act):
        assert ended == case.status()
        assert case.stop.asked, step
        case.assert_whole()
        case.assert_kept()
        seen.append(ended)
    walked = _dry_run(tmp_path / "again", monkeypatch).cut.names.index("log.fault.active")
    assert set(seen[: walked + 1]) == {"interrupted"}
    assert seen[-1] == "completed"  # it was over before the signal came


@IN_STEP_OR_AT_ONCE
def test_a_kill_at_any_step_is_mended_by_harness_heal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at_s: float
) -> None:
    broken = 0
    for step, case, ended in _cases(tmp_path, monkeypatch, stop_at_s, error=Killed(), stays=True):
        assert ended == "Killed", step
        assert case.status() == "interrupted"
        broken += _state(case.tools) != case.before
        assert case.heal() == []
        case.assert_whole()
        case.assert_kept()
    assert broken > 20  # else nothing was proven


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kill_while_any_kind_of_fault_begins_or_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    aim = {"link": "app-1.*"} if KINDS[kind].selectors == LINK else {"service": "app-1"}
    faults = (_fault(kind, 1, 2, **aim),)
    names = _dry_run(tmp_path / "dry", monkeypatch, faults=faults).cut.names
    first, last = names.index("journal.replace"), names.index("log.fault.healed")
    for at in range(first, last + 1):
        case = _Case(tmp_path / str(at), Cut(at, Killed(), stays=True), faults)
        assert case.run(monkeypatch) == "Killed"
        assert case.heal() == []
        case.assert_whole()


def _helped(path: Path, cut: Cut) -> _Case:
    return _Case(path, cut, OVERLAPPING[:1], remedies=HELPED)


def _steps_of_help(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many steps a run with remedies has."""
    case = _helped(path, Cut())
    assert case.run(monkeypatch) == "completed"
    case.assert_whole()
    done = [e["remedy"] for e in case.folder.read_events() if e["event"] == "remedy.done"]
    assert done == [remedy.id for remedy in HELPED]
    return len(case.cut.names)


def test_a_kill_while_an_operator_helps_is_mended_by_harness_heal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = 0
    for at in range(_steps_of_help(tmp_path / "dry", monkeypatch)):
        case = _helped(tmp_path / str(at), Cut(at, Killed(), stays=True))
        assert case.run(monkeypatch) == "Killed"
        said: list[str] = []
        broken += _state(case.tools) != case.before
        lines = case.journal.readable()
        assert case.heal(said) == []
        case.assert_whole()
        if any(entry.spec.kind == "runbook" for entry in lines):
            assert any("docker exec fake-redis-1 restore it" in text for text in said)
    assert broken > 20


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RecordError("cut")])
def test_whatever_ends_a_run_while_an_operator_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    for at in range(_steps_of_help(tmp_path / "dry", monkeypatch)):
        case = _helped(tmp_path / str(at), Cut(at, error))
        ended = case.run(monkeypatch)
        if ended == "HealError":
            assert case.heal() == []
        case.assert_whole()


def test_a_runner_that_goes_on_after_its_watchdog_healed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-Z at any step, and `fg` a minute later: interrupted, and nothing is undone twice."""
    total = len(_dry_run(tmp_path / "dry", monkeypatch).cut.names)
    seen, healed_for_us = [], 0
    for at in range(total):
        case = _Case(tmp_path / str(at), Cut(at))
        before: list[int] = []

        def stand_still(case: _Case = case, before: list[int] = before) -> None:
            if Journal(case.journal.path).is_empty():
                return  # nothing is broken: the watchdog only goes on looking
            case.cut.act = None
            case.watchdog.has_acted = True
            replay(Journal(case.journal.path), case.tools, lambda *_: None)
            before.append(case.cut.count)

        case.cut.act = stand_still
        ended = case.run(monkeypatch)
        assert ended == case.status(), case.cut.names[at]
        case.assert_whole()
        if not before:
            assert ended == "completed"
            continue
        seen.append(ended)
        if not case.cut.names[at].startswith((*CHANGES, "journal.")):  # not amid one of ours
            changes = [n for n in case.cut.names[before[0] :] if n.startswith(CHANGES)]
            assert changes == [], case.cut.names[at]
            healed_for_us += 1
        assert "its watchdog healed" in case.folder.read_events()[-1]["message"]
    assert set(seen) == {"interrupted"}
    assert healed_for_us > 10


def test_a_runner_that_goes_on_while_its_watchdog_heals_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = _Case(tmp_path, Cut())

    who: list[str] = []

    def heal() -> None:
        who.append("watchdog")
        replay(Journal(case.journal.path), case.tools, lambda *_: None)
        who.append("run")

    def take_over() -> None:
        case.watchdog.has_acted = True
        case.watchdog.act = heal

    started_by: list[str] = []
    case.cut.hooks["log.fault.active"] = take_over
    case.cut.hooks["engine.start"] = lambda: started_by.append(who[-1])
    assert case.run(monkeypatch) == case.status() == "interrupted"
    case.assert_whole()
    assert started_by == ["watchdog"]


def test_a_watchdog_that_did_not_end_its_work_leaves_the_rest_to_the_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = _Case(tmp_path, Cut())
    case.cut.hooks["log.fault.active"] = lambda: setattr(case.watchdog, "has_acted", True)
    assert case.run(monkeypatch) == case.status() == "interrupted"
    case.assert_whole()


def test_a_laptop_that_sleeps_an_hour_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = len(_dry_run(tmp_path / "dry", monkeypatch).cut.names)
    for at in range(total):
        case = _Case(tmp_path / str(at), Cut(at))
        clock = case.tools.clock
        assert isinstance(clock, FakeClock)
        case.cut.act = lambda clock=clock: clock.sleep_until_s(clock.now_s() + 3600)
        assert case.run(monkeypatch) == case.status() == "completed", case.cut.names[at]
        case.assert_whole()


def test_a_disk_that_is_full_from_any_step_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event and no new undo record fit; what was recorded can be forgotten all the same."""
    full = RecordError("disk full")
    for step, case, ended in _cases(tmp_path, monkeypatch, error=full, stays=True, only=FULL):
        assert ended in ("error", "RecordError"), step
        case.assert_whole()


@pytest.mark.parametrize("back_after_s", [1.0, 20.0])
def test_an_engine_that_is_restarted_while_faults_are_active(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back_after_s: float
) -> None:
    for at_s in (0.7, 1.2, 2.2, 2.9, 3.9):
        case = _Case(tmp_path / str(at_s), Cut())
        case.let_engine_go(at_s, back_after_s)
        assert case.run(monkeypatch) == case.status()
        case.assert_whole()


def test_an_engine_that_stays_away_leaves_the_journal_and_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = _Case(tmp_path, Cut())
    case.let_engine_go(2.2, 3600)
    assert case.run(monkeypatch) == "HealError"
    assert case.status() == "error"
    message = case.folder.read_events()[-1]["message"]
    assert "kill of app-1 is not healed: the engine does not answer" in message
    left = [entry.fault for entry in case.journal.entries()]
    assert left == ["kill-1", "disconnect-1"]  # the links were healed: they need no engine
    assert case.heal() != []
    case.let_engine_go(math.inf, 0)
    assert case.heal() == []
    case.assert_whole()
