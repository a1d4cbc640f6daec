"""limit_cpu: the container gets less processor time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from pydantic import Field

from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_container
from harness.faults.watch import touched
from harness.model.container import Container
from harness.model.experiment import FaultSpec


class CpuParameters(Parameters):
    """`cpus`: how many processors it may use, such as 0.1."""

    cpus: float = Field(ge=0.01, le=64)


@dataclass
class LimitCpu:
    """A slow neighbour or a throttled instance."""

    spec: FaultSpec
    parameters: CpuParameters
    tools: Tools
    _target: Container = field(init=False)

    @property
    def _nano_cpus(self) -> int:
        return round(self.parameters.cpus * 1e9)

    def prepare(self) -> Undo:
        """Heal = the limit it had; a container without one gets all processors of its host."""
        self._target = pick_container(self.spec.selector, self.tools)
        return container_undo("limit_cpu", self._target, nano_cpus=self._target.nano_cpus)

    def inject(self) -> Effect:
        """Set the limit."""
        start_s = self.tools.clock.now_s()
        self.tools.engine.update(self._target.id, NanoCpus=self._nano_cpus)
        detail = f"{self._target.service} has {self.parameters.cpus} CPUs"
        return Effect(start_s, self.tools.clock.now_s(), detail)

    def is_active(self) -> Proof:
        """The engine has the limit."""
        found = self.tools.engine.inspect(self._target.id)
        limit = found.nano_cpus if found else 0
        return Proof(proven=limit == self._nano_cpus, detail=f"limit {limit / 1e9:g} CPUs")

    def heal(self, undo: Undo) -> None:
        """Set the old limit."""
        found = touched(undo, self.tools)
        wanted = _restored(undo)
        if found is not None and found.nano_cpus != wanted:
            self.tools.engine.update(found.id, NanoCpus=wanted)

    def is_healed(self, undo: Undo) -> Proof:
        """The engine has the old limit."""
        found = touched(undo, self.tools)
        if found is None:
            return Proof(proven=True, detail=f"{undo['target']} does not exist any more")
        return Proof(
            proven=found.nano_cpus == _restored(undo),
            detail=f"limit {found.nano_cpus / 1e9:g} CPUs",
        )


def _restored(undo: Undo) -> int:
    return int(undo["nano_cpus"]) or _host_nano_cpus()


def _host_nano_cpus() -> int:
    """The engine cannot take a limit away again (0 means unchanged), but set one without effect."""
    return (os.cpu_count() or 1) * 1_000_000_000


KIND = FaultKind(CpuParameters, CONTAINER, LimitCpu)
