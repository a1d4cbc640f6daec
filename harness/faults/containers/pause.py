"""pause: the container's processes are frozen; its connections stay open and silent."""

from __future__ import annotations

from harness.faults.base import NoParameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import runs_again, seen_as, touched

PauseFault = ContainerFault[NoParameters, Undo]


def _freeze(fault: PauseFault) -> str:
    """A hang: the hardest failure to detect."""
    fault.tools.engine.pause(fault.target.id)
    return f"froze {fault.target.service}"


def _is_frozen(fault: PauseFault) -> Proof:
    """The engine says it is paused."""
    found = fault.now()
    is_frozen = found is not None and found.status == "paused"
    return Proof(proven=is_frozen, detail=seen_as(fault, found))


def _thaw(undo: Undo, tools: Tools) -> None:
    found = touched(undo, tools)
    if found is not None and found.status == "paused":
        tools.engine.unpause(found.id)


KIND = ContainerKind(
    NoParameters, Undo,
    inject=_freeze, proof=_is_frozen, heal=_thaw, healed=runs_again,
    is_at_once=True, takes_member=True, lasts=True,
)  # fmt: skip
