"""Keeps what happened to each request and writes it as Parquet parts, off the sending thread."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from harness.run_store import SAMPLES, write_samples

Row = tuple[Any, ...]
COLUMNS = [field.name for field in SAMPLES]
ROWS_MAX = 20_000
LABELS_MAX, LABEL_LENGTH_MAX = 100, 64


class Labels:
    """Bounds what a target can put into a column of names: the table holds at most 127."""

    def __init__(self) -> None:
        self._known: set[str] = {""}

    def of(self, text: str) -> str:
        """`text` itself, cut to a sensible length; `other` once there are too many."""
        text = text[:LABEL_LENGTH_MAX]
        if text in self._known:
            return text
        if len(self._known) >= LABELS_MAX:
            return "other"
        self._known.add(text)
        return text


class Recorder:
    """Rows in the order of SAMPLES; `flush` hands them to a writer thread and returns at once."""

    def __init__(self, folder: Path, stream: str) -> None:
        self._folder, self._stream = folder, stream
        self._rows: list[Row] = []
        self._part = 0
        self._queue: SimpleQueue[list[Row] | None] = SimpleQueue()
        self.error = ""
        _warm_up()
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def add(self, row: Row) -> None:
        """Keep one row; ROWS_MAX of them are handed on at once."""
        self._rows.append(row)
        if len(self._rows) >= ROWS_MAX:
            self.flush()

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
            except (OSError, pa.ArrowException) as error:
                # Disk full: the schedule goes on, what is written stays, the owner is told.
                self.error = f"{self._folder}: {error}"


def _warm_up() -> None:
    """Have pyarrow import what its first table needs (0.2 s) before a request could be delayed."""
    row = ("", 0, 0.0, 0.0, 0.0, 0, False, "", 0, "", "", "", "")
    with TemporaryDirectory() as folder:
        write_samples(
            Path(folder), "warm-up", 0, {c: [v] for c, v in zip(COLUMNS, row, strict=True)}
        )
