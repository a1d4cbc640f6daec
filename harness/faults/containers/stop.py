"""stop: SIGTERM, then SIGKILL after a grace period, as `docker stop` does. Stays down."""

from __future__ import annotations

from pydantic import Field

from harness.faults.base import Parameters
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import exited, runs_again, start_again


class StopParameters(Parameters):
    """`grace_s`: seconds between SIGTERM and SIGKILL."""

    grace_s: int = Field(default=10, ge=0, le=60)


def _stop(fault: ContainerFault[StopParameters, Undo]) -> str:
    """A clean end: what a deployment or a maintenance does."""
    fault.tools.engine.stop(fault.target.id, fault.parameters.grace_s)
    return f"SIGTERM to {fault.target.service}"


KIND = ContainerKind(
    StopParameters, Undo,
    inject=_stop, proof=exited, heal=start_again, healed=runs_again,
    takes_member=True, lasts=True,
)  # fmt: skip
