"""flush_cache: all keys of a Redis are deleted, once."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, NoParameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.model.container import Container
from harness.model.experiment import FaultSpec

FLUSH = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli FLUSHDB'


@dataclass
class FlushCache:
    """A cold cache under full traffic. There is nothing to heal: traffic fills it again."""

    spec: FaultSpec
    parameters: NoParameters
    tools: Tools
    _target: Container = field(init=False)
    _answer: str = ""

    def prepare(self) -> Undo:
        """Nothing to undo."""
        self._target = pick_running(self.spec.selector, self.tools)
        return container_undo("flush_cache", self._target)

    def inject(self) -> Effect:
        """FLUSHDB inside the container; the password stays there."""
        start_s = self.tools.clock.now_s()
        code, output = self.tools.engine.execute(self._target.id, ["sh", "-c", FLUSH])
        self._answer = output.strip()
        if code != 0:
            raise TargetError(f"{self._target.service}: redis-cli exited with {code}: {output}")
        return Effect(start_s, self.tools.clock.now_s(), f"FLUSHDB: {self._answer}")

    def is_active(self) -> Proof:
        """Redis said OK; counting keys would race with the traffic."""
        return Proof(proven=self._answer == "OK", detail=f"FLUSHDB: {self._answer}")

    def heal(self, undo: Undo) -> None:
        """Nothing to do."""

    def is_healed(self, undo: Undo) -> Proof:
        """Always: it lasts no time."""
        return Proof(proven=True, detail=f"{undo['target']}: nothing to heal")


KIND = FaultKind(NoParameters, CONTAINER, FlushCache)
