"""Only one harness works on a project, and who that is can be asked."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, RecordError
from harness.lock import Holder, lock_holder, run_lock

HOLD = """
import sys, time
from pathlib import Path
from harness.lock import run_lock
with run_lock(Path(sys.argv[1]), "harness run x"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "state" / "lock"


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock, as another harness would."""
    command = [sys.executable, "-c", HOLD, str(path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_is_free_before_and_after(path: Path) -> None:
    assert lock_holder(path) is None
    with run_lock(path, "harness run x"):
        assert lock_holder(path) == Holder("harness run x", os.getpid())
    assert lock_holder(path) is None
    with run_lock(path, "harness run y"):
        assert lock_holder(path) == Holder("harness run y", os.getpid())


def test_a_second_harness_is_refused_and_told_who_is_first(
    path: Path, other: subprocess.Popen[str]
) -> None:
    text = rf"another harness works on project [^ ]+: harness run x \(process {other.pid}\)"
    with pytest.raises(HarnessError, match=text) as caught, run_lock(path, "harness run y"):
        pass
    assert "harness heal --stop" in caught.value.hint
    assert lock_holder(path) == Holder("harness run x", other.pid)


def test_the_lock_of_a_dead_process_is_free(path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait(10)
    assert str(other.pid) in path.read_text()  # the file still names it
    assert lock_holder(path) is None
    with run_lock(path, "harness heal"):
        assert lock_holder(path) == Holder("harness heal", os.getpid())


def test_the_lock_is_free_after_an_error(path: Path) -> None:
    with pytest.raises(KeyError), run_lock(path, "x"):
        raise KeyError
    assert lock_holder(path) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "holder": "y"}', '{"pid": 1, "holder": "y"}'],
)
def test_a_process_that_does_not_hold_the_lock_is_never_named(
    path: Path, other: subprocess.Popen[str], text: str
) -> None:
    """`heal --stop` would end it: here process 1."""
    path.write_text(text)
    holder = lock_holder(path)
    assert holder is not None
    assert holder.pid is None
    assert "its process is not known" in holder.text


def test_a_process_that_has_only_other_files_open_is_never_named(
    path: Path, other: subprocess.Popen[str]
) -> None:
    path.write_text(json.dumps({"pid": os.getppid(), "holder": "harness run y"}))
    assert lock_holder(path) == Holder("harness run y", None)


def test_others_may_read_who_holds_the_lock_and_not_change_it(path: Path) -> None:
    before = os.umask(0o022)
    try:
        with run_lock(path, "x"):
            assert path.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_a_full_disk_does_not_stop_a_healing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with run_lock(path, "harness heal"):
        holder = lock_holder(path)
    assert holder == Holder("somebody", None)


def test_a_lock_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder is needed")
    with (
        pytest.raises(RecordError, match="lock: cannot be written"),
        run_lock(tmp_path / "state" / "lock", "x"),
    ):
        pass
