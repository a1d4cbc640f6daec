"""The journal survives what may happen between two instructions; healing is repeated and proven."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEngine, FakeLinks, container, make_tools
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import EngineError, HealError, RecordError
from harness.faults import make_fault
from harness.faults.base import Proof, Tools
from harness.model.experiment import FaultSpec
from harness.undo import HEAL_TIMEOUT_S, Entry, Journal, heal_fault, replay


def _spec(kind: str, number: int = 1, **selector: str) -> FaultSpec:
    return FaultSpec(
        id=f"{kind}-{number}", kind=kind, selector=selector, phase="fault", start_s=0, end_s=1
    )


def _entry(name: str = "kill-1", boot_id: str = "this-boot") -> Entry:
    spec = _spec("kill", service="app-1").model_copy(update={"id": name})
    touched = {"id": "id-app-1", "name": "fake-app-1-1", "service": "app-1", "role": "app"}
    undo = {"kind": "kill", "target": "app-1", "containers": [touched]}
    return Entry(name, spec, undo, "run", boot_id, 1.5)


def _inject(journal: Journal, tools: Tools, spec: FaultSpec) -> None:
    fault = make_fault(spec, tools)
    undo = fault.prepare()
    journal.add(Entry(spec.id, spec, undo, "run", "b", 0.0))
    fault.inject()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "journal.jsonl")


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


@settings(max_examples=40, deadline=None)  # a disk that syncs takes the time it takes
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


def _watch_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the disk, in order; `os.replace` is what Path.replace calls."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        seen.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def note_rename(source: Any, target: Any, **more: Any) -> None:
        seen.append(f"rename to {Path(target).name}")
        rename(source, target, **more)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_rename)
    return seen


def test_a_record_is_on_the_disk_when_add_returns(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _watch_disk(monkeypatch)
    journal.add(_entry())
    assert seen == ["fsync journal.part", "rename to journal.jsonl", "fsync state"]


def test_forgetting_the_newest_needs_no_new_file(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kill-1", "kill-2"):
        journal.add(_entry(name))
    seen = _watch_disk(monkeypatch)
    journal.remove("kill-2")
    journal.remove("kill-1")
    assert seen == ["fsync journal.jsonl", "fsync journal.jsonl"]
    assert journal.is_empty()
    assert journal.path.read_bytes() == b""


def test_removing_what_is_not_there_writes_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.remove("kill-1")
    assert not journal.path.exists()
    journal.add(_entry("kill-1"))
    seen = _watch_disk(monkeypatch)
    journal.remove("kill-2")
    assert seen == []


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
        with pytest.raises(HealError, match="a line cannot be understood"):
            refuse()
    tools = make_tools(None, container("app-1", status="exited"))
    with pytest.raises(HealError, match="a line cannot be understood") as caught:
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


def test_an_undo_record_that_lacks_a_fact_stops_no_other(journal: Journal) -> None:
    tools = make_tools()
    _inject(journal, tools, _spec("kill", service="app-1"))
    spec = _spec("down", 2, link="app-1.redis")
    undo = {"kind": "down", "target": "app-1.redis", "containers": []}
    journal.add(Entry("down-2", spec, undo, "run", "b", 0.0))
    said = _heal_all(journal, tools)
    assert said[0] == ("down-2", False, "KeyError: 'links'")
    assert said[1][:2] == ("kill-1", True)
    assert [entry.fault for entry in journal.entries()] == ["down-2"]


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
    assert HEAL_TIMEOUT_S <= clock.now_s() - started_s <= HEAL_TIMEOUT_S + 1
