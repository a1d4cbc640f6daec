"""Keeps what happened to each request and writes it as Parquet parts, off the sending thread.

    rows --collect--> columns --flush--> writer thread --> main-00000.parquet, main-00001.parquet …

A row is a tuple of numbers; names stand in it as codes, and each column of names has its table.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from harness.record.tables import Traced, write_samples, write_tokens, write_traced

Columns = dict[str, np.ndarray[Any, Any]]
Token = tuple[int, str]
"""The number of a write, and by what it is read back, as its answer said."""
Waiting = tuple[list[Columns], list[Token], list[Traced]]
"""What the writer thread is given."""
Row = tuple[float, ...]
"""op, key, intended, sent, done, status, error, bytes, served_by, cache, db_node, write; times are
monotonic seconds, names are codes."""
COLUMNS = {
    "op": np.int8,
    "key": np.int64,
    "intended_s": np.float64,
    "sent_s": np.float64,
    "done_s": np.float64,
    "status": np.int16,
    "error": np.int8,
    "bytes": np.int32,
    "served_by": np.int8,
    "cache": np.int8,
    "db_node": np.int8,
    "write": np.int8,
}
TIMES = ("intended_s", "sent_s", "done_s")
NAMED = ("op", "error", "served_by", "cache", "db_node", "write")
ROWS_MAX = 100_000
NAMES_MAX, NAME_LENGTH_MAX = 100, 64
SIZE_MAX = 2**31 - 1
WRITER_NICENESS = 10


class Names(dict[str, int]):
    """The code of each name in one column; a new name gets the next code.

    Bounds what a target can put there: names are cut, and after NAMES_MAX all are `other`.
    """

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, name: str) -> int:
        name = name[:NAME_LENGTH_MAX]
        if name not in self:
            name = name if len(self) < NAMES_MAX else "other"
            self.setdefault(name, len(self))
        return self[name]


class Recorder:
    """`add` a row, `collect` now and then, `flush` hands on to a writer thread and returns.

    `add_token` and `add_traced` go with a row: they are written where rows are.
    """

    def __init__(self, folder: Path, stream: str) -> None:
        self._folder, self._stream = folder, stream
        self.names = {column: Names() for column in NAMED}
        self.began_s = 0.0
        self.error = ""
        pa.set_memory_pool(pa.system_memory_pool())  # gives back what a part took
        self._rows: list[Row] = []
        self.add = self._rows.append
        self._tokens: list[Token] = []
        self.add_token = self._tokens.append
        self._traced: list[Traced] = []
        self.add_traced = self._traced.append
        self._collected: list[Columns] = []
        self._part = self._token_part = self._traced_part = 0
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        _warm_up()
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def collect(self) -> Columns | None:
        """The rows since the last time as columns, times since run start; None if there are none.

        `began_s` must be known by then.
        """
        if not self._rows:
            return None
        columns: Columns = {
            name: np.array(values, dtype)
            for (name, dtype), values in zip(
                COLUMNS.items(), zip(*self._rows, strict=True), strict=True
            )
        }
        self._rows.clear()
        for name in TIMES:
            columns[name] -= self.began_s
        self._collected.append(columns)
        return columns

    def flush(self) -> None:
        """Have all that was collected written as the next part."""
        if self._collected:
            collected, self._collected = self._collected, []
            self._queue.put((collected, self._tokens.copy(), self._traced.copy()))
            self._tokens.clear()
            self._traced.clear()

    def close(self, timeout_s: float = 10) -> None:
        """Write what is left and wait for it."""
        self.collect()
        self.flush()
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _write(self) -> None:
        with suppress(OSError):  # on Linux the niceness of this thread alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WRITER_NICENESS)
        while (waiting := self._queue.get()) is not None:
            collected, tokens, traced = waiting
            try:
                columns = self._arrays(collected)
                write_samples(self._folder, self._stream, self._part, columns)
                self._part += 1
                self._write_tokens(tokens)
                self._write_traced(traced)
            except (OSError, pa.ArrowException) as error:
                # Disk full: the schedule goes on, what is written stays, the owner is told.
                self.error = f"{self._folder}: {error}"

    def _write_tokens(self, tokens: list[Token]) -> None:
        if tokens:
            write_tokens(self._folder, self._stream, self._token_part, tokens)
            self._token_part += 1

    def _write_traced(self, rows: list[Traced]) -> None:
        if rows:
            began_s = self.began_s
            since_start = [
                (n, op, due_s - began_s, done_s - began_s, status, error, served_by, is_sampled)
                for n, op, due_s, done_s, status, error, served_by, is_sampled in rows
            ]
            write_traced(self._folder, self._stream, self._traced_part, since_start)
            self._traced_part += 1

    def _arrays(self, collected: list[Columns]) -> dict[str, pa.Array]:
        columns = {name: np.concatenate([part[name] for part in collected]) for name in COLUMNS}
        arrays = {name: pa.array(values) for name, values in columns.items()}
        for name in NAMED:
            arrays[name] = pa.DictionaryArray.from_arrays(arrays[name], list(self.names[name]))
        arrays["ok"] = pa.array(columns["error"] == 0)
        return arrays


def _warm_up() -> None:
    """Have pyarrow import what its first table needs (0.2 s) before a request could be delayed."""
    row = ("", 0, 0.0, 0.0, 0.0, 0, "", 0, "", "", "", "")
    columns: dict[str, Any] = {name: [value] for name, value in zip(COLUMNS, row, strict=True)}
    with TemporaryDirectory() as folder:
        write_samples(Path(folder), "warm-up", 0, {**columns, "ok": [False]})
