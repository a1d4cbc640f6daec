"""A link that suffers: what the kinds latency, bandwidth, timeout, … share."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Effect, LinkState, Parameters, Proof, Seen, Tools
from harness.faults.links.link_kind import LinkKind
from harness.faults.links.witness import LinkWitness
from harness.faults.target import pick_links
from harness.faults.undo_record import LinkUndo
from harness.model.experiment import FaultSpec

LONGEST_LOOK_S = 3.0
TOLERANCE_S = 0.005  # of two clocks and their rounding
TELLING_S = 0.1  # a delay of less could be the machine's


class LinkParameters(Parameters):
    """`toxicity`: the share of connections that suffer; `stream`: to the client or from it."""

    toxicity: float = Field(default=1.0, gt=0, le=1)
    stream: Literal["downstream", "upstream"] = "downstream"

    def attributes(self) -> Mapping[str, Any]:
        """The figures of the kind: all other fields, under Toxiproxy's names."""
        return self.model_dump(exclude={"toxicity", "stream"})

    @property
    def wait_s(self) -> float:
        """How long a client must look to feel it, seconds."""
        return 1.0

    def is_spread_over(self, needed_s: float, before: Seen, now: Seen) -> bool | None:
        """Whether an answer takes as long as it must; None: that shows nothing."""
        if needed_s < TELLING_S or self.stream == "upstream":
            return None
        if now.bytes < before.bytes:
            return True if now.end == "open" else None
        return now.last_s is not None and now.last_s >= needed_s / 2

    @abstractmethod
    def felt(self, before: Seen, now: Seen) -> bool | None:
        """Whether a client that saw `before` and sees `now` feels it; None: that shows nothing."""


@dataclass(frozen=True)
class ToxicUndo(LinkUndo):
    """`name`: what the toxic is called on each of the links."""

    name: str

    @override
    def to_json(self) -> dict[str, Any]:
        """`containers` comes last here, for as long as journals have been written."""
        facts = super().to_json()
        facts["containers"] = facts.pop("containers")
        return facts


@dataclass
class LinkToxic:
    """Adds one toxic to each link that matches, named after the fault, so it finds its own."""

    spec: FaultSpec
    parameters: LinkParameters
    tools: Tools
    _links: list[str] = field(default_factory=list)
    _witness: LinkWitness = field(init=False)

    def __post_init__(self) -> None:
        limit_s = min(self.parameters.wait_s, LONGEST_LOOK_S)
        self._witness = LinkWitness(
            self.tools.client, self.parameters.felt, limit_s, toxicity=self.parameters.toxicity
        )

    @property
    def _name(self) -> str:
        return re.sub(r"[^A-Za-z0-9]+", "_", f"harness_{self.spec.id}")

    def prepare(self) -> ToxicUndo:
        """Heal = remove it by its name."""
        self._links = pick_links(self.spec.selector, self.tools)
        self._witness.meet(self._links)
        target = self.spec.selector["link"]
        return ToxicUndo(self.spec.kind, target, (), tuple(self._links), self._name)

    def inject(self) -> Effect:
        """Add it to one link after the other."""
        toxic = {
            "type": self.spec.kind,
            "stream": self.parameters.stream,
            "toxicity": self.parameters.toxicity,
            "attributes": self.parameters.attributes(),
        }
        start_s = self.tools.clock.now_s()
        for link in self._links:
            self.tools.links.add_toxic(link, self._name, toxic)
        detail = f"{self.spec.kind} on {', '.join(self._links)}"
        return Effect(start_s, self.tools.clock.now_s(), detail)

    def is_active(self) -> Proof:
        """Toxiproxy lists it, with these figures, on every link, and a client feels it."""
        states = self.tools.links.states()
        for link in self._links:
            if link not in states or not self._is_on(states[link]):
                return Proof(proven=False, detail=f"{link} has no such toxic")
            if not states[link].is_enabled:
                return Proof(proven=False, detail=f"{link} is switched off: nothing passes it")
        detail = f"{self.spec.kind} on {len(self._links)} links"
        return self._witness.confirm(Proof(proven=bool(self._links), detail=detail), self._links)

    def _is_on(self, state: LinkState) -> bool:
        toxic = state.toxics.get(self._name)
        wanted = {"stream": self.parameters.stream, "toxicity": self.parameters.toxicity}
        return (
            toxic is not None
            and wanted.items() <= toxic.items()
            and self.parameters.attributes().items() <= toxic["attributes"].items()
        )

    def heal(self, undo: ToxicUndo) -> None:
        """Remove it wherever it is."""
        for link in undo.links:
            self.tools.links.remove_toxic(link, undo.name)

    def is_healed(self, undo: ToxicUndo) -> Proof:
        """Toxiproxy lists it on no link."""
        left = [link for link in undo.links if undo.name in self.tools.links.toxics(link)]
        return Proof(proven=not left, detail=f"still on {', '.join(left)}" if left else "removed")


def toxic_kind(parameters: type[LinkParameters]) -> LinkKind:
    """The kind whose figures are `parameters`."""
    return LinkKind(parameters, ToxicUndo, fault=LinkToxic, lasts=True)
