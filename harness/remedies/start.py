"""start: containers that do not run are started: a standby, or what was stopped before.

A standby is stopped again at the end; what ran before the run just stays up.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.faults.base import NoParameters, Parameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.target import pick_container
from harness.faults.undo_record import Undo
from harness.faults.watch import touched
from harness.remedies.base import UP, Asked, RemedyKind, all_that


class StartParameters(Parameters):
    """`stays_up`: it is not stopped again, because it ran before."""

    stays_up: bool = False


@dataclass(frozen=True)
class StartUndo(Undo):
    """`stays_up`: there is nothing to take back."""

    stays_up: bool = False


StartPart = ContainerFault[StartParameters, StartUndo]


def _settle(asked: Asked) -> StartParameters:
    """A standby is meant to be down, as is what was never started."""
    one = asked.container
    is_new = one.is_standby or one.status == "created"
    return StartParameters(stays_up=not is_new and asked.spec.for_s is None)


def _record(part: StartPart) -> StartUndo:
    return StartUndo(*part.chosen, stays_up=part.parameters.stays_up)


def _start(part: StartPart) -> str:
    """What an operator does who adds capacity, or brings a service back."""
    part.tools.engine.start(part.target.id)
    return f"started {part.target.service}"


def _is_up(part: StartPart) -> Proof:
    """It runs."""
    found = part.now()
    if found is None or not found.is_running:
        return Proof(proven=False, detail=f"{part.target.service} does not run")
    effect_s = part.tools.clock.monotonic_of(found.started_s)
    return Proof(proven=True, detail="running", effect_s=effect_s)


def _stop(undo: StartUndo, tools: Tools) -> None:
    found = touched(undo, tools)
    if not undo.stays_up and found is not None and found.status in UP:
        tools.engine.stop(found.id)


def _is_down(undo: StartUndo, tools: Tools) -> Proof:
    found = touched(undo, tools)
    status = found.status if found else "gone"
    is_down = undo.stays_up or status in ("exited", "created", "gone")
    return Proof(proven=is_down, detail=f"{undo.target} is {status}")


KIND = RemedyKind(
    NoParameters,
    ContainerKind(
        StartParameters, StartUndo, choose=pick_container, record=_record,
        inject=_start, proof=_is_up, heal=_stop, healed=_is_down,
    ),
    choose=all_that(lambda one: one.status not in UP, "choose a service that does not run"),
    settle=_settle, is_kept=lambda undo: not undo.stays_up, can_end=lambda _: True,
    ends_faults=True,
)  # fmt: skip
