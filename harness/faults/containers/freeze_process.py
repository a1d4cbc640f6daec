"""freeze_process: some processes of the container stop where they are; the others go on.

For what hangs while its health check answers: a replica that receives and applies nothing, a worker
whose main thread is stuck. The processes are told by their command line, as `ps` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import Parameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import touched, without_processes
from harness.model.container import Container

FIND = """
found=
for process in /proc/[0-9]*; do
  id=${process#/proc/}
  [ "$id" = 1 ] || [ "$id" = $$ ] && continue
  { tr '\\0' ' ' < "$process/cmdline" | grep -qE -- "$1"; } 2> /dev/null && found="$found $id"
done
"""
STOP = FIND + "kill -STOP $found"
GO_ON = FIND + '[ -z "$found" ] || kill -CONT $found'
COUNT = (
    FIND
    + """
stopped=0; all=0
for id in $found; do
  { read -r line < "/proc/$id/stat"; } 2> /dev/null || continue
  set -- ${line##*) }
  all=$((all + 1)); [ "$1" != T ] || stopped=$((stopped + 1))
done
echo $stopped $all
"""
)


class FreezeParameters(Parameters):
    """`process`: what its command line must contain, as an extended regular expression."""

    process: str = Field(min_length=1, max_length=200)


@dataclass(frozen=True)
class FreezeUndo(Undo):
    """`process`: whose processes are to go on."""

    process: str


FreezeFault = ContainerFault[FreezeParameters, FreezeUndo]


def _record(fault: FreezeFault) -> FreezeUndo:
    """TargetError if there is no such process, or one is stopped already."""
    process, service = fault.parameters.process, fault.target.service
    stopped, count = _count(fault.target, process, fault.tools)
    if not count:
        text = f"{service} has no process whose command line contains {process!r}"
        raise TargetError(text, f"see: docker top {fault.target.name}")
    if stopped:
        raise TargetError(f"{service}: a process with {process!r} is stopped already")
    return FreezeUndo(*fault.chosen, process=process)


def _stop(fault: FreezeFault) -> str:
    process, service = fault.parameters.process, fault.target.service
    _run(fault.target, STOP, process, fault.tools)
    return f"stopped {process!r} in {service}"


def _is_stopped(fault: FreezeFault) -> Proof:
    """All of them are."""
    found = fault.now()
    if found is None or not found.is_running:
        return Proof(proven=False, detail=f"{fault.target.service} does not run")
    stopped, count = _count(found, fault.parameters.process, fault.tools)
    text = f"{stopped} of {count} processes are stopped"
    return Proof(proven=bool(count) and stopped == count, detail=text)


def _let_go_on(undo: FreezeUndo, tools: Tools) -> None:
    found = touched(undo, tools)
    if found is not None and found.is_running:
        _run(found, GO_ON, undo.process, tools)


def _goes_on(undo: FreezeUndo, tools: Tools) -> Proof:
    """None is stopped any more; that one was ended meanwhile is not ours to heal."""
    found = touched(undo, tools)
    if found is None or not found.is_running:
        return without_processes(undo, found)
    stopped, count = _count(found, undo.process, tools)
    return Proof(proven=not stopped, detail=f"{stopped} of {count} processes are stopped")


def _count(container: Container, process: str, tools: Tools) -> tuple[int, int]:
    """How many are stopped, and how many there are; none where that is not seen."""
    words = _run(container, COUNT, process, tools).split()
    numbers = [int(word) for word in words if word.isdecimal()]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)


def _run(container: Container, script: str, process: str, tools: Tools) -> str:
    command = ["sh", "-c", script, "harness-freeze", process]
    code, output = tools.engine.execute(container.id, command)
    if code != 0:
        raise TargetError(f"{container.service}: its processes cannot be reached: {output.strip()}")
    return output


KIND = ContainerKind(
    FreezeParameters, FreezeUndo, record=_record,
    inject=_stop, proof=_is_stopped, heal=_let_go_on, healed=_goes_on,
    is_at_once=True, lasts=True,
)  # fmt: skip
