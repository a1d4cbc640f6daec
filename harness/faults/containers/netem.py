"""What `delay` and `loss` share: netem, a queue of the kernel, on every network of a container.

    app --[netem]--> eth0 ~~~~> the others        what the container sends waits, or is lost
    app <---------------------- the others        what it receives does not

It is put into the container's network namespace from outside, so the container needs no rights and
no tools, and what runs in it is not touched. A container that is started again has another
namespace: the fault is over then. The queue has a handle of its own, by which alone it is found and
removed.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeVar

from harness.errors import TargetError
from harness.faults.base import PacketQueue, Parameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import touched

HANDLE = "4a52:"  # any that nobody else would choose
DEFAULT = "0:"  # the kernel's own queue, which is there again once another one is removed
LOOPBACK_DEVICE = "lo"
PACKETS_MAX = 100_000  # netem drops what is more: at its default, 1000, a delay alone would lose


class NetemParameters(Parameters):
    """What netem is asked for."""

    @property
    @abstractmethod
    def rule(self) -> tuple[str, ...]:
        """In the words of `tc`."""


P = TypeVar("P", bound=NetemParameters)


@dataclass(frozen=True)
class NetemUndo(Undo):
    """`namespace`: the container's network namespace, a path; `devices`: all that are changed."""

    namespace: str
    devices: tuple[str, ...]


def netem_kind(parameters: type[P]) -> ContainerKind[P, NetemUndo]:
    """The kind whose rule is that of `parameters`."""
    return ContainerKind(
        parameters, NetemUndo, record=_record,
        inject=_queue, proof=_is_queued, heal=_remove, healed=_is_removed,
        is_at_once=True, lasts=True, needs_netem=True,
    )  # fmt: skip


def _record(fault: ContainerFault[P, NetemUndo]) -> NetemUndo:
    """TargetError if this machine cannot do it, or if it could not be undone."""
    packets, target = fault.tools.packets, fault.target
    if lack := packets.lacks():
        raise TargetError(lack, "or `latency` on a link: docs/YOUR_PROJECT.md")
    if not target.namespace:
        text = f"{target.service} has no network of its own (network_mode)"
        raise TargetError(text, "choose the container whose network it uses")
    queues = packets.queues(target.namespace)
    if queues is None:
        text = f"the network of {target.service}, {target.namespace}, is not on this machine"
        raise TargetError(text, "run the harness where the engine runs")
    found = {device: queue for device, queue in queues.items() if device != LOOPBACK_DEVICE}
    if not found:
        raise TargetError(f"{target.service} is on no network", "harness status")
    for device, queue in found.items():
        if queue.handle != DEFAULT:
            text = f"{device} of {target.service} has a queue already ({queue.kind} {queue.handle})"
            raise TargetError(text, "remove it: healing could not bring it back")
    return NetemUndo(*fault.chosen, namespace=target.namespace, devices=tuple(found))


def _queue(fault: ContainerFault[P, NetemUndo]) -> str:
    rule = ("limit", str(PACKETS_MAX), *fault.parameters.rule)
    for device in fault.undo.devices:
        fault.tools.packets.add(fault.undo.namespace, device, HANDLE, rule)
    words = " ".join(fault.parameters.rule)
    return f"{words} for what {fault.target.service} sends on {', '.join(fault.undo.devices)}"


def _is_queued(fault: ContainerFault[P, NetemUndo]) -> Proof:
    """The kernel lists the queue on every device."""
    queues = fault.tools.packets.queues(fault.undo.namespace) or {}
    missing = [d for d in fault.undo.devices if not _is_ours(queues.get(d))]
    if missing:
        return Proof(proven=False, detail=f"no netem on {', '.join(missing)}")
    said = "; ".join(f"{device}: {queues[device].options}" for device in fault.undo.devices)
    return Proof(proven=True, detail=f"the kernel has netem on {said}")


def _remove(undo: NetemUndo, tools: Tools) -> None:
    """Take away our own queues, and no others."""
    for device in _ours(undo, tools) or ():
        tools.packets.remove(undo.namespace, device, HANDLE)


def _is_removed(undo: NetemUndo, tools: Tools) -> Proof:
    """None is left, or the namespace has ended with all that was in it."""
    left = _ours(undo, tools)
    if left is None:
        found = touched(undo, tools)
        is_same = found is not None and found.namespace == undo.namespace
        detail = f"the network {undo.namespace} of {undo.target} is"
        return Proof(not is_same, f"{detail} not visible here" if is_same else f"{detail} gone")
    return Proof(not left, f"netem is left on {', '.join(left)}" if left else "no netem is left")


def _ours(undo: NetemUndo, tools: Tools) -> list[str] | None:
    """The devices that have our queue; None if the namespace is not there."""
    queues = tools.packets.queues(undo.namespace)
    if queues is None:
        return None
    return [device for device in undo.devices if _is_ours(queues.get(device))]


def _is_ours(queue: PacketQueue | None) -> bool:
    return queue is not None and (queue.kind, queue.handle) == ("netem", HANDLE)
