"""Appends to the events of a run while it is running."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

from harness.errors import RecordError
from harness.record.folder import RunFolder
from harness.whole_file import recorded


class EventLog:
    """Appends events to `events.jsonl`, each handed to the operating system at once.

    An event is written whole or not at all: where the disk is full, what fitted is taken back.
    A watchdog may write to it too, while the runner is suspended.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.path / "events.jsonl"
        with recorded(self._path):
            self._file = self._path.open("ab", buffering=0)

    def write(self, at_s: float, event: str, **facts: Any) -> None:
        """Write one event at `at_s` seconds since run start; RecordError if it cannot be."""
        if self._file.closed:
            return  # a probe that hung comes too late
        line = {"t_s": round(at_s, 6), "event": event, **facts}
        data = json.dumps(line, default=str).encode() + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        try:
            self._append(data)
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(end)
            raise RecordError.of(self._path, error) from error

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        while left:  # a disk that is almost full takes a part
            left = left[self._file.write(left) or 0 :]

    def close(self) -> None:
        """Have the disk keep it, as far as it can, and close; calling it twice is harmless."""
        if not self._file.closed:
            with suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()


def cut_torn_line(folder: RunFolder) -> None:
    """Take away a last line that its writer could not end, because it was killed."""
    path = folder.path / "events.jsonl"
    with recorded(path), path.open("r+b") as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
