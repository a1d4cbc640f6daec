"""`harness logs RUN`: what the target's parts logged, merged in order of time."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from harness.aspects import recovery
from harness.aspects.findings_json import read_findings
from harness.aspects.recovery.stretches import stretches
from harness.cli.console import Screen
from harness.cli.stage_commands import run_folder
from harness.errors import UsageError
from harness.model.log_line import LogLine, is_at_least
from harness.model.quantity import parse_duration
from harness.record.folder import RunFolder
from harness.record.logs import ABOUT, Logs, kept_logs

BEFORE_S, AFTER_S = 5.0, 10.0
"""How much of the log is `--around` a moment."""
AT_A_TIME = 200
_OUTAGE = re.compile(r"outage-\d+")
STYLES = {"warning": "yellow", "error": "red", "fatal": "bold red"}


def logs(options: argparse.Namespace, screen: Screen) -> int:
    """Print the lines that are asked for, and what is not in the record."""
    folder = _folder(options.folder)
    kept = kept_logs(folder)
    parts = _parts(kept, options.parts)
    from_s, to_s = _span(folder, options.around)
    found = (
        line
        for line in kept.lines(parts, from_s, to_s)
        if is_at_least(line.level, options.level) and options.trace in (None, line.trace)
    )
    if screen.as_json:
        screen.value({"lines": [_row(line) for line in found], "lacks": kept.lacks})
        return 0
    if not _print(found, max(len(part) for part in parts), screen):
        screen.say("no such lines")
    for text in kept.lacks:
        screen.say(f"not in this record: {text}", "yellow")
    return 0


def _folder(path: Path) -> RunFolder:
    """A run, or the logs of a target that did not get healthy; RunFolderError if it is neither."""
    folder = RunFolder(path.resolve())
    return folder if folder.has(ABOUT) else run_folder(path)


def _parts(kept: Logs, wanted: Sequence[str]) -> Sequence[str]:
    """Those that were asked for, all without a wish."""
    for part in wanted:
        if part not in kept.names:
            about = {each.part: each.problem for each in kept.parts}
            what = about.get(part) or "it logged nothing" if part in about else "no such part"
            raise UsageError(f"--part {part}: {what}", f"one of: {', '.join(kept.names)}")
    return list(dict.fromkeys(wanted)) or kept.names


def _span(folder: RunFolder, around: str) -> tuple[float, float]:
    """From when until when, in seconds of the run."""
    if not around:
        return -math.inf, math.inf
    at_s = _time(around)
    if at_s is None:
        at_s = _moment(folder, around)
    return at_s - BEFORE_S, at_s + AFTER_S


def _time(text: str) -> float | None:
    """A time of the run such as `42`, `42.5s` or `1m30s`; None if it is another word."""
    try:
        return parse_duration(text if not re.fullmatch(r"\d+(\.\d+)?", text) else f"{text}s")
    except ValueError:
        return None


def _moment(folder: RunFolder, name: str) -> float:
    """When an outage began, or a fault took effect."""
    findings = read_findings(folder)
    outages = {each.name: each.start_s for each in stretches(findings.of(recovery.ASPECT))}
    faults = {
        fault.fault: start_s
        for fault in findings.run.faults
        if (start_s := fault.start_s if fault.effect_s is None else fault.effect_s) is not None
    }
    moments = {**faults, **outages}
    if name in moments:
        return moments[name]
    what = "no such outage" if _OUTAGE.fullmatch(name) else "no outage, fault or time"
    known = f"outages: {_listed(outages)}; faults: {_listed(faults)}"
    raise UsageError(f"--around {name}: {what} of this run ({known})", "or a time: --around 42s")


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "none"


def _row(line: LogLine) -> dict[str, Any]:
    row = {"t_s": line.t_s, "time": line.time, "level": line.level, "part": line.part}
    row |= {"message": line.message, "trace_id": line.trace, "fields": dict(line.fields)}
    return {name: value for name, value in row.items() if value not in ("", {})}


def _print(found: Iterator[LogLine], width: int, screen: Screen) -> int:
    """Line by line, many at a time; how many there were."""
    count = 0
    while some := list(islice(found, AT_A_TIME)):
        count += len(some)
        screen.entries(
            (f"{line.t_s:9.3f} {line.part:<{width}} {line.level:<7} ", _words(line),
             STYLES.get(line.level, ""))
            for line in some
        )  # fmt: skip
    return count


def _words(line: LogLine) -> str:
    """The message; of a line without one its fields, and the error's text where that is apart."""
    fields = line.fields
    error = next((fields[n] for n in ("exception", "error", "err", "stack") if fields.get(n)), "")
    if not line.message:
        return ", ".join(f"{name}={value}" for name, value in fields.items())
    return f"{line.message}\n{error}" if error else line.message
