"""The journal survives what may happen between two instructions; healing is repeated and proven."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from disk import watch_disk
from fakes import FakeClock, FakeEngine, FakeLinks, container, make_tools
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import EngineError, HealError, RecordError
from harness.faults import make_fault
from harness.faults.base import Proof, Tools
from harness.faults.undo_record import Touched, Undo
from harness.model.experiment import FaultSpec
from harness.undo import (
    HEAL_TIMEOUT_S,
    IN_FLIGHT_S,
    Entry,
    Journal,
    boot_id,
    heal_fault,
    replay,
)


def _spec(kind: str, number: int = 1, **selector: str) -> FaultSpec:
    return FaultSpec(
        id=f"{kind}-{number}", kind=kind, selector=selector, phase="fault", start_s=0, end_s=1
    )


def _links_spec() -> FaultSpec:
    """Of a kind whose undo record needs more than that of `kill`."""
    return _spec("down", link="app-1.redis")


def _entry(name: str = "kill-1", boot_id: str = "this-boot") -> Entry:
    spec = _spec("kill", service="app-1").model_copy(update={"id": name})
    undo = Undo("kill", "app-1", (Touched("id-app-1", "fake-app-1-1", "app-1", "app"),))
    return Entry(name, spec, undo, "run", boot_id, 1.5)


def _inject(journal: Journal, tools: Tools, spec: FaultSpec) -> None:
    fault = make_fault(spec, tools)
    undo = fault.prepare()
    journal.add(Entry(spec.id, spec, undo, "run", "b", 0.0))
    fault.inject()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "home" / "state" / "journal.jsonl")


def _heal_all(journal: Journal, tools: Tools) -> list[tuple[str, bool, str]]:
    """What was said of each entry, in order."""
    said: list[tuple[str, bool, str]] = []

    def say(entry: Entry, proof: Proof | None, detail: str) -> None:
        said.append((entry.fault, proof is not None, detail))

    replay(journal, tools, say)
    return said


def _is_up(tools: Tools, service: str) -> bool:
    return next(c for c in tools.engine.containers() if c.service == service).is_running


# -- the file


def test_entries_come_back_as_they_were_in_order(journal: Journal) -> None:
    added = [_entry("kill-1"), replace(_entry("kill-2"), wall_s=2.5, run_id="another")]
    assert journal.is_empty()
    for entry in added:
        journal.add(entry)
    assert Journal(journal.path).entries() == added
    assert not journal.is_empty()


def test_an_entry_of_the_same_fault_is_replaced(journal: Journal) -> None:
    journal.add(_entry())
    journal.add(replace(_entry(), run_id="again"))
    assert [entry.run_id for entry in journal.entries()] == ["again"]


@settings(max_examples=40)  # a disk that syncs takes the time it takes
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=20))
def test_the_file_holds_what_was_added_and_not_removed(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[bool, int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    expected: list[str] = []
    for is_added, number in changes:
        name = f"kill-{number}"
        expected = [other for other in expected if other != name]
        if is_added:
            Journal(path).add(_entry(name))
            expected.append(name)
        else:
            Journal(path).remove(name)
        assert [entry.fault for entry in Journal(path).entries()] == expected


def test_a_record_is_on_the_disk_when_add_returns(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch_disk(monkeypatch)
    journal.add(_entry())
    assert seen == ["fsync .journal.jsonl.part", "rename to journal.jsonl", "fsync state"]


def test_forgetting_the_newest_needs_no_new_file(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("kill-1", "kill-2", "kill-3")
    for name in names:
        journal.add(_entry(name))
    seen = watch_disk(monkeypatch)
    for name in reversed(names):
        journal.remove(name)
    assert seen == ["fsync journal.jsonl"] * 3
    assert journal.is_empty()
    assert journal.path.read_bytes() == b""


def test_removing_what_is_not_there_writes_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.remove("kill-1")
    assert not journal.path.exists()
    journal.add(_entry("kill-1"))
    seen = watch_disk(monkeypatch)
    journal.remove("kill-2")
    assert seen == []


def test_all_of_a_record_is_there_when_it_is_synced(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a buffer still holds is not on the disk, whatever fsync says."""
    synced: list[bytes] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.extend([path.read_bytes()] if path.is_file() else [])
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    journal.add(_entry())
    assert synced == [journal.path.read_bytes()]


def test_no_descriptor_is_left_open(journal: Journal) -> None:
    journal.add(_entry("kill-1"))
    before = sorted(Path("/proc/self/fd").iterdir())
    journal.add(_entry("kill-2"))
    journal.remove("kill-1")
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_disk_that_fails_while_the_newest_is_forgotten_is_an_error(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.add(_entry())

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordError, match=r"journal\.jsonl: cannot be written: Input/output error"):
        journal.remove("kill-1")


def test_where_no_new_file_can_be_made_the_error_says_why(journal: Journal) -> None:
    journal.path.with_name(".journal.jsonl.part").mkdir(parents=True)  # not to be opened
    with pytest.raises(RecordError, match=r"journal\.jsonl: cannot be written: Is a directory"):
        journal.add(_entry())


def test_a_journal_that_cannot_be_read_is_not_taken_for_an_empty_one(journal: Journal) -> None:
    journal.path.mkdir(parents=True)
    for ask in (journal.entries, journal.readable, journal.is_empty):
        with pytest.raises(HealError, match=r"journal\.jsonl: Is a directory") as caught:
            ask()
        assert caught.value.hint.endswith("harness heal")


def test_a_line_that_is_no_text_is_shown_in_short(journal: Journal) -> None:
    journal.path.parent.mkdir(parents=True)
    journal.path.write_bytes(b"\xff" + b"x" * 300 + b"\n")
    with pytest.raises(HealError) as caught:
        journal.entries()
    assert caught.value.message.endswith("line: \ufffd" + "x" * 199)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_record_that_cannot_be_written_is_an_error_and_changes_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    journal.add(_entry("kill-1"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(RecordError, match=r"journal\.jsonl: cannot be written: No space") as e:
            journal.add(_entry("kill-2"))
    assert "free space" in e.value.hint
    assert [entry.fault for entry in journal.entries()] == ["kill-1"]
    assert [path.name for path in journal.path.parent.iterdir()] == ["journal.jsonl"]


@pytest.mark.parametrize(
    "line",
    [
        '{"fault": "kill-9", "spec": {"id"',  # torn
        "\0\0\0\0",
        "[]",
        "{}",
        json.dumps({**_entry().to_json(), "undo": {}}),
        json.dumps({**_entry().to_json(), "undo": None}),
        json.dumps({**_entry().to_json(), "undo": {"kind": "kill", "target": "app-1"}}),
        json.dumps({**_entry().to_json(), "spec": _links_spec().model_dump(mode="json")}),
        json.dumps(_entry().to_json()).replace('"parameters": {}', '"parameters": {"mib": 1}'),
        json.dumps({**_entry().to_json(), "wall_s": "soon"}),
        json.dumps(_entry().to_json()).replace('"kind": "kill", "sel', '"kind": "gone", "sel'),
    ],
)
def test_a_damaged_line_is_named_and_hides_no_other(journal: Journal, line: str) -> None:
    """No write of ours leaves one: each is whole or not at all. A disk may."""
    journal.add(_entry("kill-1"))
    with journal.path.open("a") as file:
        file.write(line)
    assert [entry.fault for entry in journal.readable()] == ["kill-1"]
    for refuse in (journal.entries, lambda: journal.add(_entry("kill-2"))):
        with pytest.raises(HealError, match="cannot read a line"):
            refuse()
    tools = make_tools(None, container("app-1", status="exited"))
    with pytest.raises(HealError, match="cannot read a line") as caught:
        replay(journal, tools, lambda *_: None)
    assert "harness down" in caught.value.hint
    assert _is_up(tools, "app-1")
    assert journal.readable() == []
    assert not journal.is_empty()
    journal.clear()
    assert journal.is_empty()


# -- replay


def test_faults_are_healed_newest_first_and_forgotten(journal: Journal) -> None:
    tools = make_tools()
    _inject(journal, tools, _spec("kill", service="app-1"))
    _inject(journal, tools, _spec("down", 2, link="app-1.redis"))
    _inject(journal, tools, _spec("pause", 3, service="app-2"))
    said = _heal_all(journal, tools)
    assert [(name, is_healed) for name, is_healed, _ in said] == [
        ("pause-3", True), ("down-2", True), ("kill-1", True),
    ]  # fmt: skip
    assert all(c.is_running for c in tools.engine.containers())
    assert isinstance(tools.links, FakeLinks)
    assert all(tools.links.enabled.values())
    assert journal.is_empty()


def test_replaying_again_or_what_is_mended_already_is_harmless(journal: Journal) -> None:
    tools = make_tools()
    _inject(journal, tools, _spec("kill", service="app-1"))
    kept = journal.path.read_bytes()
    for _ in range(3):
        assert [is_healed for _, is_healed, _ in _heal_all(journal, tools)] == [True]
        journal.path.write_bytes(kept)  # killed just before the record went
    assert _is_up(tools, "app-1")


def test_a_fault_of_another_boot_is_healed_too(journal: Journal) -> None:
    """After a reboot a killed container is still down."""
    tools = make_tools(None, container("app-1", status="exited"))
    journal.add(_entry(boot_id="before-the-reboot"))
    assert _heal_all(journal, tools) == [("kill-1", True, "app-1 is running")]
    assert _is_up(tools, "app-1")


def test_a_container_of_another_project_is_never_touched(journal: Journal) -> None:
    """A copied folder brings a journal that names containers of the project it was copied from."""
    labels = {"com.docker.compose.project": "another"}
    tools = make_tools(None, container("app-1", status="exited", labels=labels))
    journal.add(_entry())
    assert _heal_all(journal, tools) == [("kill-1", True, "app-1 does not exist any more")]
    assert isinstance(tools.engine, FakeEngine)
    assert tools.engine.found["id-app-1"].status == "exited"
    assert journal.is_empty()


def test_what_cannot_be_healed_stays_and_stops_no_other(journal: Journal) -> None:
    tools = make_tools()
    _inject(journal, tools, _spec("down", 1, link="app-1.redis"))
    _inject(journal, tools, _spec("kill", 2, service="app-1"))
    assert isinstance(tools.engine, FakeEngine)
    tools.engine.gone_s = (0, 1e9)
    assert _heal_all(journal, tools) == [
        ("kill-2", False, "kill of app-1 is not healed: the engine does not answer"),
        ("down-1", True, "all enabled"),
    ]
    assert [entry.fault for entry in journal.entries()] == ["kill-2"]
    tools.engine.gone_s = (1e9, 1e9)
    assert _heal_all(journal, tools) == [("kill-2", True, "app-1 is running")]


def test_a_healing_that_breaks_down_stops_no_other(journal: Journal) -> None:
    tools = make_tools()
    _inject(journal, tools, _spec("kill", service="app-1"))
    _inject(journal, tools, _spec("down", 2, link="app-1.redis"))
    assert isinstance(tools.links, FakeLinks)
    del tools.links.enabled["app-1.redis"]  # an error that none of ours foresees
    said = _heal_all(journal, tools)
    assert said[0] == ("down-2", False, "KeyError: 'app-1.redis'")
    assert said[1][:2] == ("kill-1", True)
    assert [entry.fault for entry in journal.entries()] == ["down-2"]


class _Refusing(FakeEngine):
    """Starts all containers but one."""

    refused = "id-app-2"

    def start(self, container_id: str) -> None:
        if container_id == self.refused:
            raise EngineError("no space left on device")
        super().start(container_id)


def _refusing() -> Tools:
    tools = make_tools()
    assert isinstance(tools.engine, FakeEngine)
    engine = _Refusing(tools.engine.found, tools.engine.clock, tools.engine.cut)
    return replace(tools, engine=engine)


def test_what_could_not_be_healed_is_returned_whatever_its_healing_raised(
    journal: Journal,
) -> None:
    """`harness heal` names what is returned; nothing returned would read as nothing broken."""
    tools = _refusing()
    for number, service in enumerate(("app-1", "app-2", "app-3"), 1):
        _inject(journal, tools, _spec("kill", number, service=service))
    _inject(journal, tools, _spec("down", 4, link="app-1.redis"))
    assert isinstance(tools.links, FakeLinks)
    del tools.links.enabled["app-1.redis"]
    left = replay(journal, tools, lambda *_: None)
    assert [entry.fault for entry in left] == ["down-4", "kill-2"]
    assert [entry.fault for entry in journal.entries()] == ["kill-2", "down-4"]
    assert [_is_up(tools, f"app-{n}") for n in (1, 2, 3)] == [True, False, True]


# -- calls that may still be in flight


@dataclass
class _Later(FakeClock):
    """`acts` happen when the clock passes their time."""

    acts: dict[float, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def sleep_until_s(self, at_s: float) -> None:
        super().sleep_until_s(at_s)
        for due_s in [due_s for due_s in self.acts if due_s <= self.at_s]:
            self.acts.pop(due_s)()


@dataclass
class _Young:
    """A journal with one entry that was made `age_s` ago, and what is said while it is healed."""

    journal: Journal
    age_s: float = 3.0
    kind: str = "kill"
    parameters: dict[str, Any] = field(default_factory=dict)
    said: list[tuple[float, bool, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock, self.tools = _Later(), _refusing()
        assert isinstance(self.tools.engine, _Refusing)
        self.engine = self.tools.engine
        self.engine.refused, self.engine.clock = "", self.clock
        self.tools = replace(self.tools, clock=self.clock)
        spec = _spec(self.kind, service="app-1").model_copy(update={"parameters": self.parameters})
        wall_s = self.clock.wall_s() - self.age_s
        self.entry = replace(_entry(), spec=spec, wall_s=wall_s)
        self.journal.add(self.entry)
        self.end()

    def end(self) -> None:
        """The container stops, as by a call that comes late."""
        self.engine.found["id-app-1"] = replace(self.engine.found["id-app-1"], status="exited")

    def replay(self, *returned: str) -> list[Entry]:
        def say(entry: Entry, proof: Proof | None, detail: str) -> None:
            assert entry == self.entry
            self.said.append((self.clock.now_s(), proof is not None, detail))

        return replay(self.journal, self.tools, say, returned)


HEALED = (100.0, True, "app-1 is running")


def test_a_call_that_takes_effect_late_is_healed_again(journal: Journal) -> None:
    young = _Young(journal)
    kept: list[list[Entry]] = []
    young.clock.acts = {
        105.2: lambda: (young.end(), kept.append(journal.entries()))[0],
        111.9: young.end,
    }
    assert young.replay() == []
    late = "app-1 is running (it took effect late)"
    assert young.said == [HEALED, (105.5, True, late), (112.0, True, late)]
    assert kept == [[young.entry]]  # the record stays as long as it may be needed
    assert journal.is_empty()
    assert young.clock.now_s() == 112.0
    assert _is_up(young.tools, "app-1")


def test_a_late_effect_that_cannot_be_healed_is_returned_and_stays(journal: Journal) -> None:
    young = _Young(journal)

    def break_for_good() -> None:
        young.engine.refused = "id-app-1"
        young.end()

    young.clock.acts = {103.1: break_for_good}
    assert young.replay() == [young.entry]
    assert journal.entries() == [young.entry]
    assert young.said[1:] == [
        (133.5, False, "kill of app-1 is not healed: no space left on device")
    ]


def test_a_call_that_is_known_to_have_returned_is_not_waited_for(journal: Journal) -> None:
    young = _Young(journal)
    assert young.replay("another", "kill-1") == []
    assert (young.said, young.clock.now_s(), journal.is_empty()) == ([HEALED], 100.0, True)


@pytest.mark.parametrize(
    ("age_s", "kind", "parameters", "until_s"),
    [
        (IN_FLIGHT_S, "kill", {}, 100.0),  # over
        (IN_FLIGHT_S - 0.75, "kill", {}, 100.75),
        (0.0, "kill", {}, 115.0),
        (-1000.0, "kill", {}, 115.0),  # the wall clock was set back: bounded all the same
        (0.0, "stop", {"grace_s": 20}, 135.0),
        (1e6, "stop", {"grace_s": 20}, 100.0),
    ],
)
def test_how_long_a_call_may_be_in_flight(
    journal: Journal, age_s: float, kind: str, parameters: dict[str, Any], until_s: float
) -> None:
    young = _Young(journal, age_s, kind, parameters)
    assert young.replay("another") == []
    assert (young.said, young.clock.now_s(), journal.is_empty()) == ([HEALED], until_s, True)


def test_the_boot_is_the_kernels() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


# -- one healing


class _Stubborn:
    """Healed after so many tries; every other try raises."""

    def __init__(self, tries: int) -> None:
        self.tries, self.tried = tries, 0

    def heal(self, _undo: Any) -> None:
        self.tried += 1
        if self.tried % 2:
            raise EngineError(f"refused try {self.tried}")

    def is_healed(self, _undo: Any) -> Proof:
        return Proof(proven=self.tried >= self.tries, detail=f"seen {self.tried}")

    prepare = inject = is_active = heal


def test_healing_is_tried_until_it_is_seen() -> None:
    fault = _Stubborn(6)
    assert heal_fault(fault, _entry().undo, make_tools().clock).detail == "seen 6"


def test_healing_gives_up_in_time_and_says_what_it_saw_last() -> None:
    clock = make_tools().clock
    started_s = clock.now_s()
    with pytest.raises(HealError, match=r"kill of app-1 is not healed: (seen|refused)") as caught:
        heal_fault(_Stubborn(10**9), _entry().undo, clock)
    assert caught.value.hint == "harness heal"
    assert clock.now_s() - started_s == HEAL_TIMEOUT_S


def test_what_was_seen_last_is_said_where_nothing_was_raised() -> None:
    clock = make_tools().clock
    fault = _Stubborn(10**9)
    fault.heal = lambda _undo: None  # type: ignore[method-assign]
    with pytest.raises(HealError, match=r"^pause of app-1 is not healed: seen 0$"):
        heal_fault(fault, Undo("pause", "app-1", ()), clock, 2.0)
    assert clock.now_s() == 102.0
