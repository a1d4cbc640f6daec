"""A file is there whole or not at all, for whom it is meant, and on the disk if so asked."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from disk import room, watch_disk

from harness.errors import RecordError
from harness.whole_file import write_whole


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "file.json"


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _listed(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _failing(number: int) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("options", [{}, {"is_private": True}, {"is_durable": True}])
def test_what_is_written_takes_the_place_of_what_was_there(
    path: Path, options: dict[str, bool]
) -> None:
    for content, expected in (
        ("a longer text: é\n", b"a longer text: \xc3\xa9\n"),
        (b"\xff", b"\xff"),
    ):
        write_whole(path, content, **options)
        assert path.read_bytes() == expected
        assert _listed(path) == ["file.json"]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("before")
    rename, seen = os.replace, list[tuple[bytes, bytes]]()

    def look(source: Any, target: Any, **more: Any) -> None:
        seen.append((Path(source).read_bytes(), Path(target).read_bytes()))
        rename(source, target, **more)

    monkeypatch.setattr(os, "replace", look)
    write_whole(path, "after")
    assert seen == [(b"after", b"before")]


def test_others_may_read_it_as_the_umask_says(path: Path) -> None:
    with _umask(0o022):
        write_whole(path, "x")
    assert _mode(path) == 0o644


def test_a_secret_is_for_this_user_alone_even_after_a_writer_was_killed(path: Path) -> None:
    path.write_text("before")
    part = path.with_name(".file.json.part")
    part.write_text("half of")
    for open_to_all in (path, part):
        open_to_all.chmod(0o666)
    with _umask(0):
        write_whole(path, "x", is_private=True)
    assert (_mode(path), _listed(path)) == (0o600, ["file.json"])


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return watch_disk(monkeypatch, with_content=True)


def test_what_is_durable_is_on_the_disk_before_and_after_it_is_renamed(
    path: Path, on_disk: list[str]
) -> None:
    """What a buffer still holds is not on the disk, whatever fsync says."""
    write_whole(path, "all of it", is_durable=True)
    assert on_disk == ["fsync .file.json.part: all of it", "rename to file.json", "fsync folder"]


def test_nothing_else_waits_for_the_disk(path: Path, on_disk: list[str]) -> None:
    """The live state is written each second beside the load."""
    write_whole(path, "x")
    assert on_disk == ["rename to file.json"]


def test_no_descriptor_is_left_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    write_whole(path, "x", is_durable=True)
    monkeypatch.setattr(os, "fsync", _failing(errno.EIO))
    with pytest.raises(RecordError):
        write_whole(path, "y", is_durable=True)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_what_does_not_fit_leaves_what_was_there(path: Path) -> None:
    path.write_text("before")
    with room(10), pytest.raises(RecordError, match=r"file\.json: cannot be written: File too"):
        write_whole(path, "x" * 100)
    assert path.read_text() == "before"
    assert _listed(path) == ["file.json"]


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "free space"), (errno.EACCES, "permissions")]
)
def test_an_error_at_any_step_is_one_clear_error_and_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, remedy: str
) -> None:
    path.write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, _failing(number))
        with pytest.raises(RecordError) as caught:
            write_whole(path, "after", is_durable=True)
    assert caught.value.message == f"{path}: cannot be written: {os.strerror(number)}"
    assert remedy in caught.value.hint
    assert caught.value.exit_code == 4
    assert path.read_text() == "before"
    assert _listed(path) == ["file.json"]


def test_a_folder_in_the_way_is_a_clear_error_and_stays(path: Path) -> None:
    part = path.with_name(".file.json.part")
    part.mkdir()
    with pytest.raises(RecordError, match=r"file\.json: cannot be written: Is a directory"):
        write_whole(path, "x")
    assert _listed(path) == [".file.json.part"]


def test_a_path_through_a_file_is_a_clear_error(path: Path) -> None:
    path.write_text("")
    with pytest.raises(RecordError, match="cannot be written: Not a directory"):
        write_whole(path / "state.json", "{}")
