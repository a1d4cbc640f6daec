"""The tables of a run as Parquet: which columns they have, and how they are read and written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import RunFolderError
from harness.record.damage import DAMAGED, understood
from harness.whole_file import recorded

SAMPLES = pa.schema(
    [
        ("op", pa.dictionary(pa.int8(), pa.string())),
        ("key", pa.int64()),  # index drawn from the keys, or the number of the write's token
        ("intended_s", pa.float64()),  # when the request was due, seconds since run start
        ("sent_s", pa.float64()),  # when it was handed to the socket; NaN: dropped
        ("done_s", pa.float64()),  # when the whole answer was there, or the error; NaN: dropped
        ("status", pa.int16()),  # HTTP status, 0 where there was none
        ("ok", pa.bool_()),  # expected status and content, within the operation's limit
        ("error", pa.dictionary(pa.int8(), pa.string())),  # class of the error, "" for a success
        ("bytes", pa.int32()),
        ("served_by", pa.dictionary(pa.int8(), pa.string())),  # X-Served-By, "" if absent
        ("cache", pa.dictionary(pa.int8(), pa.string())),  # X-Cache: edge local redis db or ""
        ("db_node", pa.dictionary(pa.int8(), pa.string())),  # X-Db-Node or ""
        ("write", pa.dictionary(pa.int8(), pa.string())),  # ok, failed or unknown; "" for a read
    ]
)
"""One row per arrival of any stream. Error classes: dropped, refused, reset, closed, timeout,
connect_timeout, tls, bad_response, wrong_status, wrong_content, too_long, too_slow, unresolved,
no_descriptors, unfinished."""

WRITES = pa.schema(
    [
        ("node", pa.string()),  # the database node that was asked
        ("stream", pa.string()),  # m (main) or c (canary)
        ("n", pa.int64()),  # the number in the write's token, the sample's `key`
        ("rows", pa.int32()),  # how many rows carry the token; more than 1 is a duplicate
    ]
)
"""What was found when the acknowledged writes were looked up: one row per node and token. -1 rows:
it was not looked up, which is no evidence that it is not there."""
NOT_LOOKED_UP = -1

TOKENS = pa.schema(
    [
        ("n", pa.int64()),  # the number of the write, the sample's `key`
        ("token", pa.string()),
    ]
)
"""By what acknowledged writes are read back, where their answers say it."""
TOKENS_PREFIX = "tokens-"

TRACED = pa.schema(
    [
        ("n", pa.int64()),  # the number of the request: its trace id, see model/trace.py
        ("op", pa.string()),
        ("intended_s", pa.float64()),  # as in SAMPLES, like all that follows
        ("done_s", pa.float64()),
        ("status", pa.int16()),
        ("error", pa.string()),
        ("served_by", pa.string()),
        ("is_sampled", pa.bool_()),  # whether it asked the target to be traced
    ]
)
"""The requests whose trace can be asked for: all that were sampled, and all that failed."""
TRACED_PREFIX = "traced-"
Traced = tuple[int, str, float, float, int, str, str, bool]
"""One row of it."""

CLICKS = pa.schema(
    [
        ("code", pa.string()),
        ("clicks", pa.int64()),  # how many more than before the run
    ]
)
"""What the table of click counts gained during the run; codes that gained nothing are left out."""

METRICS = pa.schema(
    [
        ("series", pa.dictionary(pa.int16(), pa.string())),  # its name; `signal QUERY` of a rule
        ("labels", pa.dictionary(pa.int16(), pa.string())),  # a JSON object, its keys sorted
        ("t_s", pa.float64()),  # seconds since run start, by the wall clock
        ("value", pa.float64()),  # finite; what was not a number is left out
    ]
)
"""What the target's own monitoring has seen, each `step_s` of metrics.json."""

_PARQUET = {"compression": "zstd", "write_page_checksum": True}
_REPEATING = [field.name for field in SAMPLES if field.type not in (pa.float64(), pa.int64())]


def part_name(stream: str, worker: int, workers: int) -> str:
    """The start of the name of each part that one worker of a stream recorded."""
    return stream if workers == 1 else f"{stream}-w{worker}"


def write_samples(
    folder: Path, stream: str, part: int, rows: Mapping[str, Iterable[Any] | pa.Array]
) -> Path:
    """Write one Parquet part of `stream` (columns as in SAMPLES), whole or not at all."""
    arrays = [_array(rows[field.name]).cast(field.type) for field in SAMPLES]
    table = pa.Table.from_arrays(arrays, schema=SAMPLES)
    return _write_part(folder, stream, part, table, use_dictionary=_REPEATING)


def write_tokens(folder: Path, stream: str, part: int, tokens: Sequence[tuple[int, str]]) -> None:
    """Write one part of what the acknowledged writes of a stream returned, whole or not at all."""
    _write_part(folder, f"{TOKENS_PREFIX}{stream}", part, _of_rows(tokens, TOKENS))


def write_traced(folder: Path, stream: str, part: int, rows: Sequence[Traced]) -> None:
    """Write one part of the requests of a stream whose traces can be asked for, whole or not."""
    _write_part(folder, f"{TRACED_PREFIX}{stream}", part, _of_rows(rows, TRACED))


def _write_part(folder: Path, stream: str, part: int, table: pa.Table, **options: Any) -> Path:
    target = folder / f"{stream}-{part:05d}.parquet"
    temporary = folder / f".{target.name}.part"
    pq.write_table(table, temporary, **options, **_PARQUET)
    temporary.replace(target)
    return target


def _of_rows(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    arrays = [pa.array(each) for each in zip(*rows, strict=True)]
    return pa.table(arrays, names=schema.names).cast(schema)


def _array(values: Iterable[Any] | pa.Array) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values)


def write_table(path: Path, schema: pa.Schema, rows: Mapping[str, Any]) -> None:
    """Write one table whose rows are given by columns; RecordError if it cannot be."""
    arrays = [pa.array(rows[field.name]).cast(field.type) for field in schema]
    with recorded(path):
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, **_PARQUET)


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """One table, all of it or some `columns`; RunFolderError if it is not whole, or another one."""
    with understood(path, DAMAGED):
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                names = file.schema_arrow.names
                if names != schema.names:
                    raise ValueError(f"its columns are {', '.join(names)}")
                table = file.read(columns=columns)
            table.validate(full=True)
        except pa.ArrowException as error:
            raise RunFolderError(f"{path}: not a whole Parquet file", DAMAGED) from error
        wanted = columns or schema.names
        return table.select(wanted).cast(pa.schema([schema.field(name) for name in wanted]))


def read_replay(path: Path) -> pa.Table:
    """What load/replay.py wrote: `intended_s` (rising) and `op`, the place in the mix."""
    with understood(path, DAMAGED):
        return pq.read_table(path, columns=["intended_s", "op"])


def refuse_gaps(parts: Sequence[Path]) -> None:
    """RunFolderError if a part is missing: what it held would be taken for never sent."""
    following: dict[str, int] = {}
    for part in parts:
        name, _, number = part.stem.rpartition("-")
        expected = following.get(name, 0)
        if not re.fullmatch(r"\d{5,}", number) or int(number) != expected:
            missing = part.with_name(f"{name}-{expected:05d}.parquet")
            raise RunFolderError(f"{missing}: missing, though later parts are there", DAMAGED)
        following[name] = expected + 1
