"""crash: the process dies by itself as the engine sees it, so the restart policy acts.

The child of PID 1 is killed from inside (PID 1 itself ignores signals from its own namespace);
the init then exits with the child's code, and so does the container.
Healing starts it if nobody did.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import TargetError
from harness.faults.base import NoParameters, Proof
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import came_back, event_since, start_again

NO_CHILD = 3
KILL_CHILDREN = f"""
found={NO_CHILD}
for process in /proc/[0-9]*; do
  while read -r key value; do
    if [ "$key" = PPid: ] && [ "$value" = 1 ]; then kill -9 "${{process#/proc/}}" && found=0; fi
  done < "$process/status"
done 2>/dev/null
exit $found
"""


@dataclass(frozen=True)
class CrashUndo(Undo):
    """`started_s`: when the process that dies was started, seconds since the epoch."""

    started_s: float


CrashFault = ContainerFault[NoParameters, CrashUndo]


def _record(fault: CrashFault) -> CrashUndo:
    return CrashUndo(*fault.chosen, started_s=fault.target.started_s)


def _kill_from_inside(fault: CrashFault) -> str:
    """The call itself may die with the container."""
    command = ["sh", "-c", KILL_CHILDREN]
    code, output = fault.tools.engine.execute(fault.target.id, command)
    if code == NO_CHILD:
        raise TargetError(
            f"{fault.target.service}: PID 1 has no child to kill {output.strip()}",
            "set `init: true` for the service",
        )
    return f"kill -9 inside {fault.target.service}"


def _death(fault: CrashFault) -> Proof:
    """The engine saw it die; true even if it runs again already."""
    event = event_since(fault, "die")
    if event is None:
        return Proof(proven=False, detail=f"{fault.target.service} did not die")
    effect_s = fault.tools.clock.monotonic_of(event.wall_s)
    return Proof(proven=True, detail=f"died with exit code {event.exit_code}", effect_s=effect_s)


KIND = ContainerKind(
    NoParameters, CrashUndo, record=_record,
    inject=_kill_from_inside, proof=_death, heal=start_again, healed=came_back,
    takes_member=True, proof_s=10.0,
)  # fmt: skip
