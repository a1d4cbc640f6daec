"""Whether a fault of links is felt: a client connects, asks something, and sees what happens.

What Toxiproxy says of a link is necessary and not enough: it is asked through the same interface
that the fault was ordered by. So a client of the links is asked too, where one can reach them from
here. It is met before the fault begins, since only against that can a delay or a silence be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.faults.base import LinkClient, Proof, Seen

CHANCE = 1e-4
"""How unlikely it must be that a fault of a share of the connections missed all of them."""

Felt = Callable[[Seen, Seen], bool | None]
"""What a client saw before and sees now -> the fault is felt, is not, or that cannot be told."""


@dataclass
class LinkWitness:
    """`toxicity`: the share of connections that suffer; `wait_s`: how long one look may take."""

    client: LinkClient
    felt: Felt
    wait_s: float
    asks: bool = True
    toxicity: float = 1.0
    _before: Mapping[str, Seen] = field(default_factory=dict)
    _missed: Counter[str] = field(default_factory=Counter)

    def meet(self, links: Sequence[str]) -> None:
        """See how the links are while they are whole."""
        self._before = self.client.meet(links, asks=self.asks)

    def confirm(self, said: Proof, links: Sequence[str]) -> Proof:
        """`said` by Toxiproxy, confirmed or contradicted by what a client of `links` sees.

        `evidence` in its facts: `client` if the fault was felt on every link, else `state`.
        """
        if not said.proven:
            return said
        felt = []
        for link, now in self.client.look(sorted(self._before), self.wait_s).items():
            is_felt = self.felt(self._before[link], now)
            if is_felt:
                felt.append(link)
                self._missed[link] = 0
            elif is_felt is False and self._is_certain(link):
                text = f"{said.detail} by Toxiproxy's word, but a client of {link} saw {now.words}"
                return Proof(proven=False, detail=text)
        how = f"felt by a client of {len(felt)} of {len(links)}" if felt else "by Toxiproxy's word"
        evidence = "client" if len(felt) == len(links) else "state"
        return Proof(
            proven=True,
            detail=f"{said.detail}, {how}",
            effect_s=said.effect_s,
            facts={**said.facts, "evidence": evidence},
        )

    def _is_certain(self, link: str) -> bool:
        """Whether the fault was missed so often in a row that it cannot be there."""
        self._missed[link] += 1
        return (1 - self.toxicity) ** self._missed[link] <= CHANCE
