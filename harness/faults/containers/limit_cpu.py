"""limit_cpu: the container gets less processor time.

The engine keeps a limit as NanoCpus (Compose: `cpus`) or as a quota of microseconds in each period
(`cpu_quota`), and refuses to mix them. So the fault speaks the form that is there; without a limit
a quota, because only that can be taken away again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field
from typing_extensions import override

from harness.errors import TargetError
from harness.faults.base import Parameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import gone, touched
from harness.model.container import Container

NO_QUOTA = -1  # to the engine 0 means: leave it as it is


class CpuParameters(Parameters):
    """`cpus`: how many processors it may use, such as 0.1."""

    cpus: float = Field(ge=0.01, le=64)


@dataclass(frozen=True)
class CpuUndo(Undo):
    """`limits`: the limit it had, in the engine's own terms; a quota of 0 is none."""

    limits: Mapping[str, int]

    @classmethod
    @override
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """An earlier version wrote `nano_cpus`, and healed none with all processors."""
        if "nano_cpus" in raw:
            nano_cpus = raw["nano_cpus"] or (os.cpu_count() or 1) * 1_000_000_000
            raw = {**raw, "limits": {"NanoCpus": nano_cpus}}
        return super().from_json(raw)


CpuFault = ContainerFault[CpuParameters, CpuUndo]


def _record(fault: CpuFault) -> CpuUndo:
    """TargetError if it has no more than the fault would leave it."""
    had, cpus = fault.target.cpus, fault.parameters.cpus
    if had and had <= cpus:
        text = f"{fault.target.service} has {had:g} CPUs, so {cpus:g} limit nothing"
        raise TargetError(text, "give it fewer `cpus`")
    return CpuUndo(*fault.chosen, limits=_limits(fault.target))


def _wanted(fault: CpuFault) -> dict[str, int]:
    if fault.target.nano_cpus:
        return {"NanoCpus": round(fault.parameters.cpus * 1e9)}
    return {"CpuQuota": round(fault.parameters.cpus * fault.target.period_us)}


def _limit(fault: CpuFault) -> str:
    """A slow neighbour or a throttled instance."""
    fault.tools.engine.update(fault.target.id, **_wanted(fault))
    return f"{fault.target.service} has {fault.parameters.cpus} CPUs"


def _is_limited(fault: CpuFault) -> Proof:
    """The engine has the limit."""
    found = fault.now()
    is_set = found is not None and _limits(found) == _wanted(fault)
    return Proof(proven=is_set, detail=_words(found) if found else "the container is gone")


def _restore(undo: CpuUndo, tools: Tools) -> None:
    """Set the old limit, or none."""
    found = touched(undo, tools)
    if found is not None and _limits(found) != undo.limits:
        limits = {name: value or NO_QUOTA for name, value in undo.limits.items()}
        tools.engine.update(found.id, **limits)


def _is_restored(undo: CpuUndo, tools: Tools) -> Proof:
    """The engine has the old limit, or none."""
    found = touched(undo, tools)
    if found is None:
        return gone(undo)
    return Proof(proven=_limits(found) == undo.limits, detail=_words(found))


def _limits(container: Container) -> dict[str, int]:
    """The limit in the engine's own terms; a quota of 0 is none."""
    if container.nano_cpus:
        return {"NanoCpus": container.nano_cpus}
    return {"CpuQuota": container.cpu_quota_us}


def _words(container: Container) -> str:
    return f"limit {container.cpus:g} CPUs" if container.cpus else "no limit"


KIND = ContainerKind(
    CpuParameters, CpuUndo, record=_record,
    inject=_limit, proof=_is_limited, heal=_restore, healed=_is_restored,
    is_at_once=True, lasts=True,
)  # fmt: skip
