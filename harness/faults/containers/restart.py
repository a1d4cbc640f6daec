"""restart: stop and start through the engine, once.

Healing starts it, should the restart have stopped half way.
"""

from __future__ import annotations

from harness.faults.base import Proof
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.containers.stop import StopParameters
from harness.faults.undo_record import Undo
from harness.faults.watch import runs_again, start_again

RestartFault = ContainerFault[StopParameters, Undo]


def _restart(fault: RestartFault) -> str:
    """What a deployment does to one instance; returns when it runs again."""
    fault.tools.engine.restart(fault.target.id, fault.parameters.grace_s)
    return f"restarted {fault.target.service}"


def _is_new(fault: RestartFault) -> Proof:
    """Its start time is a new one."""
    found = fault.now()
    if found is None or found.started_s <= fault.target.started_s:
        return Proof(proven=False, detail=f"{fault.target.service} was not started anew")
    effect_s = fault.tools.clock.monotonic_of(found.finished_s)
    return Proof(proven=True, detail="stopped and started", effect_s=effect_s)


KIND = ContainerKind(
    StopParameters, Undo,
    inject=_restart, proof=_is_new, heal=start_again, healed=runs_again,
    takes_member=True,
)  # fmt: skip
