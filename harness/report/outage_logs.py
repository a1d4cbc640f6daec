"""What the target's parts logged when an outage began: the first errors of each, from files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.aspects.recovery.stretches import Stretch
from harness.model.log_line import LogLine, is_at_least
from harness.model.text import shortened
from harness.record.folder import RunFolder
from harness.record.logs import Logs, read_logs

BEFORE_S, AFTER_S = 2.0, 10.0
"""A cause may be logged before the first request fails; later errors are the outage's own."""
OUTAGES_MAX, PARTS_MAX, LINES_MAX = 5, 12, 3
TEXT_MAX = 300


@dataclass(frozen=True, slots=True)
class PartErrors:
    """The first lines of one part, and how many followed within the same seconds."""

    part: str
    lines: tuple[LogLine, ...]
    more: int


@dataclass(frozen=True, slots=True)
class OutageLogs:
    """`level` is the least of the lines: `warning` where no part logged an error.

    The part that was first is the first of `parts`; `others` had something to say too.
    """

    outage: Stretch
    level: str
    parts: tuple[PartErrors, ...]
    others: int = 0


def outage_logs(folder: RunFolder, outages: Sequence[Stretch]) -> list[OutageLogs]:
    """For the first outages what was logged around their beginning; [] without logs."""
    logs = read_logs(folder) if outages else None
    if logs is None or not logs.names:
        return []
    return [_around(logs, outage) for outage in outages[:OUTAGES_MAX]]


def _around(logs: Logs, outage: Stretch) -> OutageLogs:
    span = (outage.start_s - BEFORE_S, outage.start_s + AFTER_S)
    level, parts = "error", list(_errors(logs.lines(logs.names, *span), "error"))
    if not parts:
        level, parts = "warning", list(_errors(logs.lines(logs.names, *span), "warning"))
    return OutageLogs(outage, level, tuple(parts[:PARTS_MAX]), max(0, len(parts) - PARTS_MAX))


def _errors(lines: Iterable[LogLine], level: str) -> Iterator[PartErrors]:
    first: dict[str, list[LogLine]] = {}
    count: dict[str, int] = {}
    for line in lines:
        if is_at_least(line.level, level):
            count[line.part] = count.get(line.part, 0) + 1
            if count[line.part] <= LINES_MAX:
                first.setdefault(line.part, []).append(line)
    for part, some in first.items():
        yield PartErrors(part, tuple(some), count[part] - len(some))


def shown(line: LogLine) -> str:
    """The message, or the fields of a line without one, in at most 300 letters."""
    fields = ", ".join(f"{name}={value}" for name, value in line.fields.items())
    return shortened(" ".join((line.message or fields).split()), TEXT_MAX)
