"""Asks a project for its backups: the command of a label, in the container that has it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.backup import LABEL, Backup, read_backups
from harness.model.container import Container

ASKED_S = 60.0
UP = (
    "harness up -f docker-compose.yml -f target/recovery/archiving.yaml "
    "--profile core --profile recovery"
)
"""How the bundled stack is started with its part `recovery`."""


def backups_of(engine: Engine) -> list[Backup]:
    """All backups that the project tells of. TargetError if nobody does, or not as pgBackRest."""
    told = who_has(LABEL, engine.containers())
    try:
        words = shlex.split(told.labels[LABEL])
    except ValueError as error:
        raise TargetError(f"label {LABEL}: {error}", "write it as for a shell") from error
    code, output = engine.execute(told.id, words, ASKED_S)
    if code != 0:
        raise TargetError(
            f"{told.service}: the command of {LABEL} exited with {code}: {output.strip()[-500:]}",
            f"docker logs {told.name}",
        )
    try:
        return read_backups(output)
    except ValueError as error:
        text = f"{told.service}: label {LABEL}: {error}"
        raise TargetError(text, "see docs/RECOVERY.md") from None


def who_has(label: str, containers: Sequence[Container]) -> Container:
    """The first that runs of those with a label about backups; TargetError if there is none."""
    found = [one for one in containers if label in one.labels]
    running = [one for one in found if one.is_running]
    if not found:
        raise TargetError(
            f"no service here has the label {label}",
            f"the bundled stack: {UP}; others: docs/RECOVERY.md",
        )
    if not running:
        raise TargetError(f"{found[0].service} does not run", f"docker start {found[0].name}")
    return running[0]
