"""kill: SIGKILL through the engine. The container stays down until it is healed."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.faults.base import (
    CONTAINER,
    Effect,
    FaultKind,
    NoParameters,
    Proof,
    Tools,
    Undo,
)
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import runs_again, start_again
from harness.model.container import Container
from harness.model.experiment import FaultSpec


@dataclass
class Kill:
    """The engine counts this as a manual stop, so no restart policy acts."""

    spec: FaultSpec
    parameters: NoParameters
    tools: Tools
    _target: Container = field(init=False)

    def prepare(self) -> Undo:
        """Heal = start the same container."""
        self._target = pick_running(self.spec.selector, self.tools)
        return container_undo("kill", self._target)

    def inject(self) -> Effect:
        """SIGKILL."""
        start_s = self.tools.clock.now_s()
        self.tools.engine.kill(self._target.id)
        return Effect(start_s, detail=f"SIGKILL to {self._target.service}")

    def is_active(self) -> Proof:
        """The engine says it has exited; the effect is when it finished."""
        found = self.tools.engine.inspect(self._target.id)
        if found is None or found.status != "exited":
            return Proof(
                proven=False,
                detail=f"{self._target.service} is {found.status if found else 'gone'}",
            )
        effect_s = self.tools.clock.monotonic_of(found.finished_s)
        return Proof(proven=True, detail=f"exited with {found.exit_code}", effect_s=effect_s)

    def heal(self, undo: Undo) -> None:
        """Start it."""
        start_again(undo, self.tools)

    def is_healed(self, undo: Undo) -> Proof:
        """It runs."""
        return runs_again(undo, self.tools)


KIND = FaultKind(NoParameters, CONTAINER, Kill, takes_member=True, lasts=True)
