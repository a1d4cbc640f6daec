"""down: a link is cut. Its connections close and new ones are refused."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.faults.base import Effect, NoParameters, Proof, Seen, Tools
from harness.faults.links.link_kind import LinkKind
from harness.faults.links.witness import LinkWitness
from harness.faults.target import pick_links
from harness.faults.undo_record import LinkUndo
from harness.model.experiment import FaultSpec


@dataclass
class LinkDown:
    """One link or, by a wildcard, several."""

    spec: FaultSpec
    parameters: NoParameters
    tools: Tools
    _links: list[str] = field(default_factory=list)
    _witness: LinkWitness = field(init=False)

    def __post_init__(self) -> None:
        self._witness = LinkWitness(self.tools.client, _is_cut, wait_s=0.0, asks=False)

    def prepare(self) -> LinkUndo:
        """Heal = enable those that were enabled."""
        found = pick_links(self.spec.selector, self.tools)
        self._links = [name for name in found if self.tools.links.is_enabled(name)]
        self._witness.meet(self._links)
        target = self.spec.selector["link"]
        return LinkUndo(self.spec.kind, target, (), tuple(self._links))

    def inject(self) -> Effect:
        """Cut them one after the other."""
        start_s = self.tools.clock.now_s()
        for link in self._links:
            self.tools.links.set_enabled(link, enabled=False)
        return Effect(start_s, self.tools.clock.now_s(), f"cut {', '.join(self._links)}")

    def is_active(self) -> Proof:
        """Toxiproxy says that none is enabled, and a client of each is refused."""
        states = self.tools.links.states()
        up = [link for link in self._links if link not in states or states[link].is_enabled]
        said = Proof(
            proven=bool(self._links) and not up,
            detail=f"not cut: {', '.join(up)}" if up else f"{len(self._links)} links cut",
        )
        return self._witness.confirm(said, self._links)

    def heal(self, undo: LinkUndo) -> None:
        """Enable them."""
        for link in undo.links:
            if not self.tools.links.is_enabled(link):
                self.tools.links.set_enabled(link, enabled=True)

    def is_healed(self, undo: LinkUndo) -> Proof:
        """Toxiproxy says that all are enabled."""
        cut = [link for link in undo.links if not self.tools.links.is_enabled(link)]
        return Proof(
            proven=not cut, detail=f"still cut: {', '.join(cut)}" if cut else "all enabled"
        )


def _is_cut(_before: Seen, now: Seen) -> bool:
    return now.end == "refused"


KIND = LinkKind(NoParameters, LinkUndo, fault=LinkDown, lasts=True)
