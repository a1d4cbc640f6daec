"""exec: the experiment's own command inside a container, and the command that undoes it."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from harness.faults.base import Parameters
from harness.faults.containers import exec_command
from harness.faults.containers.exec_command import CommandParameters, ExecParameters, ExecUndo
from harness.faults.target import pick_container
from harness.remedies.base import Asked, RemedyKind, filled, first_that_runs


class BoundParameters(ExecParameters):
    """Those of the fault, with the bound of the remedy, which may be longer."""

    timeout_s: float = Field(default=60.0, gt=0)


def _settle(asked: Asked) -> Parameters:
    said: CommandParameters = asked.parameters
    facts = {**said.model_dump(), "command": filled(said.command, asked)}
    return BoundParameters(**facts, timeout_s=asked.spec.within_s)


def _has_undo(said: CommandParameters) -> bool:
    return bool(said.undo)


def _is_kept(undo: ExecUndo) -> bool:
    return bool(undo.command)


KIND = RemedyKind(
    CommandParameters,
    replace(
        exec_command.KIND,
        parameters=BoundParameters,
        choose=pick_container,
        inject=exec_command.run,
    ),
    choose=first_that_runs,
    settle=_settle,
    is_kept=_is_kept,
    can_end=_has_undo,
)
