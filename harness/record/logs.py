"""The logs of a run: `logs/PART.jsonl.gz`, a JSON object a line; about.json says what was cut.

    {"t_s": 41.204, "time": "2026-11-28T12:00:41.204Z", "level": "error", "part": "app-2",
     "message": "redis: timeout", "trace_id": "...", "fields": {...}}

`t_s` comes first: a reader who wants a few seconds of a run need not understand the other lines.
"""

from __future__ import annotations

import gzip
import heapq
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

from harness.errors import RunFolderError
from harness.model.log_line import LEVELS, LogLine
from harness.record.damage import DAMAGED, lacking, understood
from harness.record.folder import RunFolder
from harness.whole_file import recorded

FOLDER, ABOUT, SUFFIX = "logs", "logs/about.json", ".jsonl.gz"
_LEVEL = 3  # of gzip: 6 takes three times as long for a tenth less
_START = '{"t_s": '
_FACTS = {"t_s": float, "time": str, "level": str, "part": str, "message": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a part logged between two times and is not kept, because it was too much."""

    from_s: float
    to_s: float
    lines: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLogs:
    """What is kept of one part, before compression; `problem` says why it is not all, or none."""

    part: str
    lines: int = 0
    bytes: int = 0
    cut: Sequence[Cut] = ()
    problem: str = ""

    @property
    def lacks(self) -> list[str]:
        """In words, what of this part is not in the record."""
        texts = [f"{self.part}: {self.problem}"] if self.problem else []
        if self.cut:
            span = f"between {self.cut[0].from_s:.1f} s and {self.cut[-1].to_s:.1f} s"
            count = sum(cut.lines for cut in self.cut)
            times = f"{len(self.cut)} times " if len(self.cut) > 1 else ""
            texts.append(f"{self.part}: {count:,} lines cut {times}{span}: too many")
        return texts


@contextmanager
def writing(folder: RunFolder, part: str) -> Iterator[LogWriter]:
    """Write the lines of a part, all or none of them; RecordError if the disk is full."""
    path = _made(folder) / f"{part}{SUFFIX}"
    temporary = path.with_name(f".{path.name}.part")
    with recorded(path):
        try:
            with gzip.GzipFile(temporary, "wb", compresslevel=_LEVEL, mtime=0) as file:
                yield LogWriter(file)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _made(folder: RunFolder) -> Path:
    path = folder.path / FOLDER
    with recorded(path):
        path.mkdir(exist_ok=True)
    return path


class LogWriter:
    """Appends lines, and counts them."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.lines = self.bytes = 0

    def write(self, data: bytes) -> None:
        """One line, made by `as_json`; OSError if the disk is full."""
        self._file.write(data)
        self.lines += 1
        self.bytes += len(data)


def as_json(line: LogLine) -> bytes:
    """The line of the file."""
    value = {"t_s": round(line.t_s, 6), "time": line.time, "level": line.level, "part": line.part}
    value["message"] = line.message
    if line.trace:
        value["trace_id"] = line.trace
    if line.fields:
        value["fields"] = line.fields
    # Half a surrogate pair, which JSON can spell, is no text that can be printed.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def write_about(folder: RunFolder, parts: Sequence[PartLogs], problem: str = "") -> None:
    """Say what is kept; `problem` says why nothing is, "" if that is not so."""
    _made(folder)
    value = {"schema_version": 1, "problem": problem, "parts": [asdict(part) for part in parts]}
    folder.write_json(ABOUT, value)


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of a run, to be read; `problem` says why there are none."""

    folder: RunFolder
    parts: Sequence[PartLogs]
    problem: str = ""

    @property
    def names(self) -> list[str]:
        """The parts of which anything is kept, sorted."""
        return sorted(part.part for part in self.parts if part.lines)

    @property
    def lacks(self) -> list[str]:
        """In words, what is not in the record, the parts in order of their names."""
        of_parts = [text for part in self.parts for text in part.lacks]
        return [*([self.problem] if self.problem else []), *of_parts]

    def lines(
        self, parts: Iterable[str], from_s: float = -math.inf, to_s: float = math.inf
    ) -> Iterator[LogLine]:
        """The lines of these parts between two times, merged in order of time.

        Read as they are asked for; RunFolderError where a file turns out to be damaged.
        """
        return heapq.merge(
            *(self._of_part(part, from_s, to_s) for part in parts), key=attrgetter("t_s")
        )

    def _of_part(self, part: str, from_s: float, to_s: float) -> Iterator[LogLine]:
        path = self.folder.path / FOLDER / f"{part}{SUFFIX}"
        with understood(path, DAMAGED), _opened(path) as file:
            for text in file:
                if _is_within(text, from_s, to_s):
                    yield _line(text)


def read_logs(folder: RunFolder) -> Logs | None:
    """What is kept; None for a run of which no logs were kept, as of earlier versions."""
    if not folder.has(ABOUT):
        return None
    value = folder.read_json(ABOUT, {"schema_version": int, "parts": list})
    with understood(folder.path / ABOUT, DAMAGED):
        parts = [_part(row) for row in value["parts"]]
    return Logs(folder, parts, str(value.get("problem") or ""))


def kept_logs(folder: RunFolder) -> Logs:
    """Its logs; RunFolderError if there are none."""
    logs = read_logs(folder)
    if logs is None:
        raise RunFolderError(
            f"{folder.path}: no logs were kept: an earlier version made it, or it never started",
            "run the experiment again",
        )
    if not logs.names:
        why = "; ".join(logs.lacks) or "no container logged anything"
        raise RunFolderError(f"{folder.path}: it has no logs: {why}", "harness doctor")
    return logs


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """The text of a file; EOFError and the like of one that is damaged is a ValueError."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"not a whole gzip file: {error}") from error


def _is_within(text: str, from_s: float, to_s: float) -> bool:
    """Whether a line of the file is of this time."""
    if from_s == -math.inf and to_s == math.inf:
        return True
    if not text.startswith(_START):
        raise ValueError(f"not a line of a log: {text[:40]!r}")
    return from_s <= float(text[len(_START) : text.index(",")]) <= to_s


def _line(text: str) -> LogLine:
    row = json.loads(text)
    if not isinstance(row, dict) or (wrong := lacking(row, _FACTS)):
        raise ValueError(wrong if isinstance(row, dict) else "not an object")
    if row["level"] not in LEVELS:
        raise ValueError(f"no level: {row['level']}")
    return LogLine(
        **{name: row[name] for name in _FACTS},
        trace=str(row.get("trace_id") or ""),
        fields=row.get("fields") or {},
    )


def _part(row: Any) -> PartLogs:
    cut = tuple(Cut(**each) for each in row["cut"])
    return PartLogs(**{**row, "cut": cut})
