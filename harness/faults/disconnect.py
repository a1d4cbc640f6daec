"""disconnect: the container loses its networks (or one of them) and keeps running."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_container
from harness.faults.watch import touched
from harness.model.container import Attachment, Container
from harness.model.experiment import FaultSpec


class DisconnectParameters(Parameters):
    """`network`: the name of one network, with or without the project's prefix; default all."""

    network: str | None = None


@dataclass
class Disconnect:
    """A partition. Address and aliases are recorded, as the engine forgets them at once."""

    spec: FaultSpec
    parameters: DisconnectParameters
    tools: Tools
    _target: Container = field(init=False)
    _networks: dict[str, Attachment] = field(init=False)

    def prepare(self) -> Undo:
        """Heal = connect with the address and the names it had."""
        self._target = pick_container(self.spec.selector, self.tools)
        wanted = self.parameters.network
        self._networks = {
            name: attachment
            for name, attachment in self._target.networks.items()
            if wanted in (None, name, name.partition("_")[2])
        }
        if not self._networks:
            raise TargetError(f"{self._target.service} is not on a network {wanted!r}")
        attachments = {
            name: {"ipv4": attachment.ipv4, "aliases": list(attachment.aliases)}
            for name, attachment in self._networks.items()
        }
        return container_undo("disconnect", self._target, networks=attachments)

    def inject(self) -> Effect:
        """Take it off."""
        start_s = self.tools.clock.now_s()
        for name in self._networks:
            self.tools.engine.disconnect(self._target.id, name)
        return Effect(start_s, self.tools.clock.now_s(), f"cut {self._target.service} off")

    def is_active(self) -> Proof:
        """The engine lists it on none of them."""
        found = self.tools.engine.inspect(self._target.id)
        left = sorted(self._networks.keys() & found.networks.keys()) if found else []
        return Proof(
            proven=not left, detail=f"still on {', '.join(left)}" if left else "on no network"
        )

    def heal(self, undo: Undo) -> None:
        """Put it back where it is missing."""
        found = touched(undo, self.tools)
        for name, was in undo["networks"].items():
            if found is not None and name not in found.networks:
                self.tools.engine.connect(found.id, name, was["ipv4"], was["aliases"])

    def is_healed(self, undo: Undo) -> Proof:
        """It is on all of them, with the address it had."""
        found = touched(undo, self.tools)
        if found is None:
            return Proof(proven=True, detail=f"{undo['target']} does not exist any more")
        wrong = [
            name
            for name, was in undo["networks"].items()
            if name not in found.networks or found.networks[name].ipv4 != was["ipv4"]
        ]
        return Proof(
            proven=not wrong, detail=f"not back on {', '.join(wrong)}" if wrong else "connected"
        )


KIND = FaultKind(DisconnectParameters, CONTAINER, Disconnect, takes_member=True)
