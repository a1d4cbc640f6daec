"""Who works on a project: one run, heal, up or down at a time, by a lock of the kernel."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.whole_file import recorded


@contextmanager
def run_lock(path: Path, holder: str) -> Iterator[int]:
    """Only one run or heal per project at a time; the kernel frees the lock of a dead holder.

    Its descriptor; a process that inherits it holds the lock too.
    HarnessError names the holder, RecordError says why there can be no lock.
    """
    descriptor = _open_lock(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = f"project {path.parent.name}: {_written_holder(path).text}"
            raise HarnessError(
                f"another harness works on {who}",
                "wait for its end, or: harness heal --stop",
            ) from None
        _say_who(descriptor, holder)
        yield descriptor
    finally:
        os.close(descriptor)


def lock_holder(path: Path) -> Holder | None:
    """Who holds the lock now, None if nobody does: the kernel's lock counts, not the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written_holder(path)
    finally:
        os.close(descriptor)
    return None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lock; `pid` is None where it did not say, or said so wrongly."""

    name: str
    pid: int | None

    @property
    def text(self) -> str:
        """The name, and which process it is."""
        process = f"process {self.pid}" if self.pid else "its process is not known"
        return f"{self.name} ({process})"


def _open_lock(path: Path) -> int:
    with recorded(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _say_who(descriptor: int, holder: str) -> None:
    """For others to read; a full disk must not stop a healing, so it may stay unsaid."""
    text = json.dumps({"pid": os.getpid(), "holder": holder}).encode()
    with suppress(OSError):
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))


def _written_holder(path: Path) -> Holder:
    """Who the file says; its process only if that has the file open, so that no other is hit."""
    try:
        facts = json.loads(path.read_text())
        name, pid = str(facts["holder"]), int(facts["pid"])
    except (OSError, ValueError, LookupError, TypeError):
        return Holder("somebody", None)
    return Holder(name, pid if _has_open(pid, path) else None)


def _has_open(pid: int, path: Path) -> bool:
    wanted = path.stat()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            if os.path.samestat(link.stat(), wanted):
                return True
    return False
