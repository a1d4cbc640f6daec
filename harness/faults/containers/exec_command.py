"""exec: your own command inside a container, and the command that undoes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import Parameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import touched

OUTPUT_LINES = 20


class CommandParameters(Parameters):
    """`command` must exit with 0; `undo` is run to heal, `proof` to prove.

    `proof` exits with 0 while the effect is there, and with something else once it is undone.
    """

    command: tuple[str, ...] = Field(min_length=1)
    undo: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()


class ExecParameters(CommandParameters):
    """The same, and `timeout_s`: within how many seconds it must exit."""

    timeout_s: float = Field(default=15.0, gt=0, le=120)


@dataclass(frozen=True)
class ExecUndo(Undo):
    """`command` undoes it, `proof` exits with 0 as long as it is not undone; () for none."""

    command: tuple[str, ...]
    proof: tuple[str, ...] = ()


ExecFault = ContainerFault[Any, ExecUndo]
"""Its parameters are CommandParameters with a `timeout_s`."""


def run(fault: ContainerFault[Any, Any]) -> str:
    """Run the `command`, until it ends; its exit, and below that the end of its output.

    TargetError, with the same, if it exits with something else than 0.
    """
    command, limit_s = fault.parameters.command, fault.parameters.timeout_s
    code, output = fault.tools.engine.execute(fault.target.id, command, limit_s)
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    text = "\n".join([f"the command exited with {code}", *lines[-OUTPUT_LINES:]])
    if code != 0:
        raise TargetError(f"{fault.target.service}: {text}")
    return text


def _record(fault: ExecFault) -> ExecUndo:
    """The user's own undo command and proof."""
    return ExecUndo(*fault.chosen, fault.parameters.undo, fault.parameters.proof)


def _run(fault: ExecFault) -> str:
    """Whatever no other kind covers; returns at the end of the command."""
    command, limit_s = fault.parameters.command, fault.parameters.timeout_s
    code, output = fault.tools.engine.execute(fault.target.id, command, limit_s)
    if code != 0:
        raise TargetError(f"{fault.target.service}: the command exited with {code}: {output}")
    return "the command exited with 0"


def _is_done(fault: ExecFault) -> Proof:
    """The user's `proof` exits with 0; without one, the command's own exit code counts."""
    if not fault.parameters.proof:
        return Proof(proven=bool(fault.done), detail=fault.done)
    code, _ = fault.tools.engine.execute(fault.target.id, fault.parameters.proof)
    return Proof(proven=code == 0, detail=f"the proof exited with {code}")


def _run_undo(undo: ExecUndo, tools: Tools) -> None:
    found = touched(undo, tools)
    if not undo.command or found is None:
        return
    code, output = tools.engine.execute(found.id, list(undo.command))
    if code != 0:
        raise TargetError(f"{found.service}: the undo command exited with {code}: {output}")


def _is_undone(undo: ExecUndo, tools: Tools) -> Proof:
    """The undo command has exited with 0, and the proof, if there is one, does so no more."""
    found = touched(undo, tools)
    if not undo.command or found is None:
        return Proof(proven=True, detail="nothing to undo")
    if not undo.proof:
        return Proof(proven=True, detail="undo command done; no `proof` that could verify it")
    code, _ = tools.engine.execute(found.id, list(undo.proof))
    return Proof(proven=code != 0, detail=f"undo command done; the proof exited with {code}")


KIND = ContainerKind(
    ExecParameters, ExecUndo, record=_record,
    inject=_run, proof=_is_done, heal=_run_undo, healed=_is_undone,
    is_at_once=True, needs_flag=True,
)  # fmt: skip
