"""A run folder: what is written is whole, what is read is understood, or one clear error."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from disk import room

from harness.errors import RecordError, RunFolderError
from harness.record.folder import RunFolder, new_folder, run_folders


def test_a_file_is_written_whole_or_not_at_all(folder: RunFolder) -> None:
    folder.write_text("summary.md", "before")
    with room(10), pytest.raises(RecordError, match=r"summary\.md: cannot be written"):
        folder.write_text("summary.md", "x" * 100)
    assert folder.read_text("summary.md") == "before"
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "samples",
        "summary.md",
        "target",
    ]


def test_the_same_value_gives_the_same_bytes(folder: RunFolder) -> None:
    folder.write_json("result.json", {"b": 1, "a": [1.5, None]})
    first = folder.read_text("result.json")
    folder.write_json("result.json", {"a": [1.5, None], "b": 1})
    assert folder.read_text("result.json") == first
    assert first.startswith('{\n  "a": [')


def test_a_folder_is_made_once(folder: RunFolder) -> None:
    with pytest.raises(RecordError, match="cannot be written: File exists"):
        folder.create()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.EACCES, "permissions"),
        (errno.EROFS, "a writable disk"),
        (errno.ENOTDIR, "a part of this path is a file"),
        (errno.EIO, "is it writable?"),
    ],
)
def test_what_cannot_be_written_says_what_fixes_it(number: int, remedy: str) -> None:
    error = RecordError.of(Path("reports/x"), OSError(number, os.strerror(number)))
    assert error.message == f"reports/x: cannot be written: {os.strerror(number)}"
    assert remedy in error.hint
    assert error.exit_code == 4


def test_a_path_through_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot be written: Not a directory"):
        RunFolder(tmp_path / "file" / "run").create()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"{}", b'{"status": 7}'])
def test_json_that_is_not_what_it_should_be_is_named(folder: RunFolder, data: bytes) -> None:
    (folder.path / "result.json").write_bytes(data)
    with pytest.raises(RunFolderError, match=r"result\.json: ") as caught:
        folder.read_json("result.json", {"status": str})
    assert caught.value.hint == f"harness judge {folder.path}"


def test_a_missing_file_says_which_stage_writes_it(folder: RunFolder) -> None:
    for name, stage in (("findings.json", "analyze"), ("result.json", "judge")):
        with pytest.raises(RunFolderError, match="No such file") as caught:
            folder.read_json(name)
        assert caught.value.hint == f"harness {stage} {folder.path}"


@pytest.mark.parametrize(
    "value", [{}, {"plan": {}}, {"plan": {}, "experiment": {}}, {"plan": {}, "experiment": []}]
)
def test_a_plan_that_is_none_is_a_clear_error(folder: RunFolder, value: Any) -> None:
    folder.write_json("plan.json", value)
    with pytest.raises(RunFolderError, match=r"plan\.json: "):
        folder.read_experiment()


def test_folders_of_the_same_second_are_numbered(tmp_path: Path) -> None:
    made = []
    for _ in range(3):
        made.append(new_folder(tmp_path, "x"))
        made[-1].mkdir()
    assert len(set(made)) == 3
    assert made == sorted(made)


def test_runs_are_listed_newest_first_and_links_left_out(tmp_path: Path) -> None:
    for name in ("20260102-000000-a", "20260103-000000-b"):
        made = RunFolder(tmp_path / name)
        made.create()
        made.write_text("events.jsonl", "")
    (tmp_path / "latest").symlink_to("20260103-000000-b")
    (tmp_path / "notes").mkdir()
    assert [run.run_id for run in run_folders(tmp_path)] == [
        "20260103-000000-b", "20260102-000000-a",
    ]  # fmt: skip
