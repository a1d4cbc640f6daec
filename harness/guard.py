"""What may be touched, and by whom: the lock, the scope, the protect list, the last member."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, RecordError, TargetError, UsageError
from harness.faults.base import FaultKind, Undo
from harness.model.container import Container
from harness.model.experiment import Experiment

LONGEST_RUN_S = 3600.0
LONGEST_FAULT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lock; `pid` is None where it did not say, or said so wrongly."""

    name: str
    pid: int | None

    @property
    def text(self) -> str:
        """The name, and which process it is."""
        process = f"process {self.pid}" if self.pid else "its process is not known"
        return f"{self.name} ({process})"


@contextmanager
def run_lock(path: Path, holder: str) -> Iterator[int]:
    """Only one run or heal per project at a time; the kernel frees the lock of a dead holder.

    Its descriptor; a process that inherits it holds the lock too.
    HarnessError names the holder, RecordError says why there can be no lock.
    """
    descriptor = _open_lock(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = f"project {path.parent.name}: {_written_holder(path).text}"
            raise HarnessError(
                f"another harness works on {who}",
                "wait for its end, or: harness heal --stop",
            ) from None
        _say_who(descriptor, holder)
        yield descriptor
    finally:
        os.close(descriptor)


def lock_holder(path: Path) -> Holder | None:
    """Who holds the lock now, None if nobody does: the kernel's lock counts, not the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written_holder(path)
    finally:
        os.close(descriptor)
    return None


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
        if target.is_instrument:
            raise TargetError(
                f"{target.service} is protected: it is an instrument", "choose another"
            )
        if kind.takes_member:
            _check_members(target, containers, allow=experiment.allow_total_loss)


def check_flags(experiment: Experiment, needing: Sequence[str], *, allow_exec: bool) -> None:
    """UsageError if a fault needs a flag that was not given, or something lasts too long."""
    if needing and not allow_exec:
        raise UsageError(
            f"{experiment.name}: the faults {', '.join(needing)} run commands inside containers",
            "if you trust the file: harness run --allow-exec",
        )
    if experiment.end_s > min(experiment.max_duration_s, LONGEST_RUN_S):
        raise UsageError(
            f"{experiment.name} lasts {experiment.end_s:.0f} s, longer than its max_duration",
            "shorten the phases, or raise safeguards.max_duration",
        )
    for fault in experiment.faults:
        if fault.end_s - fault.start_s > LONGEST_FAULT_S:
            raise UsageError(
                f"{experiment.name}: {fault.id} lasts longer than {LONGEST_FAULT_S:.0f} s",
                "give it a shorter `for`",
            )


def check_host_access(asked: Sequence[str], *, allow: bool) -> None:
    """UsageError if the Compose project asks for more than containers of its own."""
    if asked and not allow:
        listed = "".join(f"\n  {what}" for what in asked)
        raise UsageError(
            f"the Compose project asks for access to this machine:{listed}",
            "if you trust it: --allow-host-access",
        )


def _open_lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RecordError.of(path, error) from error


def _say_who(descriptor: int, holder: str) -> None:
    """For others to read; a full disk must not stop a healing, so it may stay unsaid."""
    text = json.dumps({"pid": os.getpid(), "holder": holder}).encode()
    with suppress(OSError):
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))


def _written_holder(path: Path) -> Holder:
    """Who the file says; its process only if that has the file open, so that no other is hit."""
    try:
        facts = json.loads(path.read_text())
        name, pid = str(facts["holder"]), int(facts["pid"])
    except (OSError, ValueError, LookupError, TypeError):
        return Holder("somebody", None)
    return Holder(name, pid if _has_open(pid, path) else None)


def _has_open(pid: int, path: Path) -> bool:
    wanted = path.stat()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            if os.path.samestat(link.stat(), wanted):
                return True
    return False


def _check_members(target: Container, containers: Sequence[Container], *, allow: bool) -> None:
    """The last member of a role, and the majority of etcd, are lost only on purpose.

    A member that is on no network, or that its own health check calls unhealthy, is lost already.
    """
    if allow or not target.role:
        return
    members = [c for c in containers if c.role == target.role and not c.is_standby]
    left = [c for c in members if c.is_serving and c.id != target.id]
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
