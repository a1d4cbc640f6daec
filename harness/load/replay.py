"""Arrivals of a recorded run, for the engine to send again: same times, operations and keys.

samples of the run --write_replay--> one sorted file --replayed--> chunks for a Schedule
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import LoadError
from harness.load.engine.schedule import CHUNK, Chunk
from harness.record.folder import RunFolder

Array = np.ndarray[Any, Any]
ROW_GROUP = 16_384


def write_replay(folder: RunFolder, operations: Sequence[str], path: Path) -> None:
    """Write the arrivals of the run's main load, in order of their due times.

    LoadError if the run sent none, or an operation that is not in `operations`.
    """
    table = folder.read_samples("main", ["intended_s", "op", "key"])
    if not table.num_rows:
        raise LoadError(f"{folder.path}: there is no main load in it to replay")
    names = table["op"].unique().to_pylist()
    if unknown := sorted(set(names) - set(operations)):
        raise LoadError(
            f"{folder.path}: it sent {', '.join(unknown)}, which is not in load.mix",
            f"known there: {', '.join(operations)}",
        )
    codes: Mapping[str, int] = {name: index for index, name in enumerate(operations)}
    op = pa.array([codes[name] for name in table["op"].to_pylist()], pa.int8())
    table = table.set_column(table.schema.get_field_index("op"), "op", op)
    pq.write_table(table.sort_by("intended_s"), path, row_group_size=ROW_GROUP)


def replayed(path: Path, draws_key: Sequence[bool]) -> Iterator[Chunk]:
    """Chunks for a Schedule, whose units are the recorded seconds: rate 1 is the recorded pace.

    A request that draws no key gets a number of its own, so that a write is made anew.
    """
    is_drawing = np.asarray(draws_key)
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=CHUNK):
            op = batch.column("op").to_numpy()
            key = batch.column("key").to_numpy().copy()
            numbers = np.arange(number, number + len(op))
            number += len(op)
            key[~is_drawing[op]] = numbers[~is_drawing[op]]
            yield batch.column("intended_s").to_numpy(), op.tolist(), key.tolist()
