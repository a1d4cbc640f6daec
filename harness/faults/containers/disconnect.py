"""disconnect: the container loses its networks (or one of them) and keeps running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import TargetError
from harness.faults.base import Parameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo
from harness.faults.watch import gone, touched
from harness.model.container import Attachment


class DisconnectParameters(Parameters):
    """`network`: one network, by its name in the Compose file or the engine's; default all."""

    network: str | None = None


@dataclass(frozen=True)
class DisconnectUndo(Undo):
    """`networks`: all that was configured, as the engine forgets it at once."""

    networks: Mapping[str, Attachment]


DisconnectFault = ContainerFault[DisconnectParameters, DisconnectUndo]


def _record(fault: DisconnectFault) -> DisconnectUndo:
    """All its networks, or the one that was named: the engine's own name, else Compose's."""
    wanted, networks = fault.parameters.network, fault.target.networks
    if wanted is None and networks:
        return DisconnectUndo(*fault.chosen, dict(networks))
    compose = fault.tools.engine.network_names() if wanted not in networks else {}
    cut = {name: was for name, was in networks.items() if wanted in (name, compose.get(name))}
    if not cut:
        known = ", ".join(sorted(compose.get(name, name) for name in networks)) or "none"
        text = f"{fault.target.service} is not on a network {wanted or 'at all'}; it is on:"
        raise TargetError(f"{text} {known}")
    return DisconnectUndo(*fault.chosen, cut)


def _cut_off(fault: DisconnectFault) -> str:
    """A partition."""
    for name in fault.undo.networks:
        fault.tools.engine.disconnect(fault.target.id, name)
    return f"cut {fault.target.service} off"


def _is_off(fault: DisconnectFault) -> Proof:
    """The engine lists it on none of them."""
    found, cut = fault.now(), fault.undo.networks
    if found is None:
        return Proof(proven=False, detail=f"{fault.target.service} is gone")
    left = sorted(cut.keys() & found.networks.keys())
    detail = f"still on {', '.join(left)}" if left else f"off {', '.join(sorted(cut))}"
    return Proof(proven=not left, detail=detail)


def _connect(undo: DisconnectUndo, tools: Tools) -> None:
    """Put it back where it is missing, as it was: addresses, names, links and options."""
    found = touched(undo, tools)
    for name, was in undo.networks.items():
        if found is not None and name not in found.networks:
            tools.engine.connect(found.id, name, was)


def _is_back(undo: DisconnectUndo, tools: Tools) -> Proof:
    """It is on all of them, and each setting is what it was."""
    found = touched(undo, tools)
    if found is None:
        return gone(undo)
    wrong: list[str] = []
    for name, was in undo.networks.items():
        if name not in found.networks:
            wrong.append(f"not back on {name}")
        else:
            wrong += [f"{name}: {text}" for text in found.networks[name].lacks(was)]
    return Proof(proven=not wrong, detail="; ".join(wrong) or "connected as it was")


KIND = ContainerKind(
    DisconnectParameters, DisconnectUndo, record=_record,
    inject=_cut_off, proof=_is_off, heal=_connect, healed=_is_back,
    is_at_once=True, takes_member=True, lasts=True,
)  # fmt: skip
