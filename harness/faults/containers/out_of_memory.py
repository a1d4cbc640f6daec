"""out_of_memory: fill the container's memory from inside until the kernel kills its process.

    limit ----------------------------- the kernel must kill someone: the highest score,
      |        four allocators (tail)   which is the main process, marked with 1000
      |----------------------------
      |        main process
      0

No privilege is needed: a process may raise the score of processes of its own user. Four, because
the kernel rounds: one that fills almost the whole limit can outscore a small marked process.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import TargetError
from harness.faults.base import NoParameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import came_back, event_since, start_again, touched

MARK_AND_FILL = """
for process in /proc/[0-9]*; do
  id=${process#/proc/}
  [ "$id" = $$ ] || echo 1000 > "$process/oom_score_adj"
done 2>/dev/null
for part in 1 2 3 4; do
  head -c "$1" /dev/zero | tail -c "$1" > /dev/null &
done
wait
"""
UNMARK = """
left=0
for process in /proc/[0-9]*; do
  echo "$1" > "$process/oom_score_adj"
  read -r score < "$process/oom_score_adj" && [ "$score" = 1000 ] && left=1
done 2>/dev/null
[ "$1" = 1000 ] || exit $left
"""


@dataclass(frozen=True)
class MemoryUndo(Undo):
    """When its process was started (seconds since the epoch), and the score that it had."""

    started_s: float
    oom_score_adj: int = 0


MemoryFault = ContainerFault[NoParameters, MemoryUndo]


def _record(fault: MemoryFault) -> MemoryUndo:
    """Needs a memory limit on the container: without one the machine itself would be filled."""
    target = fault.target
    if not target.memory_bytes:
        raise TargetError(f"{target.service} has no memory limit", "set mem_limit")
    return MemoryUndo(*fault.chosen, target.started_s, target.oom_score_adj)


def _fill(fault: MemoryFault) -> str:
    """Start the allocators; they stop by themselves at twice the limit, swap included."""
    amount = max(fault.target.memory_bytes, fault.target.memory_swap_bytes) // 2
    command = ["sh", "-c", MARK_AND_FILL, "fill", str(amount)]
    fault.tools.engine.execute_detached(fault.target.id, command)
    return f"filling the memory of {fault.target.service}"


def _death(fault: MemoryFault) -> Proof:
    """The container died of SIGKILL, and the engine saw it run out of memory."""
    died = event_since(fault, "die")
    if died is None:
        return Proof(proven=False, detail=f"{fault.target.service} did not die")
    killed, found = event_since(fault, "oom"), fault.now()
    if killed is None and not (found and found.oom_killed):
        return Proof(proven=False, detail=f"died with {died.exit_code}, not for memory")
    return Proof(
        proven=True,
        detail=f"killed for memory, exit code {died.exit_code}",
        effect_s=fault.tools.clock.monotonic_of(died.wall_s),
        facts={"killed_for_memory": True},
    )


def _unmark_and_start(undo: MemoryUndo, tools: Tools) -> None:
    """Start it if nobody did; a container that survived gets the score of its own back."""
    found = touched(undo, tools)
    if found is not None and found.is_running and found.started_s == undo.started_s:
        command = ["sh", "-c", UNMARK, "unmark", str(undo.oom_score_adj)]
        code, output = tools.engine.execute(found.id, command)
        if code != 0:
            text = f"{found.service}: a process is still marked to be killed first"
            raise TargetError(f"{text} {output.strip()}".strip(), f"restart {found.name}")
    start_again(undo, tools)


KIND = ContainerKind(
    NoParameters, MemoryUndo, record=_record,
    inject=_fill, proof=_death, heal=_unmark_and_start, healed=came_back,
    takes_member=True, proof_s=30.0,
)  # fmt: skip
