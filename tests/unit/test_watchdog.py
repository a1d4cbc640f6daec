"""The watchdog acts when its runner is gone or stands still while something is broken."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import watchdog
from harness.errors import HarnessError
from harness.lock import lock_holder, run_lock
from harness.watchdog import Watchdog, process
from harness.watchdog.process import BEAT, END, TAKEN, watch

BOUND_S = 0.05


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The runner's end, and the watchdog's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """One that names a fault."""
    path = tmp_path / "journal.jsonl"
    path.write_text('{"fault": "kill-1"}\n')
    return path


Pair = tuple[socket.socket, socket.socket]


def test_a_runner_that_ends_well_needs_no_help(pair: Pair, journal: Path) -> None:
    pair[0].send(BEAT + BEAT + END)
    pair[0].close()
    assert watch(pair[1], BOUND_S, journal) == ""


def test_a_runner_that_is_gone(pair: Pair, journal: Path) -> None:
    pair[0].send(BEAT)
    pair[0].close()
    assert watch(pair[1], BOUND_S, journal) == "gone"


def test_a_runner_that_dies_with_words_of_ours_unread(pair: Pair, journal: Path) -> None:
    pair[1].send(TAKEN)
    pair[0].close()  # a reset, not an end of file
    assert watch(pair[1], BOUND_S, journal) == "gone"


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_runner_that_is_gone_while_nothing_is_broken(
    pair: Pair, journal: Path, text: str | None
) -> None:
    journal.unlink()
    if text is not None:
        journal.write_text(text)
    pair[0].close()
    assert watch(pair[1], BOUND_S, journal) == ""


def test_a_journal_that_cannot_be_read_counts_as_broken(pair: Pair, tmp_path: Path) -> None:
    pair[0].close()
    assert watch(pair[1], BOUND_S, tmp_path) == "gone"


def test_a_runner_that_stands_still(pair: Pair, journal: Path) -> None:
    pair[0].send(BEAT)
    assert watch(pair[1], BOUND_S, journal) == "still"


def test_a_runner_that_stands_still_is_waited_for_while_nothing_is_broken(
    pair: Pair, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([False, False, True])
    monkeypatch.setattr(process, "_is_broken", lambda _: next(seen))
    assert watch(pair[1], BOUND_S, journal) == "still"
    assert list(seen) == []


def test_a_watchdog_that_stood_still_itself_gives_the_runner_a_fresh_bound(
    pair: Pair, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine slept, or its cgroup was frozen: nobody could beat."""
    times_s = iter([0.0, 600.0, 600.0, 600.0 + BOUND_S])
    monkeypatch.setattr(process, "monotonic", lambda: next(times_s))
    assert watch(pair[1], BOUND_S, journal) == "still"
    assert list(times_s) == []  # not after the first wait


# -- the real process


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "fake"
    path.mkdir()
    return path


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the process becomes in place of `harness.rescue`: it writes down how it was called."""
    package, written = tmp_path / "other" / "harness", tmp_path / "called"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "rescue.py").write_text(
        "import os, sys\n"
        f"lock = os.readlink('/proc/self/fd/' + sys.argv[3])\n"
        f"line = ' '.join([sys.argv[1], lock, *sys.argv[4:]])\n"
        f"part = {str(written)!r} + '.part'\n"
        f"open(part, 'w').write(line)\n"
        f"os.replace(part, {str(written)!r})\n"
    )
    (package / "watchdog").mkdir()
    copied = package / "watchdog" / "process.py"
    copied.write_text(Path(process.__file__).read_text())
    monkeypatch.setattr(watchdog, "_PROCESS", copied)
    return written


def test_a_run_that_ends_leaves_no_process_and_no_lock(state: Path, tmp_path: Path) -> None:
    with run_lock(state / "lock", "harness run x") as lock:
        with Watchdog(state, lock, tmp_path / "run") as made:
            pid = made._process.pid
            assert os.getsid(pid) == pid  # a session of its own: no signal to our group hits it
            assert not made.has_acted
        assert made._process.returncode == 0
    assert lock_holder(state / "lock") is None


def test_it_takes_over_from_a_process_that_stands_still(
    state: Path, tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "journal.jsonl").write_text('{"fault": "kill-1"}\n')
    monkeypatch.setattr(watchdog, "BEAT_S", 60.0)  # one beat, and no more
    with (
        run_lock(state / "lock", "harness run x") as lock,
        Watchdog(state, lock, tmp_path / "run", still_s=BOUND_S) as made,
    ):
        made.wait_until_done()
        assert made.has_acted
        called = record.read_text().split()
        assert lock_holder(state / "lock") is not None
    assert called == ["still", str(state / "lock"), str(state), str(tmp_path / "run")]


RUNNER = """
import os, signal, sys
from pathlib import Path
from harness import watchdog
from harness.lock import run_lock
watchdog._PROCESS = Path(sys.argv[3])
with run_lock(Path(sys.argv[1]) / "lock", "harness run x") as lock:
    with watchdog.Watchdog(Path(sys.argv[1]), lock, Path(sys.argv[2])):
        print("watched", flush=True)
        signal.pause()
"""


@pytest.mark.parametrize("whole_group", [False, True])
def test_it_takes_over_from_a_process_that_was_killed(
    state: Path, tmp_path: Path, record: Path, whole_group: bool
) -> None:
    (state / "journal.jsonl").write_text('{"fault": "kill-1"}\n')
    arguments = [str(state), str(tmp_path / "run"), str(watchdog._PROCESS)]
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, *arguments], stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as runner:  # fmt: skip
        assert runner.stdout is not None
        assert runner.stdout.readline() == "watched\n"
        (os.killpg if whole_group else os.kill)(runner.pid, signal.SIGKILL)
        runner.wait(10)
    _eventually_free(state / "lock")  # held until the work is done: nobody comes between
    assert record.read_text().split()[0] == "gone"
    assert '"holder": "watchdog of run"' in (state / "lock").read_text()


def _eventually_free(lock: Path) -> None:
    with lock.open() as file:
        subprocess.run(["flock", "--wait", "10", "0"], stdin=file, check=True, timeout=15)


def test_a_watchdog_that_cannot_be_started_is_a_clear_error(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    with (
        run_lock(state / "lock", "harness run x") as lock,
        pytest.raises(HarnessError, match="no watchdog can be started"),
    ):
        Watchdog(state, lock, tmp_path / "run")


def test_it_starts_without_anything_but_the_standard_library(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    code = (
        f"import runpy, sys; m = runpy.run_path({process.__file__!r});"
        "print([n for n in sys.modules if n.split('.')[0] in ('harness', 'docker', 'pydantic')])"
    )
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
        )
    assert done.stdout == "[]\n"
    assert select  # what it waits with
