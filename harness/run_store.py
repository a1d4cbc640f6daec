"""The layout of one run folder, and the tables in it. The only module that knows a file's name.

reports/<run-id>/
  experiment.yaml     the file as it was run            written by: run
  plan.json           steps, faults, seed                           run
  environment.json    allow-listed facts of machine and target      run
  events.jsonl        one event a line, in order of time            run
  samples/*.parquet   one row per request: main-*.parquet (load), canary-*.parquet
  target/*.json       what the target was asked after the run (writes.json, history.json)
  findings.json       every figure                                  analyze
  result.json         the verdict and the figures scripts rely on   judge
  junit.xml summary.md                                              judge
  index.html                                                        report
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import RunFolderError

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
bad_response, wrong_status, wrong_content, too_slow, unresolved, no_descriptors, unfinished."""

WRITES = pa.schema(
    [
        ("node", pa.string()),  # the database node that was asked
        ("stream", pa.string()),  # m (main) or c (canary)
        ("n", pa.int64()),  # the number in the write's token, the sample's `key`
        ("rows", pa.int32()),  # how many rows carry the token; more than 1 is a duplicate
    ]
)
"""What was found when the acknowledged writes were looked up: one row per node and token."""


class RunFolder:
    """One run folder; nothing is created before the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def samples_dir(self) -> Path:
        """Where the engines write their Parquet parts."""
        return self.path / "samples"

    def create(self) -> None:
        """Make the folder; FileExistsError if a run with this id was written before."""
        self.samples_dir.mkdir(parents=True)
        (self.path / "target").mkdir()

    def write_text(self, name: str, text: str) -> None:
        """Write one file whole or not at all."""
        target = self.path / name
        temporary = target.with_name(f".{target.name}.part")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` as sorted, indented JSON: the same value gives the same bytes."""
        self.write_text(name, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")

    def read_text(self, name: str) -> str:
        """The text of one file; RunFolderError says which stage would have written it."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except OSError as error:
            raise RunFolderError(
                f"{self.path / name}: {error.strerror}", _stage_hint(name, self.path)
            ) from error

    def read_json(self, name: str) -> Any:
        """The value in one JSON file."""
        try:
            return json.loads(self.read_text(name))
        except json.JSONDecodeError as error:
            raise RunFolderError(f"{self.path / name}: not JSON, {error}") from error

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self.path / name).exists()

    def read_events(self) -> list[dict[str, Any]]:
        """All events in order; a last line that was cut off is left out."""
        events = []
        for line in self.read_text("events.jsonl").splitlines():
            try:
                events.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return events

    def sample_parts(self, stream: str) -> list[Path]:
        """The Parquet parts of a stream (`main` or `canary`) in the order they were written."""
        return sorted(self.samples_dir.glob(f"{stream}-*.parquet"))

    def read_samples(self, stream: str, columns: list[str] | None = None) -> pa.Table:
        """All samples of a stream; an empty table if there are none."""
        parts = [pq.read_table(part, columns=columns) for part in self.sample_parts(stream)]
        if not parts:
            empty = SAMPLES.empty_table()
            return empty.select(columns) if columns else empty
        return pa.concat_tables(parts).unify_dictionaries()

    def read_writes(self) -> pa.Table:
        """What the read-back found (columns: WRITES)."""
        try:
            return pq.read_table(self.path / "target" / "writes.parquet")
        except (OSError, pa.ArrowException) as error:
            raise RunFolderError(f"{self.path}/target/writes.parquet: {error}") from error


class EventLog:
    """Appends events to `events.jsonl`, each flushed to the file system at once."""

    def __init__(self, folder: RunFolder) -> None:
        self._file = (folder.path / "events.jsonl").open("a", encoding="utf-8")

    def write(self, at_s: float, event: str, **facts: Any) -> None:
        """Write one event at `at_s` seconds since run start."""
        line = {"t_s": round(at_s, 6), "event": event, **facts}
        self._file.write(json.dumps(line, default=str) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Flush to the disk and close; calling it twice is harmless."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()


def write_samples(folder: Path, stream: str, part: int, rows: Mapping[str, Iterable[Any]]) -> Path:
    """Write one Parquet part of `stream` (columns as in SAMPLES), whole or not at all."""
    arrays = [pa.array(rows[field.name]).cast(field.type) for field in SAMPLES]
    target = folder / f"{stream}-{part:05d}.parquet"
    temporary = folder / f".{target.name}.part"
    pq.write_table(pa.Table.from_arrays(arrays, schema=SAMPLES), temporary, compression="zstd")
    temporary.replace(target)
    return target


def write_readback(folder: RunFolder, nodes: Mapping[str, Any], rows: Mapping[str, Any]) -> None:
    """Write `target/writes.parquet` (columns: WRITES), and the nodes to `target/writes.json`."""
    arrays = [pa.array(rows[field.name]).cast(field.type) for field in WRITES]
    target = folder.path / "target" / "writes.parquet"
    pq.write_table(pa.Table.from_arrays(arrays, schema=WRITES), target, compression="zstd")
    facts = {"nodes": nodes, "rows_file": "target/writes.parquet"}
    folder.write_json("target/writes.json", facts)


def run_folders(reports: Path) -> Iterator[RunFolder]:
    """All run folders below `reports`, newest first by their id."""
    for path in sorted(reports.glob("*/events.jsonl"), reverse=True):
        if not path.parent.is_symlink():
            yield RunFolder(path.parent)


def _stage_hint(name: str, path: Path) -> str:
    stages = {"findings.json": "analyze", "result.json": "judge", "index.html": "report"}
    return f"harness {stages[name]} {path}" if name in stages else "is this a run folder?"
