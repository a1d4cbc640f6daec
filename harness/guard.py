"""What may be touched, and by whom: the lock, the scope, the protect list, the last member."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import HarnessError, TargetError
from harness.faults.base import FaultKind, Undo
from harness.model.container import Container
from harness.model.experiment import Experiment

LONGEST_RUN_S = 3600.0


@contextmanager
def run_lock(path: Path, holder: str) -> Iterator[None]:
    """Only one run or heal per project at a time; the kernel frees the lock of a dead holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HarnessError(
                f"another harness works on this project: {lock_holder(path)}",
                "wait for its end, or: harness heal --stop",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "holder": holder}).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def lock_holder(path: Path) -> str:
    """Who holds the lock, as it wrote itself; `nobody` if it is free or unreadable."""
    try:
        facts = json.loads(path.read_text())
        return f"{facts['holder']} (process {facts['pid']})"
    except (OSError, ValueError, KeyError):
        return "nobody"


def check_fault(
    kind: FaultKind,
    undo: Undo,
    containers: Sequence[Container],
    project: str,
    experiment: Experiment,
) -> None:
    """TargetError if the fault would touch what it must not; asked just before injection."""
    for touched in undo["containers"]:
        target = next((c for c in containers if c.id == touched["id"]), None)
        if target is None or target.project != project:
            raise TargetError(f"{touched['name']} is not part of project {project}")
        if "harness.protect" in target.labels or target.role == "toxiproxy":
            raise TargetError(
                f"{target.service} is protected: it is an instrument", "choose another"
            )
        if kind.takes_member:
            _check_members(target, containers, allow=experiment.allow_total_loss)


def check_flags(experiment: Experiment, needing: Sequence[str], *, allow_exec: bool) -> None:
    """HarnessError if a fault needs a flag that was not given, or the run is too long."""
    if needing and not allow_exec:
        raise HarnessError(
            f"{experiment.name}: the faults {', '.join(needing)} run commands inside containers",
            "if you trust the file: harness run --allow-exec",
        )
    if experiment.end_s > min(experiment.max_duration_s, LONGEST_RUN_S):
        raise HarnessError(
            f"{experiment.name} lasts {experiment.end_s:.0f} s, longer than its max_duration",
            "shorten the phases, or raise safeguards.max_duration",
        )


def _check_members(target: Container, containers: Sequence[Container], *, allow: bool) -> None:
    """The last member of a role, and the majority of etcd, are lost only on purpose."""
    if allow or not target.role:
        return
    members = [c for c in containers if c.role == target.role and not c.is_standby]
    left = [c for c in members if c.is_running and c.id != target.id]
    if target.role == "etcd" and len(left) <= len(members) // 2:
        raise TargetError(
            f"{target.service}: without it etcd has no majority ({len(left)} of {len(members)})",
            "if that is meant: allow_total_loss: true",
        )
    if not left:
        raise TargetError(
            f"{target.service} is the last running member of role {target.role}",
            "if that is meant: allow_total_loss: true",
        )
