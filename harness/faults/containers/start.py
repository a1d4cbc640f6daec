"""start: a standby container is started, as an operator who adds capacity does."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import TargetError
from harness.faults.base import NoParameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.target import pick_container
from harness.faults.undo_record import Undo
from harness.faults.watch import touched
from harness.model.container import Container

StartFault = ContainerFault[NoParameters, Undo]


def _standby(selector: Mapping[str, str], tools: Tools) -> Container:
    """The one container meant; TargetError if it runs: then healing would stop what was up."""
    found = pick_container(selector, tools)
    if found.is_running:
        raise TargetError(f"{found.service} runs already", "choose a standby")
    return found


def _start(fault: StartFault) -> str:
    """Not a fault but a change; healing takes it back."""
    fault.tools.engine.start(fault.target.id)
    return f"started {fault.target.service}"


def _is_up(fault: StartFault) -> Proof:
    """It runs."""
    found = fault.now()
    if found is None or not found.is_running:
        return Proof(proven=False, detail=f"{fault.target.service} does not run")
    effect_s = fault.tools.clock.monotonic_of(found.started_s)
    return Proof(proven=True, detail="running", effect_s=effect_s)


def _stop(undo: Undo, tools: Tools) -> None:
    found = touched(undo, tools)
    if found is not None and found.status in ("running", "restarting", "paused"):
        tools.engine.stop(found.id)


def _is_down(undo: Undo, tools: Tools) -> Proof:
    found = touched(undo, tools)
    status = found.status if found else "gone"
    is_down = status in ("exited", "created", "gone")
    return Proof(proven=is_down, detail=f"{undo.target} is {status}")


KIND = ContainerKind(
    NoParameters, Undo, choose=_standby,
    inject=_start, proof=_is_up, heal=_stop, healed=_is_down,
    lasts=True,
)  # fmt: skip
