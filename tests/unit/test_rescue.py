"""What the watchdog does after a kill at any moment: all is healed, and the run folder says so."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEngine, make_tools

from harness import rescue as rescue_module
from harness.errors import EngineError, HarnessError, RecordError
from harness.faults import make_fault
from harness.faults.base import Tools
from harness.model.experiment import FaultSpec, RemedySpec
from harness.model.target import Part
from harness.record.event_log import EventLog
from harness.record.folder import RunFolder
from harness.remedies import parts_of
from harness.remembered import remember
from harness.rescue import TRY_S, Log, Rescue, forget_rescue, last_rescue, main, rescue
from harness.undo import Entry, Journal

CutRun = Callable[..., "_Cut"]
OLD_S = 0.0  # long before the fakes' wall clock


class _Cut:
    """A run that was cut while its faults are active."""

    def __init__(self, path: Path, *kinds: str, wall_s: float = OLD_S) -> None:
        self.tools = make_tools()
        self.journal = Journal(path / "state" / "journal.jsonl")
        self.folder = RunFolder(path / "run")
        self.folder.create()
        self.log = EventLog(self.folder)
        start_s = self.tools.clock.now_s()
        self.log.write(0, "run.started", t0_monotonic_s=start_s)
        for kind in kinds:
            _break(self.journal, self.tools, kind, wall_s)
            self.log.write(1, "fault.active", fault=f"{kind}-1", start_s=1.0)
        self.tools.clock.sleep_until_s(start_s + 5)

    def rescue(self, reason: str = "gone") -> Rescue:
        with closing(Log(self.folder, self.tools.clock.now_s)) as log:
            return rescue(reason, self.journal, self.tools, log, "run")

    def events(self, name: str) -> list[dict[str, Any]]:
        return [e for e in self.folder.read_events() if e["event"] == name]


@pytest.fixture
def cut_run(tmp_path: Path) -> Iterator[Callable[..., _Cut]]:
    """Makes the run; its log is closed at the end, as the kernel does it."""
    with ExitStack() as stack:

        def make(*kinds: str, **facts: float) -> _Cut:
            cut = _Cut(tmp_path, *kinds, **facts)
            stack.callback(cut.log.close)
            return cut

        yield make


def _break(journal: Journal, tools: Tools, kind: str, wall_s: float) -> None:
    aim = {"link": "app-1.redis"} if kind == "down" else {"service": "app-1"}
    spec = FaultSpec(id=f"{kind}-1", kind=kind, selector=aim, phase="fault", start_s=0, end_s=1)
    fault = make_fault(spec, tools)
    journal.add(Entry(spec.id, spec, fault.prepare(), "run", "b", wall_s))
    fault.inject()


def _is_whole(cut: _Cut) -> bool:
    engine = cut.tools.engine
    assert isinstance(engine, FakeEngine)
    return all(c.is_running for c in engine.found.values()) and cut.tools.links.is_enabled(
        "app-1.redis"
    )


def test_everything_is_healed_and_the_run_folder_says_so(cut_run: CutRun) -> None:
    cut = cut_run("kill", "down")
    done = cut.rescue()
    assert _is_whole(cut)
    assert cut.journal.is_empty()
    assert (done.healed, done.left) == (("down-1", "kill-1"), ())
    assert done.text == "the harness was killed; its watchdog healed down-1, kill-1"
    healed = cut.events("fault.healed")
    assert [(e["fault"], e["verified"], e["by"]) for e in healed] == [
        ("down-1", True, "watchdog"), ("kill-1", True, "watchdog"),
    ]  # fmt: skip
    assert [e["healed_s"] for e in healed] == [5.0, 5.0]  # by the run's own clock
    assert cut.events("watchdog.acted")[0]["reason"] == "gone"


def test_a_last_line_that_was_cut_off_spoils_nothing(cut_run: CutRun) -> None:
    cut = cut_run("kill")
    path = cut.folder.path / "events.jsonl"
    with path.open("a") as file:
        file.write('{"t_s": 4.9, "event": "run.clo')
    cut.rescue()
    names = [e["event"] for e in cut.folder.read_events()]
    assert names == ["run.started", "fault.active", "watchdog.acted", "fault.healed"]


def test_a_runner_that_goes_on_writes_behind_the_watchdog(cut_run: CutRun) -> None:
    """Its own last event stays whole where the disk is full then."""
    cut = cut_run("kill")
    cut.rescue("still")
    cut.log.write(6, "run.finished", status="interrupted")
    assert [e["event"] for e in cut.folder.read_events()][-2:] == ["fault.healed", "run.finished"]
    cut.log._append = _full  # type: ignore[method-assign]
    with pytest.raises(Exception, match="cannot be written"):
        cut.log.write(7, "late")
    assert [e["event"] for e in cut.folder.read_events()][-1] == "run.finished"


def _full(_data: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_a_run_folder_that_is_gone_stops_no_healing(cut_run: CutRun) -> None:
    cut = cut_run("kill")
    (cut.folder.path / "events.jsonl").unlink()
    assert cut.rescue().healed == ("kill-1",)
    assert _is_whole(cut)


def test_a_disk_that_is_full_stops_no_healing(cut_run: CutRun) -> None:
    cut = cut_run("kill", "down")
    with closing(Log(cut.folder, cut.tools.clock.now_s)) as log:
        assert log._events is not None
        log._events._append = _full  # type: ignore[method-assign]
        done = rescue("gone", cut.journal, cut.tools, log, "run")
    assert done.healed == ("down-1", "kill-1")
    assert _is_whole(cut)
    assert cut.events("fault.healed") == []


def test_a_record_that_cannot_be_opened_stops_no_healing(
    cut_run: CutRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: RunFolder) -> EventLog:
        raise RecordError(f"{folder.path}: cannot be written")

    cut = cut_run("kill")
    monkeypatch.setattr(rescue_module, "EventLog", refuse)
    assert cut.rescue().healed == ("kill-1",)
    assert _is_whole(cut)


def test_an_engine_that_comes_back_is_waited_for(cut_run: CutRun) -> None:
    cut = cut_run("kill")
    assert isinstance(cut.tools.engine, FakeEngine)
    cut.tools.engine.gone_s = (0, cut.tools.clock.now_s() + TRY_S / 2)
    assert cut.rescue().left == ()
    assert _is_whole(cut)


def test_what_cannot_be_healed_stays_in_the_journal_and_is_named(cut_run: CutRun) -> None:
    cut = cut_run("kill", "down")
    assert isinstance(cut.tools.engine, FakeEngine)
    cut.tools.engine.gone_s = (0, 1e9)
    done = cut.rescue()
    assert (done.healed, done.left) == (("down-1",), ("kill-1",))
    assert done.text.endswith("healed down-1, but not kill-1")
    assert [entry.fault for entry in cut.journal.entries()] == ["kill-1"]
    assert "the engine does not answer" in cut.events("heal.failed")[0]["message"]


def test_a_damaged_journal_hides_no_other_line(cut_run: CutRun) -> None:
    cut = cut_run("kill")
    with cut.journal.path.open("a") as file:
        file.write('{"fault": "kill-2", "spe')
    done = cut.rescue()
    assert _is_whole(cut)
    assert "cannot read a line" in done.left[0]


def test_a_call_that_was_in_flight_is_healed_when_it_takes_effect(cut_run: CutRun) -> None:
    """`docker stop` goes on although its caller was killed: the server ends 10 s later."""
    cut = cut_run()
    engine, clock = cut.tools.engine, cut.tools.clock
    assert isinstance(engine, FakeEngine)
    _break(cut.journal, cut.tools, "stop", clock.wall_s())
    engine.start("id-app-1")  # it still runs
    late_s, sleep = clock.now_s() + 9.5, clock.sleep_until_s

    def sleep_until_s(at_s: float) -> None:
        sleep(at_s)
        if at_s >= late_s and engine.cut.names.count("engine.stop") == 1:
            engine.stop("id-app-1")

    clock.sleep_until_s = sleep_until_s  # type: ignore[method-assign]
    done = cut.rescue()
    assert engine.cut.names.count("engine.stop") == 2
    assert _is_whole(cut)
    assert cut.journal.is_empty()
    assert (done.healed, len(cut.events("fault.healed"))) == (("stop-1",), 2)


def test_what_a_remedy_stopped_is_started_and_the_run_folder_says_so(cut_run: CutRun) -> None:
    cut = cut_run(wall_s=make_tools().clock.wall_s())
    spec = RemedySpec(id="stop-1", kind="stop", services=("app-1", "app-2"), start_s=1.0)
    parts = parts_of(spec, cut.tools)
    for part in parts:
        undo = part.prepare()
        wall_s = cut.tools.clock.wall_s()
        cut.journal.add(Entry(part.spec.id, part.spec, undo, "run", "b", wall_s, spec.id))
        part.inject()
    names = [part.spec.id for part in parts]
    cut.log.write(1, "remedy.done", remedy="stop-1", done_s=1.0, detail="", parts=names)
    before_s = cut.tools.clock.now_s()
    assert cut.rescue().healed == ("stop-1 of fake-app-2-1", "stop-1 of fake-app-1-1")
    assert cut.tools.clock.now_s() == before_s  # nothing of it is in flight
    assert _is_whole(cut)
    undone = cut.events("remedy.undone")
    assert [(e["remedy"], e["target"], e["by"]) for e in undone] == [
        ("stop-1", "app-2", "watchdog"), ("stop-1", "app-1", "watchdog"),
    ]  # fmt: skip


def test_a_fault_that_was_proven_is_not_in_flight(cut_run: CutRun) -> None:
    cut = cut_run("kill", wall_s=make_tools().clock.wall_s())
    before_s = cut.tools.clock.now_s()
    cut.rescue()
    assert cut.tools.clock.now_s() == before_s


def test_what_was_healed_is_remembered_until_the_next_run(tmp_path: Path) -> None:
    assert last_rescue(tmp_path) is None
    facts = {"run_id": "r", "reason": "still", "wall_s": 1.0, "healed": ["a"], "left": []}
    (tmp_path / "rescue.json").write_text(json.dumps(facts))
    found = last_rescue(tmp_path)
    assert found is not None
    assert found.text == "the harness stopped responding; its watchdog healed a"
    (tmp_path / "rescue.json").write_text("[")
    assert last_rescue(tmp_path) is None
    forget_rescue(tmp_path)
    assert not (tmp_path / "rescue.json").exists()
    forget_rescue(tmp_path)


def test_an_error_of_the_engine_is_no_end(cut_run: CutRun) -> None:
    cut = cut_run("kill")
    assert isinstance(cut.tools.engine, FakeEngine)
    hooks = cut.tools.engine.cut.hooks

    def fail_once() -> None:
        del hooks["engine.start"]
        raise EngineError("busy")

    hooks["engine.start"] = fail_once
    assert cut.rescue().healed == ("kill-1",)


def test_each_event_is_written_whole(cut_run: CutRun) -> None:
    cut = cut_run("kill", "down")
    assert isinstance(cut.tools.engine, FakeEngine)
    cut.tools.engine.gone_s = (0, cut.tools.clock.now_s() + 60)
    done = cut.rescue("still")
    written = cut.folder.read_events()[3:]
    message = "kill of app-1 is not healed: the engine does not answer"
    failed = {"event": "heal.failed", "fault": "kill-1", "message": message, "by": "watchdog"}
    healed = {"event": "fault.healed", "verified": True, "by": "watchdog"}
    assert written == [
        {
            "t_s": 5.0,
            "event": "watchdog.acted",
            "reason": "still",
            "text": "the harness stopped responding",
        },
        {**healed, "t_s": 5.0, "fault": "down-1", "detail": "all enabled", "healed_s": 5.0},
        {**failed, "t_s": 35.0},
        {**healed, "t_s": 65.0, "fault": "kill-1", "detail": "app-1 is running", "healed_s": 65.0},
    ]
    assert done == Rescue("run", "still", cut.tools.clock.wall_s(), ("down-1", "kill-1"), ())


def test_facts_of_a_healing_are_kept(cut_run: CutRun) -> None:
    cut = cut_run("crash")
    cut.rescue()
    (healed,) = cut.events("fault.healed")
    assert healed["restarted_by_itself"] is True


def test_it_gives_up_after_its_time(cut_run: CutRun) -> None:
    cut = cut_run("kill")
    assert isinstance(cut.tools.engine, FakeEngine)
    cut.tools.engine.gone_s = (0, 1e9)
    began_s = cut.tools.clock.now_s()
    cut.rescue()
    tries = len(cut.events("heal.failed"))
    assert TRY_S < cut.tools.clock.now_s() - began_s == tries * 30 + (tries - 1) * 2


def test_a_fault_that_was_seen_unproven_is_not_in_flight_either(cut_run: CutRun) -> None:
    cut = cut_run("kill", wall_s=make_tools().clock.wall_s())
    events = cut.folder.path / "events.jsonl"
    events.write_text(events.read_text().replace("fault.active", "fault.unproven"))
    before_s = cut.tools.clock.now_s()
    cut.rescue()
    assert cut.tools.clock.now_s() == before_s


def test_a_run_that_had_not_started_has_the_watchdogs_clock(cut_run: CutRun) -> None:
    cut = cut_run("kill")
    events = cut.folder.path / "events.jsonl"
    events.write_text(events.read_text().replace("run.started", "run.refused"))
    cut.rescue()
    assert [e["healed_s"] for e in cut.events("fault.healed")] == [0.0]


@pytest.mark.parametrize(
    ("healed", "left", "text"),
    [
        ((), (), "the harness was killed; its watchdog healed nothing"),
        (("a", "b"), (), "the harness was killed; its watchdog healed a, b"),
        ((), ("c", "d"), "the harness was killed; its watchdog healed nothing, but not c, d"),
    ],
)
def test_one_sentence(healed: tuple[str, ...], left: tuple[str, ...], text: str) -> None:
    assert Rescue("r", "gone", 1.0, healed, left).text == text
    assert Rescue("r", "odd", 1.0, healed, left).text == text.replace(
        "the harness was killed", "odd"
    )


REMEMBERED = {"run_id": "r", "reason": "gone", "wall_s": 2, "healed": ["a", "b"], "left": ["c"]}


def test_what_was_done_is_read_back_whole(tmp_path: Path) -> None:
    (tmp_path / "rescue.json").write_text(json.dumps(REMEMBERED))
    assert last_rescue(tmp_path) == Rescue("r", "gone", 2.0, ("a", "b"), ("c",))


@pytest.mark.parametrize("name", REMEMBERED)
@pytest.mark.parametrize("value", [None, "gone"])
def test_a_memory_that_is_damaged_is_none(tmp_path: Path, name: str, value: Any) -> None:
    facts = {**REMEMBERED, name: value}
    if value == "gone":
        del facts[name]
    (tmp_path / "rescue.json").write_text(json.dumps(facts))
    is_text = name in ("run_id", "reason") and value is None
    assert (last_rescue(tmp_path) is None) is not is_text


# -- the process


def _run_main(cut: _Cut, monkeypatch: pytest.MonkeyPatch, *, is_heard: bool) -> tuple[int, bytes]:
    """Its exit code, and what the runner hears, if there still is one."""
    asked: list[tuple[Path, Any]] = []

    def tools_of(state: Path, clock: Any) -> Tools:
        asked.append((state, clock))
        return cut.tools

    monkeypatch.setattr(rescue_module, "_tools", tools_of)
    monkeypatch.setattr(rescue_module, "SystemClock", lambda: cut.tools.clock)
    ours, theirs = socket.socketpair()
    with ours:
        if not is_heard:
            ours.shutdown(socket.SHUT_RD)
        state = cut.journal.path.parent
        code = main(["still", str(theirs.detach()), "99", str(state), str(cut.folder.path)])
        assert asked == [(state, cut.tools.clock)]
        return code, ours.recv(9) if is_heard else b""


def test_a_runner_that_can_hear_it_is_told_and_ends_its_run_itself(
    cut_run: CutRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = cut_run("kill")
    assert _run_main(cut, monkeypatch, is_heard=True) == (0, b"D")
    assert _is_whole(cut)
    assert cut.events("run.finished") == []
    found = last_rescue(cut.journal.path.parent)
    assert found == Rescue("run", "still", cut.tools.clock.wall_s(), ("kill-1",), ())


@pytest.mark.parametrize(("is_healed", "status"), [(True, "interrupted"), (False, "error")])
def test_where_nobody_hears_it_the_run_is_ended_for_the_runner(
    cut_run: CutRun, monkeypatch: pytest.MonkeyPatch, is_healed: bool, status: str
) -> None:
    cut = cut_run("kill")
    if not is_healed:
        assert isinstance(cut.tools.engine, FakeEngine)
        cut.tools.engine.gone_s = (0, 1e9)
    code, _ = _run_main(cut, monkeypatch, is_heard=False)
    assert code == (0 if is_healed else 4)
    found = last_rescue(cut.journal.path.parent)
    assert found is not None
    (ended,) = cut.events("run.finished")
    assert (ended["status"], ended["message"]) == (status, found.text)
    assert found.left == (() if is_healed else ("kill-1",))


def test_a_state_folder_that_cannot_be_written_stops_no_healing(
    cut_run: CutRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = cut_run("kill")
    (cut.journal.path.parent / "rescue.json").mkdir()
    assert _run_main(cut, monkeypatch, is_heard=True)[0] == 0
    assert _is_whole(cut)


def test_an_engine_that_is_being_restarted_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what the target said of its services is known: Toxiproxy may be found by that alone."""
    clock, tools = make_tools().clock, make_tools()
    state, asked = tmp_path / "p", list[object]()
    state.mkdir()
    remember(state, (), {"proxy": Part(toxiproxy="8474")}, "unix:///own.sock")
    back_s = clock.now_s() + 5

    def engine(
        project: str, services: Mapping[str, Part], expected: str
    ) -> tuple[str, Mapping[str, Part], str]:
        if clock.now_s() < back_s:
            raise EngineError("no engine")
        return project, services, expected

    monkeypatch.setattr(rescue_module, "DockerEngine", engine)
    monkeypatch.setattr(rescue_module, "tools_of", lambda *found: asked.append(found[0]) or tools)
    assert rescue_module._tools(state, clock) is tools  # type: ignore[arg-type]
    assert asked == [("p", {"proxy": Part(toxiproxy="8474")}, "unix:///own.sock")]
    assert clock.now_s() == 106.0
    back_s = 1e9
    with pytest.raises(HarnessError, match="no engine"):
        rescue_module._tools(state, clock)  # type: ignore[arg-type]
    assert clock.now_s() == 106.0 + TRY_S + 2
