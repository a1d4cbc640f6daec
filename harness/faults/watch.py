"""Waiting for, and proving, what happens to a container."""

from __future__ import annotations

from collections.abc import Callable

from harness.faults.base import Proof, Tools, Undo
from harness.model.container import Container, ContainerEvent

POLL_S = 0.1


def wait_for(tools: Tools, seen: Callable[[], Proof], timeout_s: float) -> Proof:
    """The first proven proof, or the last one when the time is up."""
    deadline_s = tools.clock.now_s() + timeout_s
    while True:
        proof = seen()
        now_s = tools.clock.now_s()
        if proof.proven or now_s >= deadline_s:
            return proof
        tools.clock.sleep_until_s(now_s + POLL_S)


def death_since(
    tools: Tools, container: Container, since_wall_s: float, action: str = "die"
) -> ContainerEvent | None:
    """The first event `action` of the container since a wall time, None if there was none."""
    for event in tools.engine.events(since_wall_s, tools.clock.wall_s()):
        if event.container_id == container.id and event.action == action:
            return event
    return None


def start_again(undo: Undo, tools: Tools) -> None:
    """Start the container of `undo` unless it runs or is gone."""
    found = touched(undo, tools)
    if found is not None and not found.is_running:
        tools.engine.start(found.id)


def runs_again(undo: Undo, tools: Tools) -> Proof:
    """Proven when the container of `undo` runs, or does not exist any more."""
    found = touched(undo, tools)
    if found is None:
        return Proof(proven=True, detail=f"{undo['target']} does not exist any more")
    return Proof(proven=found.is_running, detail=f"{found.service} is {found.status}")


def touched(undo: Undo, tools: Tools) -> Container | None:
    """The container of `undo` as it is now."""
    return tools.engine.inspect(undo["containers"][0]["id"])
