"""Waiting for, and proving, what happens to a container; the steps that several kinds share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.faults.base import Proof, Tools
from harness.faults.container_kind import ContainerFault
from harness.faults.undo_record import Undo
from harness.model.clock import wait_until
from harness.model.container import Container, ContainerEvent

POLL_S = 0.1


def wait_for(tools: Tools, seen: Callable[[], Proof], timeout_s: float) -> Proof:
    """The first proven proof, or the last one when the time is up."""
    proof, _ = wait_until(tools.clock, timeout_s, seen, lambda last: last.proven, POLL_S)
    return proof


def event_since(fault: ContainerFault[Any, Any], action: str) -> ContainerEvent | None:
    """The first event `action` of the container since it was injected, None if there was none."""
    for event in fault.tools.engine.events(fault.wall_s, fault.tools.clock.wall_s()):
        if event.container_id == fault.target.id and event.action == action:
            return event
    return None


def exited(fault: ContainerFault[Any, Any]) -> Proof:
    """Proven when the engine says it has exited; the effect is when it finished."""
    found = fault.now()
    if found is None or found.status != "exited":
        return Proof(proven=False, detail=seen_as(fault, found))
    effect_s = fault.tools.clock.monotonic_of(found.finished_s)
    return Proof(proven=True, detail=f"exited with {found.exit_code}", effect_s=effect_s)


def seen_as(fault: ContainerFault[Any, Any], found: Container | None) -> str:
    """The status of the container in words."""
    return f"{fault.target.service} is {found.status if found else 'gone'}"


def touched(undo: Undo, tools: Tools) -> Container | None:
    """The container of `undo` as it is now."""
    return tools.engine.inspect(undo.containers[0].id)


def start_again(undo: Undo, tools: Tools) -> None:
    """Start the container of `undo` unless it runs or is gone."""
    found = touched(undo, tools)
    if found is not None and not found.is_running:
        tools.engine.start(found.id)


def runs_again(undo: Undo, tools: Tools) -> Proof:
    """Proven when the container of `undo` runs, or does not exist any more."""
    return _runs(undo, touched(undo, tools))


def came_back(undo: Undo, tools: Tools) -> Proof:
    """As `runs_again`; `restarted_by_itself` says whether its restart policy did that."""
    found = touched(undo, tools)
    by_itself = found is not None and found.restart_count > 0
    return replace(_runs(undo, found), facts={"restarted_by_itself": by_itself})


def gone(undo: Undo) -> Proof:
    """Proven: what does not exist has nothing to heal."""
    return Proof(proven=True, detail=f"{undo.target} does not exist any more")


def without_processes(undo: Undo, found: Container | None) -> Proof:
    """Proven: in a container that is gone or does not run, whatever ran has ended."""
    if found is None:
        return gone(undo)
    return Proof(proven=True, detail=f"{found.service} is {found.status}")


def _runs(undo: Undo, found: Container | None) -> Proof:
    if found is None:
        return gone(undo)
    return Proof(proven=found.is_running, detail=f"{found.service} is {found.status}")
