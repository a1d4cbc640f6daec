"""kill: SIGKILL through the engine. The container stays down until it is healed."""

from __future__ import annotations

from harness.faults.base import NoParameters
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import exited, runs_again, start_again


def _kill(fault: ContainerFault[NoParameters, Undo]) -> str:
    """The engine counts this as a manual stop, so no restart policy acts."""
    fault.tools.engine.kill(fault.target.id)
    return f"SIGKILL to {fault.target.service}"


KIND = ContainerKind(
    NoParameters, Undo,
    inject=_kill, proof=exited, heal=start_again, healed=runs_again,
    takes_member=True, lasts=True,
)  # fmt: skip
