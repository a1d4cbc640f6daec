"""restart: stop and start through the engine, once."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.faults.base import CONTAINER, Effect, FaultKind, Proof, Tools, Undo
from harness.faults.stop import StopParameters
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import runs_again, start_again
from harness.model.container import Container
from harness.model.experiment import FaultSpec


@dataclass
class Restart:
    """What a deployment does to one instance."""

    spec: FaultSpec
    parameters: StopParameters
    tools: Tools
    _target: Container = field(init=False)

    def prepare(self) -> Undo:
        """Heal = start it, should the restart have stopped half way."""
        self._target = pick_running(self.spec.selector, self.tools)
        return container_undo("restart", self._target)

    def inject(self) -> Effect:
        """Stop and start; returns when it runs again."""
        start_s = self.tools.clock.now_s()
        self.tools.engine.restart(self._target.id, self.parameters.grace_s)
        return Effect(start_s, detail=f"restarted {self._target.service}")

    def is_active(self) -> Proof:
        """Its start time is a new one."""
        found = self.tools.engine.inspect(self._target.id)
        if found is None or found.started_s <= self._target.started_s:
            return Proof(proven=False, detail=f"{self._target.service} was not started anew")
        effect_s = self.tools.clock.monotonic_of(found.finished_s)
        return Proof(proven=True, detail="stopped and started", effect_s=effect_s)

    def heal(self, undo: Undo) -> None:
        """Start it if it does not run."""
        start_again(undo, self.tools)

    def is_healed(self, undo: Undo) -> Proof:
        """It runs."""
        return runs_again(undo, self.tools)


KIND = FaultKind(StopParameters, CONTAINER, Restart, takes_member=True)
