"""What a worker recorded, part by part: checked, put on the master's clock, and kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import LoadError, RunFolderError
from harness.load.engine.recorder import TIMES
from harness.record.examples import examples_in, write_examples
from harness.record.tables import (
    SAMPLES,
    TOKENS,
    TRACED,
    read_table,
    write_samples,
    write_tokens,
    write_traced,
)
from harness.whole_file import recorded

PART_MAX_BYTES = 64 * 2**20
EXAMPLES_MAX = 2**20


class Parts:
    """The parts of one worker, numbered from 0: each is written if none before it is missing.

    `count`, `tokens` and `traced` say how many there are of each, `rows` how many requests they
    hold, `last_due_s` when the last of these was due. All raise LoadError for what is not the
    next part, or no record of this run; RecordError if it cannot be written.
    """

    def __init__(self, samples: Path, stream: str, operations: Collection[str]) -> None:
        self._samples, self._stream, self._operations = samples, stream, operations
        self.count = self.tokens = self.traced = self.rows = 0
        self.last_due_s = 0.0

    def add(self, number: int, data: bytes, shift_s: float) -> float:
        """Write the next samples, their times moved by `shift_s`; when the first was due."""
        table = self._received(data, SAMPLES, number, self.count)
        if set(pc.unique(table["op"]).to_pylist()) - set(self._operations):
            raise LoadError(f"part {number} of its record is of another run")
        moved = {name: _moved(table, name, shift_s) for name in table.column_names}
        with recorded(self._samples):
            write_samples(self._samples, self._stream, number, moved)
        due_s = pc.min_max(moved["intended_s"]).as_py()
        self.count += 1
        self.rows += table.num_rows
        self.last_due_s = max(self.last_due_s, due_s["max"] or 0.0)
        return float(due_s["min"] or 0.0)

    def add_tokens(self, number: int, data: bytes) -> None:
        """Write the next tokens of acknowledged writes."""
        table = self._received(data, TOKENS, number, self.tokens)
        numbers, texts = (table[name].to_pylist() for name in TOKENS.names)
        with recorded(self._samples):
            write_tokens(self._samples, self._stream, number, [*zip(numbers, texts, strict=True)])
        self.tokens += 1

    def add_traced(self, number: int, data: bytes, shift_s: float) -> None:
        """Write the next requests that were sampled or failed, their times moved by `shift_s`."""
        table = self._received(data, TRACED, number, self.traced)
        columns = (_moved(table, name, shift_s).to_pylist() for name in TRACED.names)
        with recorded(self._samples):
            write_traced(self._samples, self._stream, number, [*zip(*columns, strict=True)])
        self.traced += 1

    def add_examples(self, text: str, shift_s: float) -> None:
        """Write the wrong answers that it kept, "" for none; ValueError or TypeError if they are
        something else."""
        if len(text) > EXAMPLES_MAX:
            raise LoadError(f"its examples have {len(text):,} letters")
        found = examples_in(text) if text else []
        moved = [replace(example, at_s=example.at_s + shift_s) for example in found]
        write_examples(self._samples, self._stream, moved)

    def _received(self, data: bytes, schema: pa.Schema, number: int, expected: int) -> pa.Table:
        if number != expected:
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
