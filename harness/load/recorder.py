"""Keeps what happened to each request and writes it as Parquet parts, off the sending thread."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from harness.run_store import SAMPLES, write_samples

Row = tuple[Any, ...]
COLUMNS = [field.name for field in SAMPLES]


class Recorder:
    """Rows in the order of SAMPLES; `flush` hands them to a writer thread and returns at once."""

    def __init__(self, folder: Path, stream: str) -> None:
        self._folder, self._stream = folder, stream
        self._rows: list[Row] = []
        self._part = 0
        self._queue: SimpleQueue[list[Row] | None] = SimpleQueue()
        self.error = ""
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def add(self, row: Row) -> None:
        """Keep one row."""
        self._rows.append(row)

    def flush(self) -> None:
        """Have everything so far written as the next part."""
        if self._rows:
            rows, self._rows = self._rows, []
            self._queue.put(rows)

    def close(self, timeout_s: float = 10) -> None:
        """Write what is left and wait for it."""
        self.flush()
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _write(self) -> None:
        while (rows := self._queue.get()) is not None:
            try:
                columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
                write_samples(self._folder, self._stream, self._part, columns)
                self._part += 1
            except OSError as error:  # disk full: the schedule goes on, what is written stays
                self.error = f"{self._folder}: {error.strerror}"
