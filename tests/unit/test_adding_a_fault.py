"""What docs/ADDING_A_FAULT.md shows is true: its example is a kind, its excerpt is the code."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import pytest
from fakes import FakeEngine, make_tools
from make_faults import fault_on, fault_spec

from harness.errors import TargetError
from harness.faults import KINDS
from harness.faults.base import Tools
from harness.undo import Entry, Journal, replay

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "docs" / "ADDING_A_FAULT.md").read_text(), re.S | re.M
)


@dataclass
class Shell(FakeEngine):
    """A container with files, of which some may be impossible to write."""

    files: set[str] = field(default_factory=set)
    code: int = 0

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        words, path = list(command), command[-1]
        if words[0] == "test":
            return int(path not in self.files), ""
        if self.code:
            return self.code, "No space left on device\n"
        (self.files.discard if words[0] == "rm" else self.files.add)(path)
        self.executed.append(" ".join(words))
        return 0, ""


@pytest.fixture
def fill_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example, as a file of its own and a line in the dict."""
    path = tmp_path / "fill_disk.py"
    path.write_text(next(block for block in BLOCKS if block.startswith('"""fill_disk: ')))
    found = importlib.util.spec_from_file_location("fill_disk", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "fill_disk", module)
    found.loader.exec_module(module)
    monkeypatch.setitem(KINDS, "fill_disk", module.KIND)
    return module


def _tools(*, code: int = 0) -> tuple[Tools, Shell]:
    made = make_tools()
    assert isinstance(made.engine, FakeEngine)
    shell = Shell(made.engine.found, made.engine.clock, made.engine.cut, code=code)
    return replace(made, engine=shell), shell


def test_the_example_breaks_is_proven_and_is_healed_out_of_the_journal(
    fill_disk: ModuleType, tmp_path: Path
) -> None:
    tools, shell = _tools()
    fault = fault_on(tools, "fill_disk", {"mib": 3}, service="app-2")
    journal, spec = Journal(tmp_path / "journal.jsonl"), fault_spec("fill_disk", {"mib": 3})
    journal.add(Entry(spec.id, spec, fault.prepare(), "run", "boot", 0.0))
    assert not fault.is_active().proven
    assert fault.inject().detail == "3 MiB in /tmp/filling of app-2"
    assert shell.executed == [f"sh -c {fill_disk.FILL} fill {3 << 20} /tmp/filling"]
    assert fault.is_active().proven
    [entry] = journal.entries()
    assert isinstance(entry.undo, fill_disk.FillUndo)
    assert not fault.is_healed(entry.undo).proven
    for _ in range(2):  # healed twice: harmless
        journal.add(entry)
        assert replay(journal, tools, lambda *_: None, {spec.id}) == []
        assert (shell.files, journal.is_empty()) == (set(), True)
    assert not fault.is_active().proven


def test_the_example_says_what_went_wrong(fill_disk: ModuleType) -> None:
    tools, _ = _tools(code=1)
    fault = fault_on(tools, "fill_disk", {"mib": 3}, service="app-2")
    fault.prepare()
    with pytest.raises(TargetError, match=r"^app-2: /tmp/filling cannot be written: No space left"):
        fault.inject()


def test_the_excerpt_is_the_code() -> None:
    [excerpt] = [block for block in BLOCKS if block.startswith("class LimitDataParameters")]
    assert excerpt in (ROOT / "harness" / "faults" / "links" / "limit_data.py").read_text()
