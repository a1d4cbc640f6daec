"""A CSV file of values for requests: read whole, within bounds, once for each engine."""

from __future__ import annotations

import csv
import hashlib
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import cycle, islice
from pathlib import Path

from harness.errors import LoadError
from harness.model.load import Data

BYTES_MAX, ROWS_MAX = 10 * 2**20, 100_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Table:
    """The columns by name and the rows of a file; `sha256` of its bytes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[bytes, ...], ...]
    sha256: str


def read_table(path: Path) -> Table:
    """What is in the file; ValueError says in which line it is wrong, or that it is too much."""
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if len(data) > BYTES_MAX:
        raise ValueError(f"{path}: larger than {BYTES_MAX // 2**20} MiB; keep the rows you need")
    try:
        lines = StringIO(data.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}: line {line}: not UTF-8; save the file as UTF-8") from error
    columns, *rows = _rows(path, lines) or [()]
    if not rows:
        raise ValueError(f"{path}: no rows; write the names of the columns, then one row a line")
    return Table(columns, tuple(tuple(cell.encode() for cell in row) for row in rows),
                 hashlib.sha256(data).hexdigest())  # fmt: skip


def rows_of(
    data: Data, path: Path, seed: int, first: int, step: int
) -> Iterator[tuple[bytes, ...]]:
    """Rows without end, `first` and every `step`-th after it; LoadError if the file has changed."""
    try:
        table = read_table(path)
    except ValueError as error:
        raise LoadError(
            str(error), "put back what was there when the experiment was read"
        ) from error
    if data.sha256 and table.sha256 != data.sha256:
        raise LoadError(f"{path} was changed since the experiment was read", "run it again")
    rows = list(table.rows)
    if data.order == "shuffled":
        random.Random(seed).shuffle(rows)
    return islice(cycle(rows), first, None, step)


def _rows(path: Path, lines: Iterable[str]) -> list[tuple[str, ...]]:
    """The rows that are not empty, names of columns first; all as long as these."""
    found: list[tuple[str, ...]] = []
    reader = csv.reader(lines, strict=True)
    try:
        for row in filter(None, reader):
            where = f"{path}: line {reader.line_num}"
            if len(found) > ROWS_MAX:
                raise ValueError(f"{where}: more than {ROWS_MAX:,} rows; keep those you need")
            if found and len(row) != len(found[0]):
                raise ValueError(f"{where}: {len(row)} values, but {len(found[0])} columns")
            if any(_CONTROL.search(cell) for cell in row):
                raise ValueError(f"{where}: a line break or another control character in a value")
            found.append(tuple(row))
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num}: {error}") from error
    if found and len(set(found[0])) < len(found[0]):
        raise ValueError(f"{path}: line 1: two columns have the same name")
    return found
