"""wipe: the container is killed and its data volumes are emptied, as when a disk is lost.

Healing starts it on its empty volumes: the target must rebuild the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.errors import TargetError
from harness.faults.base import NoParameters, Proof
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import exited, runs_again, seen_as, start_again


@dataclass(frozen=True)
class WipeUndo(Undo):
    """`volumes`: the paths that are emptied; nothing brings their data back."""

    volumes: tuple[str, ...]


WipeFault = ContainerFault[NoParameters, WipeUndo]


def _record(fault: WipeFault) -> WipeUndo:
    if not fault.target.volumes:
        raise TargetError(f"{fault.target.service} has no named volume to wipe")
    return WipeUndo(*fault.chosen, fault.target.volumes)


def _wipe(fault: WipeFault) -> str:
    """SIGKILL, then delete everything."""
    fault.tools.engine.kill(fault.target.id)
    fault.tools.engine.empty_volumes(fault.target.id)
    return f"killed {fault.target.service} and emptied its volumes"


def _is_wiped(fault: WipeFault) -> Proof:
    """It has exited and its volumes were emptied."""
    proof = exited(fault)
    if proof.proven and fault.done:
        return replace(proof, detail="exited, volumes empty")
    return Proof(proven=False, detail=seen_as(fault, fault.now()))


KIND = ContainerKind(
    NoParameters, WipeUndo, record=_record,
    inject=_wipe, proof=_is_wiped, heal=start_again, healed=runs_again,
    takes_member=True, lasts=True,
)  # fmt: skip
