"""limit_memory: the container gets less memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import Parameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import gone, start_again, touched
from harness.model.container import Container

MIB = 1024 * 1024


class MemoryParameters(Parameters):
    """`mib`: the limit in MiB; swap is not given beyond it."""

    mib: int = Field(ge=6, le=1_000_000)


@dataclass(frozen=True)
class LimitUndo(Undo):
    """`limits`: what it had, in the engine's own terms, in bytes."""

    limits: Mapping[str, int]


LimitFault = ContainerFault[MemoryParameters, LimitUndo]


def _record(fault: LimitFault) -> LimitUndo:
    """The limits it had; TargetError for none, since the engine cannot take one away again."""
    service, was = fault.target.service, _limits(fault.target)
    if not was["Memory"]:
        raise TargetError(f"{service} has no memory limit", "set mem_limit")
    if was["Memory"] <= fault.parameters.mib * MIB:
        had = f"{service} has {was['Memory'] / MIB:.0f} MiB"
        raise TargetError(f"{had}, so {fault.parameters.mib} limit nothing", "give it less `mib`")
    return LimitUndo(*fault.chosen, limits=was)


def _limit(fault: LimitFault) -> str:
    """Memory pressure; a limit below what is in use is refused by some kernels."""
    limit = fault.parameters.mib * MIB
    fault.tools.engine.update(fault.target.id, Memory=limit, MemorySwap=limit)
    return f"{fault.target.service} has {fault.parameters.mib} MiB"


def _is_limited(fault: LimitFault) -> Proof:
    """The engine has the limit."""
    found = fault.now()
    limit = found.memory_bytes if found else 0
    return Proof(proven=limit == fault.parameters.mib * MIB, detail=f"limit {limit / MIB:.0f} MiB")


def _restore(undo: LimitUndo, tools: Tools) -> None:
    """Set the old limits, swap included, and start it if the limit was its end."""
    found = touched(undo, tools)
    if found is not None and _limits(found) != undo.limits:
        tools.engine.update(found.id, **undo.limits)
    start_again(undo, tools)


def _is_restored(undo: LimitUndo, tools: Tools) -> Proof:
    """The engine has the old limits, and the container runs."""
    found = touched(undo, tools)
    if found is None:
        return gone(undo)
    memory, swap = found.memory_bytes / MIB, found.memory_swap_bytes / MIB
    return Proof(
        proven=_limits(found) == undo.limits and found.is_running,
        detail=f"limit {memory:.0f} MiB, with swap {swap:.0f} MiB; it is {found.status}",
    )


def _limits(container: Container) -> dict[str, int]:
    """In the engine's own terms; MemorySwap is memory and swap together."""
    return {"Memory": container.memory_bytes, "MemorySwap": container.memory_swap_bytes}


KIND = ContainerKind(
    MemoryParameters, LimitUndo, record=_record,
    inject=_limit, proof=_is_limited, heal=_restore, healed=_is_restored,
    is_at_once=True, lasts=True,
)  # fmt: skip
