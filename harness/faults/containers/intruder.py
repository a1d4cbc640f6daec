"""A process that a fault starts inside a container: found by its environment, ended by healing.

All that it starts inherits the variable `HARNESS_FAULT`, whose value is in the undo record. It
ends by itself soon after the time at which the fault is to be healed, whatever becomes of us.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from harness.errors import TargetError
from harness.faults.base import Proof, Tools
from harness.faults.container_kind import ContainerFault
from harness.faults.undo_record import Undo
from harness.faults.watch import touched, without_processes

SPARE_S = 30
FIND = """
found=
for process in /proc/[0-9]*; do
  grep -qs "^HARNESS_FAULT=$1$" "$process/environ" -z && found="$found ${process#/proc/}"
done
"""
END = FIND + '[ -z "$found" ] || kill -9 $found'
COUNT = FIND + "set -- $found; echo $#"


@dataclass(frozen=True)
class IntruderUndo(Undo):
    """`token` is what its processes have in their environment."""

    token: str


def record(fault: ContainerFault[Any, Any]) -> IntruderUndo:
    """A token of this fault's own."""
    return IntruderUndo(*fault.chosen, token=new_token())


def new_token() -> str:
    """One that no other fault has."""
    return uuid.uuid4().hex


def start(fault: ContainerFault[Any, IntruderUndo], script: str, *arguments: int) -> None:
    """Run a script of `sh` in it; its first argument is how many seconds it may take."""
    spec = fault.spec
    bound_s = round(spec.end_s - spec.start_s) + SPARE_S
    own = [str(each) for each in (bound_s, *arguments)]
    variable = f"HARNESS_FAULT={fault.undo.token}"
    command = ["env", variable, "sh", "-c", script, "harness-fault", *own]
    fault.tools.engine.execute_detached(fault.target.id, command)


def number(fault: ContainerFault[Any, IntruderUndo], script: str) -> int | None:
    """The number that a script prints, whose `$1` is the token; None if it prints none."""
    found = fault.now()
    if found is None or not found.is_running:
        return None
    command = ["sh", "-c", script, "harness-look", fault.undo.token]
    code, output = fault.tools.engine.execute(fault.target.id, command)
    word = output.strip()
    return int(word) if code == 0 and word.isdecimal() else None


def absent(fault: ContainerFault[Any, IntruderUndo]) -> Proof:
    """None of its processes is there."""
    return Proof(proven=False, detail=f"no process of it runs in {fault.target.service}")


def end(undo: IntruderUndo, tools: Tools) -> None:
    """End what still runs."""
    found = touched(undo, tools)
    if found is None or not found.is_running:
        return
    code, output = tools.engine.execute(found.id, ["sh", "-c", END, "harness-heal", undo.token])
    if code != 0:
        text = f"{found.service}: a process of the fault does not end: {output.strip()}"
        raise TargetError(text, f"restart {found.name}")


def ended(undo: IntruderUndo, tools: Tools) -> Proof:
    """No process has the token any more; a container that does not run has none."""
    found = touched(undo, tools)
    if found is None or not found.is_running:
        return without_processes(undo, found)
    code, output = tools.engine.execute(found.id, ["sh", "-c", COUNT, "harness-look", undo.token])
    is_none = code == 0 and output.strip() == "0"
    left = "no process is left" if is_none else f"processes left: {output.strip() or 'not known'}"
    return Proof(proven=is_none, detail=f"{found.service}: {left}")
