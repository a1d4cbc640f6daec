"""disconnect: the container loses its networks (or one of them) and keeps running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import touched
from harness.model.container import Attachment, Container
from harness.model.experiment import FaultSpec


class DisconnectParameters(Parameters):
    """`network`: one network, by its name in the Compose file or the engine's; default all."""

    network: str | None = None


@dataclass
class Disconnect:
    """A partition. All that was configured is recorded, as the engine forgets it at once."""

    spec: FaultSpec
    parameters: DisconnectParameters
    tools: Tools
    _target: Container = field(init=False)
    _networks: dict[str, Attachment] = field(init=False)

    def prepare(self) -> Undo:
        """Heal = connect as it was: addresses, names, links and options."""
        self._target = pick_running(self.spec.selector, self.tools)
        self._networks = self._wanted(self._target.networks)
        attachments = {name: asdict(attachment) for name, attachment in self._networks.items()}
        return container_undo("disconnect", self._target, networks=attachments)

    def _wanted(self, networks: Mapping[str, Attachment]) -> dict[str, Attachment]:
        """All of them, or the one that was named: the engine's own name, else Compose's."""
        wanted = self.parameters.network
        if wanted is None and networks:
            return dict(networks)
        compose = self.tools.engine.network_names() if wanted not in networks else {}
        names = [n for n in networks if wanted in (n, compose.get(n))]
        if not names:
            known = ", ".join(sorted(compose.get(name, name) for name in networks)) or "none"
            text = f"{self._target.service} is not on a network {wanted or 'at all'}; it is on:"
            raise TargetError(f"{text} {known}")
        return {name: networks[name] for name in names}

    def inject(self) -> Effect:
        """Take it off."""
        start_s = self.tools.clock.now_s()
        for name in self._networks:
            self.tools.engine.disconnect(self._target.id, name)
        return Effect(start_s, self.tools.clock.now_s(), f"cut {self._target.service} off")

    def is_active(self) -> Proof:
        """The engine lists it on none of them."""
        found = self.tools.engine.inspect(self._target.id)
        if found is None:
            return Proof(proven=False, detail=f"{self._target.service} is gone")
        left = sorted(self._networks.keys() & found.networks.keys())
        cut = ", ".join(sorted(self._networks))
        detail = f"still on {', '.join(left)}" if left else f"off {cut}"
        return Proof(proven=not left, detail=detail)

    def heal(self, undo: Undo) -> None:
        """Put it back where it is missing."""
        found = touched(undo, self.tools)
        for name, was in _recorded(undo).items():
            if found is not None and name not in found.networks:
                self.tools.engine.connect(found.id, name, was)

    def is_healed(self, undo: Undo) -> Proof:
        """It is on all of them, and each setting is what it was."""
        found = touched(undo, self.tools)
        if found is None:
            return Proof(proven=True, detail=f"{undo['target']} does not exist any more")
        wrong = []
        for name, was in _recorded(undo).items():
            if name not in found.networks:
                wrong.append(f"not back on {name}")
            else:
                wrong += [f"{name}: {text}" for text in found.networks[name].lacks(was)]
        return Proof(proven=not wrong, detail="; ".join(wrong) or "connected as it was")


def _recorded(undo: Undo) -> dict[str, Attachment]:
    return {name: _attachment(was) for name, was in undo["networks"].items()}


def _attachment(was: Mapping[str, Any]) -> Attachment:
    """From JSON; a record of an earlier version has fewer fields."""
    facts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in was.items()}
    return Attachment(**facts)


KIND = FaultKind(DisconnectParameters, CONTAINER, Disconnect, takes_member=True, lasts=True)
