"""start: a standby container is started, as an operator who adds capacity does."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, NoParameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_container
from harness.faults.watch import touched
from harness.model.container import Container
from harness.model.experiment import FaultSpec


@dataclass
class Start:
    """Not a fault but a change; healing takes it back."""

    spec: FaultSpec
    parameters: NoParameters
    tools: Tools
    _target: Container = field(init=False)

    def prepare(self) -> Undo:
        """Heal = stop it again."""
        self._target = pick_container(self.spec.selector, self.tools)
        if self._target.is_running:
            raise TargetError(f"{self._target.service} runs already", "choose a standby")
        return container_undo("start", self._target)

    def inject(self) -> Effect:
        """Start it."""
        start_s = self.tools.clock.now_s()
        self.tools.engine.start(self._target.id)
        return Effect(start_s, detail=f"started {self._target.service}")

    def is_active(self) -> Proof:
        """It runs."""
        found = self.tools.engine.inspect(self._target.id)
        if found is None or not found.is_running:
            return Proof(proven=False, detail=f"{self._target.service} does not run")
        effect_s = self.tools.clock.monotonic_of(found.started_s)
        return Proof(proven=True, detail="running", effect_s=effect_s)

    def heal(self, undo: Undo) -> None:
        """Stop it."""
        found = touched(undo, self.tools)
        if found is not None and found.status in ("running", "restarting", "paused"):
            self.tools.engine.stop(found.id)

    def is_healed(self, undo: Undo) -> Proof:
        """It does not run."""
        found = touched(undo, self.tools)
        status = found.status if found else "gone"
        is_down = status in ("exited", "created", "gone")
        return Proof(proven=is_down, detail=f"{undo['target']} is {status}")


KIND = FaultKind(NoParameters, CONTAINER, Start, lasts=True)
