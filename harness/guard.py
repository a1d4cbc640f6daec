"""What may be touched: the scope, the protect list, the last member, flags and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from harness.errors import TargetError, UsageError
from harness.faults.base import FaultKind
from harness.faults.undo_record import Undo
from harness.model.container import Container, by_region
from harness.model.experiment import Experiment

LONGEST_RUN_S = 3600.0
LONGEST_FAULT_S = 1800.0


class Allowing(Protocol):
    """Who says whether the last member of a role may be lost; an experiment does."""

    @property
    def allow_total_loss(self) -> bool: ...  # noqa: D102


def check_fault(
    kind: FaultKind,
    undo: Undo,
    containers: Sequence[Container],
    project: str,
    allowing: Allowing,
) -> None:
    """TargetError if the fault would touch what it must not; asked just before injection."""
    for touched in undo.containers:
        target = next((c for c in containers if c.id == touched.id), None)
        if target is None or target.project != project:
            raise TargetError(f"{touched.name} is not part of project {project}")
        if target.is_instrument:
            raise TargetError(
                f"{target.service} is protected: it is an instrument", "choose another"
            )
        if kind.takes_member:
            _check_members(target, containers, allow=allowing.allow_total_loss)


def check_parts(
    kind: FaultKind,
    undos: Sequence[Undo],
    containers: Sequence[Container],
    project: str,
    allowing: Allowing,
) -> None:
    """As `check_fault`, for what happens to several containers at once."""
    left = list(containers)
    for undo in undos:
        check_fault(kind, undo, left, project, allowing)
        taken = {touched.id for touched in undo.containers if kind.takes_member}
        left = [replace(c, status="exited") if c.id in taken else c for c in left]


def check_flags(experiment: Experiment, needing: Sequence[str], *, allow_exec: bool) -> None:
    """UsageError if a fault or check needs a flag that was not given, or something is too long."""
    if needing and not allow_exec:
        runs = "runs" if len(needing) == 1 else "run"
        raise UsageError(
            f"{experiment.name}: {', '.join(needing)} {runs} commands inside containers",
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


def _check_members(target: Container, containers: Sequence[Container], *, allow: bool) -> None:
    """The last member of a role in its region, and the majority of etcd, are lost only on purpose.

    A member that is on no network, or that its own health check calls unhealthy, is lost already.
    """
    if allow or not target.role:
        return
    there = by_region(containers)[target.region]
    members = [c for c in there if c.role == target.role and not c.is_standby]
    left = [c for c in members if c.is_serving and c.id != target.id]
    if target.role == "etcd" and len(left) <= len(members) // 2:
        raise TargetError(
            f"{target.service}: without it etcd has no majority ({len(left)} of {len(members)})",
            "if that is meant: allow_total_loss: true",
        )
    if not left:
        where = f" in region {target.region}" if target.region else ""
        raise TargetError(
            f"{target.service} is the last running member of role {target.role}{where}",
            "if that is meant: allow_total_loss: true",
        )
