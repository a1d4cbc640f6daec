"""limit_cpu: the container gets less processor time.

The engine keeps a limit as NanoCpus (Compose: `cpus`) or as a quota of microseconds in each period
(`cpu_quota`), and refuses to mix them. So the fault speaks the form that is there; without a limit
a quota, because only that can be taken away again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import touched
from harness.model.container import Container
from harness.model.experiment import FaultSpec

PERIOD_US = 100_000  # the kernel's own, where none is set
NO_QUOTA = -1  # to the engine 0 means: leave it as it is


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

    def prepare(self) -> Undo:
        """Heal = the limit it had, or none."""
        self._target = pick_running(self.spec.selector, self.tools)
        had = _cpus(self._target)
        if had and had <= self.parameters.cpus:
            text = f"{self._target.service} has {had:g} CPUs"
            text += f", so {self.parameters.cpus:g} limit nothing"
            raise TargetError(text, "give it fewer `cpus`")
        return container_undo("limit_cpu", self._target, limits=_limits(self._target))

    @property
    def _wanted(self) -> dict[str, int]:
        if self._target.nano_cpus:
            return {"NanoCpus": round(self.parameters.cpus * 1e9)}
        return {"CpuQuota": round(self.parameters.cpus * _period_us(self._target))}

    def inject(self) -> Effect:
        """Set the limit."""
        start_s = self.tools.clock.now_s()
        self.tools.engine.update(self._target.id, **self._wanted)
        detail = f"{self._target.service} has {self.parameters.cpus} CPUs"
        return Effect(start_s, self.tools.clock.now_s(), detail)

    def is_active(self) -> Proof:
        """The engine has the limit."""
        found = self.tools.engine.inspect(self._target.id)
        is_set = found is not None and _limits(found) == self._wanted
        return Proof(proven=is_set, detail=_words(found))

    def heal(self, undo: Undo) -> None:
        """Set the old limit, or none."""
        found = touched(undo, self.tools)
        was = _recorded(undo)
        if found is not None and _limits(found) != was:
            limits = {name: value or NO_QUOTA for name, value in was.items()}
            self.tools.engine.update(found.id, **limits)

    def is_healed(self, undo: Undo) -> Proof:
        """The engine has the old limit, or none."""
        found = touched(undo, self.tools)
        if found is None:
            return Proof(proven=True, detail=f"{undo['target']} does not exist any more")
        return Proof(proven=_limits(found) == _recorded(undo), detail=_words(found))


def _limits(container: Container) -> dict[str, int]:
    """The limit in the engine's own terms; a quota of 0 is none."""
    if container.nano_cpus:
        return {"NanoCpus": container.nano_cpus}
    return {"CpuQuota": container.cpu_quota_us}


def _recorded(undo: Undo) -> dict[str, int]:
    """The limit it had; an earlier version recorded `nano_cpus`, and all processors for none."""
    if "limits" in undo:
        return dict(undo["limits"])
    return {"NanoCpus": undo["nano_cpus"] or (os.cpu_count() or 1) * 1_000_000_000}


def _cpus(container: Container) -> float:
    """How many processors it may use, 0 for no limit."""
    if container.nano_cpus:
        return container.nano_cpus / 1e9
    return container.cpu_quota_us / _period_us(container)


def _period_us(container: Container) -> int:
    return container.cpu_period_us or PERIOD_US


def _words(container: Container | None) -> str:
    if container is None:
        return "the container is gone"
    cpus = _cpus(container)
    return f"limit {cpus:g} CPUs" if cpus else "no limit"


KIND = FaultKind(CpuParameters, CONTAINER, LimitCpu, lasts=True)
