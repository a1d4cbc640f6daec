"""stop: SIGTERM, then SIGKILL after a grace period, as `docker stop` does. Stays down."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import runs_again, start_again
from harness.model.container import Container
from harness.model.experiment import FaultSpec


class StopParameters(Parameters):
    """`grace_s`: seconds between SIGTERM and SIGKILL."""

    grace_s: int = Field(default=10, ge=0, le=60)


@dataclass
class Stop:
    """A clean end: what a deployment or a maintenance does."""

    spec: FaultSpec
    parameters: StopParameters
    tools: Tools
    _target: Container = field(init=False)

    def prepare(self) -> Undo:
        """Heal = start the same container."""
        self._target = pick_running(self.spec.selector, self.tools)
        return container_undo("stop", self._target)

    def inject(self) -> Effect:
        """Ask it to end."""
        start_s = self.tools.clock.now_s()
        self.tools.engine.stop(self._target.id, self.parameters.grace_s)
        return Effect(start_s, detail=f"SIGTERM to {self._target.service}")

    def is_active(self) -> Proof:
        """The engine says it has exited."""
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


KIND = FaultKind(StopParameters, CONTAINER, Stop, takes_member=True, lasts=True)
