"""What a worker recorded, part by part: checked, put on the master's clock, and kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import LoadError, RunFolderError
from harness.load.engine.recorder import TIMES
from harness.load.workers import PART, TOKENS, TRACED
from harness.record import tables
from harness.record.examples import examples_in, write_examples
from harness.record.tables import SAMPLES, read_table, write_samples
from harness.whole_file import recorded

PART_MAX_BYTES = 64 * 2**20
EXAMPLES_MAX = 2**20
BESIDE: Mapping[str, tuple[pa.Schema, Callable[[Path, str, int, Sequence[Any]], None]]] = {
    TOKENS: (tables.TOKENS, tables.write_tokens),
    TRACED: (tables.TRACED, tables.write_traced),
}
"""What is recorded beside the samples, by the kind of message it comes in."""


class Parts:
    """The parts of one worker, numbered from 0: each is written if none before it is missing.

    `count` says how many there are, `rows` how many requests they hold, `last_due_s` when the last
    of these was due. All raise LoadError for what is not the next part, or no record of this run;
    RecordError if it cannot be written.
    """

    def __init__(self, samples: Path, stream: str, operations: Collection[str]) -> None:
        self._samples, self._stream, self._operations = samples, stream, operations
        self._received_of = {PART: 0, **dict.fromkeys(BESIDE, 0)}
        self.rows = 0
        self.last_due_s = 0.0

    @property
    def count(self) -> int:
        """Of all kinds together."""
        return sum(self._received_of.values())

    def add(self, number: int, data: bytes, shift_s: float) -> float:
        """Write the next samples, their times moved by `shift_s`; when the first was due."""
        table = self._received(PART, number, data, SAMPLES)
        if set(pc.unique(table["op"]).to_pylist()) - set(self._operations):
            raise LoadError(f"part {number} of its record is of another run")
        moved = {name: _moved(table, name, shift_s) for name in table.column_names}
        with recorded(self._samples):
            write_samples(self._samples, self._stream, number, moved)
        due_s = pc.min_max(moved["intended_s"]).as_py()
        self._received_of[PART] += 1
        self.rows += table.num_rows
        self.last_due_s = max(self.last_due_s, due_s["max"] or 0.0)
        return float(due_s["min"] or 0.0)

    def add_beside(self, kind: str, number: int, data: bytes, shift_s: float) -> None:
        """Write the next of what is recorded beside the samples, its times moved by `shift_s`."""
        schema, write = BESIDE[kind]
        table = self._received(kind, number, data, schema)
        columns = (_moved(table, name, shift_s).to_pylist() for name in schema.names)
        with recorded(self._samples):
            write(self._samples, self._stream, number, [*zip(*columns, strict=True)])
        self._received_of[kind] += 1

    def add_examples(self, text: str, shift_s: float) -> None:
        """Write the wrong answers that it kept, "" for none; ValueError or TypeError if they are
        something else."""
        if len(text) > EXAMPLES_MAX:
            raise LoadError(f"its examples have {len(text):,} letters")
        found = examples_in(text) if text else []
        moved = [replace(example, at_s=example.at_s + shift_s) for example in found]
        write_examples(self._samples, self._stream, moved)

    def _received(self, kind: str, number: int, data: bytes, schema: pa.Schema) -> pa.Table:
        if number != (expected := self._received_of[kind]):
            raise LoadError(f"part {expected} of its record did not arrive")
        if len(data) > PART_MAX_BYTES:
            raise LoadError(f"part {number} of its record has {len(data):,} bytes")
        received = self._samples / f".{self._stream}-received.parquet"
        with recorded(received):
            received.write_bytes(data)
            try:
                table = read_table(received, schema)
            except RunFolderError as error:
                raise LoadError(f"part {number} of its record is damaged") from error
            finally:
                received.unlink(missing_ok=True)
        if not table.num_rows:
            raise LoadError(f"part {number} of its record is empty")
        return table


def _moved(table: pa.Table, name: str, shift_s: float) -> pa.Array:
    column = table[name].combine_chunks()
    return pc.add(column, shift_s) if name in TIMES and shift_s else column
