"""`harness backups` and `harness drill`: what there is to restore, and whether that works."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from harness.adapters.backups import backups_of, who_has
from harness.cli.console import Screen
from harness.cli.target_flags import choice_of
from harness.errors import EngineError, TargetError
from harness.faults.base import Engine
from harness.lock import run_lock
from harness.model.backup import Backup
from harness.model.container import Container
from harness.model.labels import RUNBOOK
from harness.remedies.runbook import command_of
from harness.session.project import Project
from harness.session.targets import find_target

COLUMNS = ("backup", "kind", "age", "stored", "of", "proven")
NOTHING_THERE = 3
"""Exit code: nothing failed, but nothing could be restored."""
MIB = 1024 * 1024
DRILL = "drill"
"""The runbook that restores a backup beside the database, and compares."""


def backups(options: argparse.Namespace, screen: Screen) -> int:
    """All backups by repository, newest first; 3 if there is none that is not damaged."""
    project = Project(find_target(choice_of(options)))
    found, now_s = backups_of(project.engine), time.time()
    code = NOTHING_THERE if all(one.error for one in found) else 0
    if screen.as_json:
        screen.value({"project": project.name, "backups": [asdict(one) for one in found]})
        return code
    for (stanza, number), group in groupby(found, key=lambda one: (one.stanza, one.repository)):
        _show(screen, f"{stanza}, repository {number}", list(group), now_s)
    if not found:
        screen.say(f"{project.name} has no backup")
    return code


def _show(screen: Screen, name: str, group: Sequence[Backup], now_s: float) -> None:
    """The backups of one repository, newest first."""
    screen.table(f"{name} (sizes in MiB)", COLUMNS, [_row(one, now_s) for one in reversed(group)])
    screen.say(f"{name}: {_proven(group, now_s)}")


def _row(one: Backup, now_s: float) -> list[str]:
    return [
        one.label,
        f"{one.kind}, damaged" if one.error else one.kind,
        _age(now_s - one.stop_s),
        f"{one.stored_bytes / MIB:.1f}",
        f"{one.database_bytes / MIB:.1f}",
        "never" if one.restored_s is None else _age(now_s - one.restored_s),
    ]


def _proven(group: Sequence[Backup], now_s: float) -> str:
    """Whether anybody has restored one of them."""
    proven = [(one.restored_s, one.label) for one in group if one.restored_s is not None]
    if not proven:
        return "no backup was ever restored: harness drill"
    restored_s, label = max(proven)
    return f"last proven restore {_age(now_s - restored_s)} ago: {label}"


def _age(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 5.3 h, 16 d."""
    for unit, length_s, digits in (("d", 86_400.0, 0), ("h", 3600.0, 1), ("min", 60.0, 0)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.{digits}f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def drill(options: argparse.Namespace, screen: Screen) -> int:
    """Run the target's runbook `drill`; 1 if what was restored is not right."""
    project = Project(find_target(choice_of(options)))
    place = who_has(f"{RUNBOOK}{DRILL}", project.engine.containers())
    words = command_of(DRILL, place.labels) or ()
    screen.say(f"{place.service}: {' '.join(words)}")
    with run_lock(project.lock_path, "harness drill"):
        code, output = _drilled(project.engine, place, words, options.within)
    screen.say(output.strip())
    screen.say(
        "restored, and found to be right" if code == 0 else f"NOT restored: exit code {code}"
    )
    return 1 if code else 0


def _drilled(
    engine: Engine, place: Container, words: Sequence[str], within_s: float
) -> tuple[int, str]:
    """Exit code and output. TargetError if its end was not seen in time."""
    try:
        return engine.execute(place.id, words, within_s)
    except EngineError as error:
        raise TargetError(
            f"{place.service}: no end of the drill within {within_s:g} s: {error.message}",
            f"it may go on: wait until it is gone from `docker top {place.name}`, "
            "or allow more time: --within",
        ) from error
