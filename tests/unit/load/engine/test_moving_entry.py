"""An engine sends to where the entry is now, and nowhere that it may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.load.engine.moving_entry import MovingEntry
from harness.whole_file import write_whole

NEW = ("127.0.0.1", 32771)


def test_it_has_moved_once_for_each_time_that_the_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "entry.json"
    entry = MovingEntry(str(path))
    assert entry.moved() is None  # there is no file yet
    write_whole(path, json.dumps([NEW, ("::1", 80)]))
    assert entry.moved() == [NEW, ("::1", 80)]
    assert entry.moved() is None
    write_whole(path, json.dumps([NEW]))
    assert entry.moved() == [NEW]
    path.unlink()
    assert entry.moved() is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[1]", '[["127.0.0.1"]]', '[["127.0.0.1", "x"]]', '[["192.0.2.7", 80]]']
)
def test_what_is_of_no_use_leaves_it_where_it_is(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one is not on this machine, and nobody has allowed it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "entry.json"
    write_whole(path, text)
    entry = MovingEntry(str(path))
    assert entry.moved() is None
    write_whole(path, json.dumps([NEW]))
    assert entry.moved() == [NEW]


def test_without_a_file_it_never_moves() -> None:
    assert MovingEntry("").moved() is None
