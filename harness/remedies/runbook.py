"""runbook: a command that the target declares for its operators: label `harness.runbook.NAME`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import Parameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.containers.exec_command import run
from harness.faults.target import pick_container
from harness.faults.undo_record import Undo
from harness.model.labels import RUNBOOK, runbooks_of
from harness.remedies.base import Asked, RemedyKind, filled, first_that_runs


class RunbookParameters(Parameters):
    """`name`: which of the runbooks that the labels of the service have."""

    name: str = Field(min_length=1)


class CommandLine(RunbookParameters):
    """What it is by its label; it must exit with 0 within `timeout_s` seconds."""

    command: tuple[str, ...]
    timeout_s: float = Field(default=60.0, gt=0)


@dataclass(frozen=True)
class RunbookUndo(Undo):
    """Nothing can be taken back; `command` in the container finishes what was interrupted."""

    name: str
    command: tuple[str, ...]


RunbookPart = ContainerFault[CommandLine, RunbookUndo]


def command_of(name: str, labels: Mapping[str, str]) -> tuple[str, ...] | None:
    """The words of a runbook's command; None if there is no such runbook.

    TargetError if its label is no command line.
    """
    line = runbooks_of(labels).get(name)
    if line is None:
        return None
    try:
        words = tuple(shlex.split(line))
    except ValueError as error:
        raise TargetError(f"label {RUNBOOK}{name}: {error}", "write it as for a shell") from error
    if not words:
        raise TargetError(f"label {RUNBOOK}{name}: it is empty", "write the command line")
    return words


def _settle(asked: Asked) -> Parameters:
    name, labels = asked.parameters.name, asked.container.labels
    words = command_of(name, labels)
    if words is None:
        there = ", ".join(sorted(runbooks_of(labels))) or "none"
        text = f"{asked.container.service} has no runbook {name}; there are: {there}"
        raise TargetError(text, f"label {RUNBOOK}{name}: COMMAND")
    return CommandLine(name=name, command=filled(words, asked), timeout_s=asked.spec.within_s)


def _record(part: RunbookPart) -> RunbookUndo:
    return RunbookUndo(*part.chosen, part.parameters.name, part.parameters.command)


def _is_done(part: RunbookPart) -> Proof:
    """It exited with 0."""
    return Proof(proven=bool(part.done), detail="")


def _nothing(_: RunbookUndo, __: Tools) -> None:
    """Whatever it has done is the target's state now."""


def _what_is_left(undo: RunbookUndo, _: Tools) -> Proof:
    """It is only asked of one that was not done."""
    line = shlex.join(("docker", "exec", undo.containers[0].name, *undo.command))
    what = f"the runbook {undo.name} was interrupted or failed, and may have done a part"
    return Proof(proven=True, detail=f"{what}; to finish it, run it again: {line}")


KIND = RemedyKind(
    RunbookParameters,
    ContainerKind(
        CommandLine, RunbookUndo, choose=pick_container, record=_record,
        inject=run, proof=_is_done, heal=_nothing, healed=_what_is_left,
    ),
    choose=first_that_runs, settle=_settle,
)  # fmt: skip
