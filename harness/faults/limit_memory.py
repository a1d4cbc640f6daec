"""limit_memory: the container gets less memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import start_again, touched
from harness.model.container import Container
from harness.model.experiment import FaultSpec

MIB = 1024 * 1024


class MemoryParameters(Parameters):
    """`mib`: the limit in MiB; swap is not given beyond it."""

    mib: int = Field(ge=6, le=1_000_000)


@dataclass
class LimitMemory:
    """Memory pressure; a limit below what is in use is refused by some kernels."""

    spec: FaultSpec
    parameters: MemoryParameters
    tools: Tools
    _target: Container = field(init=False)

    def prepare(self) -> Undo:
        """Heal = the limit it had; one is needed, since the engine cannot take it away again."""
        self._target = pick_running(self.spec.selector, self.tools)
        was = _limits(self._target)
        if not was["Memory"]:
            raise TargetError(f"{self._target.service} has no memory limit", "set mem_limit")
        if was["Memory"] <= self.parameters.mib * MIB:
            had = f"{self._target.service} has {was['Memory'] / MIB:.0f} MiB"
            raise TargetError(
                f"{had}, so {self.parameters.mib} limit nothing", "give it less `mib`"
            )
        return container_undo("limit_memory", self._target, limits=was)

    def inject(self) -> Effect:
        """Set the limit."""
        limit = self.parameters.mib * MIB
        start_s = self.tools.clock.now_s()
        self.tools.engine.update(self._target.id, Memory=limit, MemorySwap=limit)
        detail = f"{self._target.service} has {self.parameters.mib} MiB"
        return Effect(start_s, self.tools.clock.now_s(), detail)

    def is_active(self) -> Proof:
        """The engine has the limit."""
        found = self.tools.engine.inspect(self._target.id)
        limit = found.memory_bytes if found else 0
        return Proof(
            proven=limit == self.parameters.mib * MIB, detail=f"limit {limit / MIB:.0f} MiB"
        )

    def heal(self, undo: Undo) -> None:
        """Set the old limits, swap included, and start it if the limit was its end."""
        found = touched(undo, self.tools)
        if found is not None and _limits(found) != undo["limits"]:
            self.tools.engine.update(found.id, **undo["limits"])
        start_again(undo, self.tools)

    def is_healed(self, undo: Undo) -> Proof:
        """The engine has the old limits, and the container runs."""
        found = touched(undo, self.tools)
        if found is None:
            return Proof(proven=True, detail=f"{undo['target']} does not exist any more")
        memory, swap = found.memory_bytes / MIB, found.memory_swap_bytes / MIB
        return Proof(
            proven=_limits(found) == undo["limits"] and found.is_running,
            detail=f"limit {memory:.0f} MiB, with swap {swap:.0f} MiB; it is {found.status}",
        )


def _limits(container: Container) -> dict[str, int]:
    """In the engine's own terms; MemorySwap is memory and swap together."""
    return {"Memory": container.memory_bytes, "MemorySwap": container.memory_swap_bytes}


KIND = FaultKind(MemoryParameters, CONTAINER, LimitMemory, lasts=True)
