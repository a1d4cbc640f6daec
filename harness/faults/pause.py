"""pause: the container's processes are frozen; its connections stay open and silent."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.faults.base import CONTAINER, Effect, FaultKind, NoParameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import runs_again, touched
from harness.model.container import Container
from harness.model.experiment import FaultSpec


@dataclass
class Pause:
    """A hang: the hardest failure to detect."""

    spec: FaultSpec
    parameters: NoParameters
    tools: Tools
    _target: Container = field(init=False)

    def prepare(self) -> Undo:
        """Heal = thaw."""
        self._target = pick_running(self.spec.selector, self.tools)
        return container_undo("pause", self._target)

    def inject(self) -> Effect:
        """Freeze."""
        start_s = self.tools.clock.now_s()
        self.tools.engine.pause(self._target.id)
        return Effect(start_s, self.tools.clock.now_s(), f"froze {self._target.service}")

    def is_active(self) -> Proof:
        """The engine says it is paused."""
        found = self.tools.engine.inspect(self._target.id)
        status = found.status if found else "gone"
        return Proof(proven=status == "paused", detail=f"{self._target.service} is {status}")

    def heal(self, undo: Undo) -> None:
        """Thaw."""
        found = touched(undo, self.tools)
        if found is not None and found.status == "paused":
            self.tools.engine.unpause(found.id)

    def is_healed(self, undo: Undo) -> Proof:
        """It runs."""
        return runs_again(undo, self.tools)


KIND = FaultKind(NoParameters, CONTAINER, Pause, takes_member=True, lasts=True)
