"""The layout of one run folder, and the tables in it. The only module that knows a file's name.

reports/<run-id>/
  experiment.yaml     the file as it was run            written by: run
  plan.json           steps, faults, seed                           run
  environment.json    allow-listed facts of machine and target      run
  events.jsonl        one event a line, in order of time            run
  samples/*.parquet   one row per request: main-*.parquet (load), canary-*.parquet
  load/               what the generators were told and said        run
  target/*.json       what the target was asked after the run (writes, clicks, settings)
  findings.json       every figure                                  analyze
  result.json         the verdict and the figures scripts rely on   judge
  junit.xml summary.md                                              judge
  index.html                                                        report
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import RecordError, RunFolderError
from harness.model.experiment import Experiment
from harness.model.plan_json import experiment_from_json
from harness.whole_file import recorded, write_whole

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
connect_timeout, tls, bad_response, wrong_status, wrong_content, too_slow, unresolved,
no_descriptors, unfinished."""

WRITES = pa.schema(
    [
        ("node", pa.string()),  # the database node that was asked
        ("stream", pa.string()),  # m (main) or c (canary)
        ("n", pa.int64()),  # the number in the write's token, the sample's `key`
        ("rows", pa.int32()),  # how many rows carry the token; more than 1 is a duplicate
    ]
)
"""What was found when the acknowledged writes were looked up: one row per node and token."""

CLICKS = pa.schema(
    [
        ("code", pa.string()),
        ("clicks", pa.int64()),  # how many more than before the run
    ]
)
"""What the table of click counts gained during the run; codes that gained nothing are left out."""


LOOK = (
    *("duration_s", "cpus", "project_s", "harness_s", "engine_s", "kernel_s", "foreign_s"),
    *("steal_s", "idle_s"),
)
"""The numbers of a `machine.second`; see model/machine.py. `who` has [name, CPU seconds]."""

EVENTS: Mapping[str, Mapping[str, type]] = {
    "run.clock": {"wall_s": float},  # both clocks at one moment, each second
    "run.finished": {"status": str},
    "target.check": {"when": str, "healthy": bool},  # when: before, after
    "fault.injecting": {"fault": str, "kind": str, "target": str, "resolved": dict},
    "fault.active": {"fault": str, "start_s": float},
    "fault.unproven": {"fault": str, "start_s": float},
    "fault.lost": {"fault": str, "lost_s": float, "detail": str},  # over before its healing
    "fault.held": {"fault": str, "held_s": float},  # there at the last look before its healing
    "fault.healing": {"fault": str},
    "fault.healed": {"fault": str, "healed_s": float},
    "container.start": {"service": str},
    "target.rejoined": {"service": str},
    "target.parts": {"parts": list},
    "target.links": {"links": dict},
    "lb.retries": {"lb": str, "backend": str, "server": str, "retries": int, "redispatches": int},
    "link.traffic": {"link": str},
    "clicks.waiting": {"server": str, "waiting": int, "dropped": int},
    "container.die": {"service": str},
    "container.oom": {"service": str},
    "lb.server": {"lb": str, "backend": str, "server": str, "status": str},
    "breaker.state": {"server": str, "breaker": str, "state": str},
    "breaker.transition": {"server": str, "breaker": str, "from": str, "to": str},
    "load.summary": {"cpu_s": float, "duration_s": float},
    "machine.second": {**dict.fromkeys(LOOK, float), "who": list},
}
"""The facts that an event must have to be understood (float: any number). Every event has `t_s`,
seconds since run start, and `event`, its name; other names and facts are kept as they are."""

FINDINGS: Mapping[str, type] = {
    "schema_version": int,
    **dict.fromkeys(("run_id", "status"), str),
    **dict.fromkeys(("faults", "rotation"), list),
    **dict.fromkeys(("phases", "load", "operations", "recovery", "writes", "breakers"), dict),
    **dict.fromkeys(("traffic_share", "replica_share", "cache_share", "target"), dict),
}
"""What findings.json must have to be judged."""


class RunFolder:
    """One run folder; nothing is created before the first write.

    What cannot be written is a RecordError, what cannot be read or understood a RunFolderError.
    """

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
        """Make the folder; RecordError if a run with this id was written before."""
        with recorded(self.path):
            self.samples_dir.mkdir(parents=True)
            (self.path / "target").mkdir()

    def write_text(self, name: str, text: str) -> None:
        """Write one file whole or not at all."""
        write_whole(self.path / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` as sorted, indented JSON: the same value gives the same bytes."""
        self.write_text(name, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")

    def read_text(self, name: str) -> str:
        """The text of one file; the error says which stage would have written it."""
        with _understood(self.path / name, _stage_hint(name, self.path)):
            return (self.path / name).read_text(encoding="utf-8")

    def read_json(self, name: str, needed: Mapping[str, type] | None = None) -> dict[str, Any]:
        """The object in one JSON file, which has at least the values that are `needed`."""
        path, hint = self.path / name, _stage_hint(name, self.path)
        text = self.read_text(name)
        with _understood(path, hint):
            value = json.loads(text)
        if not isinstance(value, dict):
            raise RunFolderError(f"{path}: not a JSON object", hint)
        if wrong := _lacking(value, needed or {}):
            raise RunFolderError(f"{path}: {wrong}; was it written by another version?", hint)
        return value

    def read_experiment(self) -> Experiment:
        """The experiment that was run, out of plan.json."""
        value = self.read_json("plan.json", {"experiment": dict, "plan": dict})
        with _understood(self.path / "plan.json", DAMAGED):
            return experiment_from_json(value)

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self.path / name).exists()

    def read_events(self) -> list[dict[str, Any]]:
        """All events in order; a last line that was cut off is left out, any other must be whole.

        See EVENTS for what they hold.
        """
        *lines, cut = self.read_text("events.jsonl").split("\n")
        if _is_json(cut):
            lines.append(cut)
        return [self._event(number, line) for number, line in enumerate(lines, 1) if line.strip()]

    def _event(self, number: int, line: str) -> dict[str, Any]:
        where = f"{self.path / 'events.jsonl'}: line {number}"
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RunFolderError(f"{where}: not JSON: {error}", DAMAGED) from error
        if wrong := _wrong_event(event):
            raise RunFolderError(f"{where}: not an event: {wrong}", DAMAGED)
        assert isinstance(event, dict)
        return event

    def sample_parts(self, stream: str) -> list[Path]:
        """The Parquet parts of a stream (`main` or `canary`) in the order they were written."""
        parts = sorted(self.samples_dir.glob(f"{stream}-*.parquet"))
        _refuse_gaps(parts)
        return parts

    def read_samples(self, stream: str, columns: list[str] | None = None) -> pa.Table:
        """All samples of a stream, or only some `columns` of them; empty if there are none."""
        tables = [_read_table(part, SAMPLES, columns) for part in self.sample_parts(stream)]
        if not tables:
            return SAMPLES.empty_table().select(columns or SAMPLES.names)
        return pa.concat_tables(tables).unify_dictionaries()

    def read_replay(self) -> pa.Table | None:
        """What was planned to be sent again: `intended_s` (rising) and `op`, the place in the mix.

        None for a run that replayed none, or whose plan of it is gone.
        """
        path = self.path / "load" / "replay.parquet"
        if not path.exists():
            return None
        with _understood(path, DAMAGED):
            return pq.read_table(path, columns=["intended_s", "op"])

    def read_writes(self) -> pa.Table:
        """What the read-back found (columns: WRITES)."""
        return _read_table(self.path / "target" / "writes.parquet", WRITES)

    def read_clicks(self) -> pa.Table:
        """What the click counts gained (columns: CLICKS)."""
        return _read_table(self.path / "target" / "clicks.parquet", CLICKS)


class EventLog:
    """Appends events to `events.jsonl`, each handed to the operating system at once.

    An event is written whole or not at all: where the disk is full, what fitted is taken back.
    A watchdog may write to it too, while the runner stands still.
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


_PARQUET = {"compression": "zstd", "write_page_checksum": True}
_REPEATING = [field.name for field in SAMPLES if field.type not in (pa.float64(), pa.int64())]


def write_samples(
    folder: Path, stream: str, part: int, rows: Mapping[str, Iterable[Any] | pa.Array]
) -> Path:
    """Write one Parquet part of `stream` (columns as in SAMPLES), whole or not at all."""
    arrays = [_array(rows[field.name]).cast(field.type) for field in SAMPLES]
    target = folder / f"{stream}-{part:05d}.parquet"
    temporary = folder / f".{target.name}.part"
    table = pa.Table.from_arrays(arrays, schema=SAMPLES)
    pq.write_table(table, temporary, use_dictionary=_REPEATING, **_PARQUET)
    temporary.replace(target)
    return target


def _array(values: Iterable[Any] | pa.Array) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values)


def write_readback(folder: RunFolder, nodes: Mapping[str, Any], rows: Mapping[str, Any]) -> None:
    """Write `target/writes.parquet` (columns: WRITES), and the nodes to `target/writes.json`."""
    _write_table(folder.path / "target" / "writes.parquet", WRITES, rows)
    facts = {"nodes": nodes, "rows_file": "target/writes.parquet"}
    folder.write_json("target/writes.json", facts)


def write_clicks(folder: RunFolder, facts: Mapping[str, Any], gained: Mapping[str, int]) -> None:
    """Write `target/clicks.parquet` (columns: CLICKS), and the facts to `target/clicks.json`."""
    rows = {"code": list(gained), "clicks": list(gained.values())}
    _write_table(folder.path / "target" / "clicks.parquet", CLICKS, rows)
    folder.write_json("target/clicks.json", {**facts, "rows_file": "target/clicks.parquet"})


def write_settings(folder: RunFolder, readings: Mapping[str, Any]) -> None:
    """Write what was read of the target's settings, by when (before, after; None: not read)."""
    folder.write_json("target/settings.json", readings)


def _write_table(path: Path, schema: pa.Schema, rows: Mapping[str, Any]) -> None:
    arrays = [pa.array(rows[field.name]).cast(field.type) for field in schema]
    with recorded(path):
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, **_PARQUET)


def new_folder(reports: Path, name: str) -> Path:
    """A folder named by time and `name` that is not there yet."""
    stem = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{name}"
    path, number = reports / stem, 2
    while path.exists():
        path, number = reports / f"{stem}-{number}", number + 1
    return path


def run_folders(reports: Path) -> Iterator[RunFolder]:
    """All run folders below `reports`, newest first by their id."""
    for path in sorted(reports.glob("*/events.jsonl"), reverse=True):
        if not path.parent.is_symlink():
            yield RunFolder(path.parent)


NUMBER_MAX = 1e300
DAMAGED = "copy the run folder again, or run the experiment again"


@contextmanager
def _understood(path: Path, hint: str) -> Iterator[None]:
    """What goes wrong while `path` is read or understood is a RunFolderError."""
    try:
        yield
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else str(error)
        raise RunFolderError(f"{path}: {what}", hint) from error
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path}: not JSON: {error}", hint) from error
    except (ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunFolderError(f"{path}: cannot be understood: {text}", hint) from error


def _read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    with _understood(path, DAMAGED):
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


def _refuse_gaps(parts: list[Path]) -> None:
    """RunFolderError if a part is missing: what it held would be taken for never sent."""
    following: dict[str, int] = {}
    for part in parts:
        name, _, number = part.stem.rpartition("-")
        expected = following.get(name, 0)
        if not re.fullmatch(r"\d{5,}", number) or int(number) != expected:
            missing = part.with_name(f"{name}-{expected:05d}.parquet")
            raise RunFolderError(f"{missing}: missing, though later parts are there", DAMAGED)
        following[name] = expected + 1


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _wrong_event(event: Any) -> str:
    """Why it is not an event, "" if it is one."""
    if not isinstance(event, dict):
        return "no object"
    needed = {"t_s": float, "event": str}
    return _lacking(event, needed) or _lacking(event, EVENTS.get(event["event"], {}))


def _lacking(value: Mapping[str, Any], needed: Mapping[str, type]) -> str:
    """Which needed value is missing or of another type, "" if none is."""
    wrong = [name for name, kind in needed.items() if not _is_a(value.get(name), kind)]
    return f"no {wrong[0]} in it, or a wrong one" if wrong else ""


def _is_a(value: Any, kind: type) -> bool:
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) < NUMBER_MAX  # not NaN or infinity
    return isinstance(value, kind)


def _stage_hint(name: str, path: Path) -> str:
    stages = {"findings.json": "analyze", "result.json": "judge", "index.html": "report"}
    return f"harness {stages[name]} {path}" if name in stages else DAMAGED
