"""wipe: the container is killed and its data volumes are emptied, as when a disk is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, NoParameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import runs_again, start_again
from harness.model.container import Container
from harness.model.experiment import FaultSpec


@dataclass
class Wipe:
    """Data is gone for good: healing starts the container, the target must rebuild the rest."""

    spec: FaultSpec
    parameters: NoParameters
    tools: Tools
    _target: Container = field(init=False)
    _emptied: bool = False

    def prepare(self) -> Undo:
        """Heal = start the same container on its empty volumes."""
        self._target = pick_running(self.spec.selector, self.tools)
        if not self._target.volumes:
            raise TargetError(f"{self._target.service} has no named volume to wipe")
        return container_undo("wipe", self._target, volumes=list(self._target.volumes))

    def inject(self) -> Effect:
        """SIGKILL, then delete everything."""
        start_s = self.tools.clock.now_s()
        self.tools.engine.kill(self._target.id)
        self.tools.engine.empty_volumes(self._target.id)
        self._emptied = True
        return Effect(start_s, detail=f"killed {self._target.service} and emptied its volumes")

    def is_active(self) -> Proof:
        """It has exited and its volumes were emptied."""
        found = self.tools.engine.inspect(self._target.id)
        if found is None or found.status != "exited" or not self._emptied:
            return Proof(
                proven=False,
                detail=f"{self._target.service} is {found.status if found else 'gone'}",
            )
        effect_s = self.tools.clock.monotonic_of(found.finished_s)
        return Proof(proven=True, detail="exited, volumes empty", effect_s=effect_s)

    def heal(self, undo: Undo) -> None:
        """Start it."""
        start_again(undo, self.tools)

    def is_healed(self, undo: Undo) -> Proof:
        """It runs."""
        return runs_again(undo, self.tools)


KIND = FaultKind(NoParameters, CONTAINER, Wipe, takes_member=True, lasts=True)
