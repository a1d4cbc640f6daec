"""`harness backups` and `harness drill`: what there is to restore, and whether that works."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

from harness.adapters.backups import backups_of
from harness.cli.console import Screen
from harness.cli.target_flags import choice_of
from harness.errors import TargetError
from harness.lock import run_lock
from harness.model.backup import Backup
from harness.model.container import Container
from harness.model.labels import RUNBOOK, runbooks_of
from harness.remedies.runbook import command_of
from harness.session.project import Project
from harness.session.targets import find_target

COLUMNS = ("repository", "kind", "backup", "age", "stored", "of", "log from", "to", "restored")
NOTHING_THERE = 3
"""Exit code: nothing failed, but nothing could be restored."""
MIB = 1024 * 1024
DRILL = "drill"
"""The runbook that restores a backup beside the database, and compares."""


def backups(options: argparse.Namespace, screen: Screen) -> int:
    """All backups by repository, newest first; 3 if there is none."""
    project = Project(find_target(choice_of(options)))
    found, now_s = backups_of(project.engine), time.time()
    if screen.as_json:
        screen.value({"project": project.name, "backups": [asdict(one) for one in found]})
        return 0 if found else NOTHING_THERE
    rows = [_row(one, now_s) for one in reversed(found)]
    screen.table(f"backups of {project.name}", COLUMNS, rows)
    for line in _proven(found, now_s):
        screen.say(line)
    return 0 if found else NOTHING_THERE


def _row(one: Backup, now_s: float) -> list[str]:
    return [
        str(one.repository),
        f"{one.kind}, damaged" if one.error else one.kind,
        one.label,
        _age(now_s - one.stop_s),
        f"{one.stored_bytes / MIB:.1f} MiB",
        f"{one.database_bytes / MIB:.1f} MiB",
        *one.wal,
        _age(now_s - one.restored_s) if one.restored_s is not None else "never",
    ]


def _proven(found: Sequence[Backup], now_s: float) -> Iterator[str]:
    """Of each repository, whether anybody has restored out of it."""
    for (stanza, number), group in groupby(found, key=lambda one: (one.stanza, one.repository)):
        proven = [one for one in group if one.restored_s is not None]
        last = max(proven, key=lambda one: one.restored_s or 0.0, default=None)
        what = "no backup was ever restored: harness drill"
        if last is not None and last.restored_s is not None:
            what = f"last proven restore {_age(now_s - last.restored_s)} ago: {last.label}"
        yield f"{stanza}, repository {number}: {what}"


def _age(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 5.3 h, 16 days."""
    for unit, length_s, digits in (("days", 86_400.0, 0), ("h", 3600.0, 1), ("min", 60.0, 0)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.{digits}f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def drill(options: argparse.Namespace, screen: Screen) -> int:
    """Run the target's runbook `drill`; 1 if what was restored is not right."""
    project = Project(find_target(choice_of(options)))
    place = _place(project.engine.containers())
    words = command_of(DRILL, place.labels) or ()
    screen.say(f"{place.service}: {' '.join(words)}")
    with run_lock(project.lock_path, "harness drill"):
        code, output = project.engine.execute(place.id, words, options.within)
    screen.say(output.strip())
    screen.say(
        "restored, and found to be right" if code == 0 else f"NOT restored: exit code {code}"
    )
    return 1 if code else 0


def _place(containers: Sequence[Container]) -> Container:
    """Where a drill can be made now."""
    found = [one for one in containers if DRILL in runbooks_of(one.labels)]
    running = [one for one in found if one.is_running]
    if not found:
        raise TargetError(f"no service here has the label {RUNBOOK}{DRILL}", "see docs/RECOVERY.md")
    if not running:
        raise TargetError(f"{found[0].service} does not run", f"docker start {found[0].name}")
    return running[0]
