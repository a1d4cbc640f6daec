"""Whether a fault of links is felt: a client connects, asks something, and sees what happens.

What Toxiproxy says of a link is necessary and not enough: it is asked through the same interface
that the fault was ordered by. So a client of the links is asked too, where one can reach them from
here. It is met before the fault begins, since only against that can a delay or a silence be told.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.faults.base import LinkClient, Proof, Seen

CHANCE = 1e-4
"""How unlikely it must be that a fault of a share of the connections missed all of them."""

QUESTIONS_MAX = 20
"""Looks that send something: what passes a link is evidence of others, too."""

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
    _felt: set[str] = field(default_factory=set)
    _missed: Counter[str] = field(default_factory=Counter)
    _looks: int = 0

    def meet(self, links: Sequence[str]) -> None:
        """See how the links are while they are whole."""
        self._before = self.client.meet(links, asks=self.asks)

    def confirm(self, said: Proof, links: Sequence[str]) -> Proof:
        """`said` by Toxiproxy, confirmed or contradicted by what a client of `links` sees.

        `evidence` in its facts: `client` if the fault was felt on every link, else `state`.
        """
        if not said.proven:
            return said
        if self._looks < self._looks_max:
            if text := self._contradiction(links):
                detail = f"{said.detail} by Toxiproxy's word, but a client of {text}"
                return Proof(proven=False, detail=detail)
            self._looks += 1
        felt = len(self._felt)
        how = f"felt by a client of {felt} of {len(links)}" if felt else "by Toxiproxy's word"
        evidence = "client" if felt == len(links) else "state"
        return Proof(
            proven=True,
            detail=f"{said.detail}, {how}",
            effect_s=said.effect_s,
            facts={**said.facts, "evidence": evidence},
        )

    @property
    def _looks_max(self) -> float:
        """A connection that asks nothing may be tried for ever; questions are bytes on the link.

        Of these as many as it takes to be sure: one, or more for a share of the connections.
        """
        if not self.asks:
            return math.inf
        left = 1 - self.toxicity
        return min(QUESTIONS_MAX, math.ceil(math.log(CHANCE) / math.log(left))) if left else 1

    def _contradiction(self, links: Sequence[str]) -> str:
        """The link on which it cannot be there, and what was seen of it; "" if there is none."""
        for link, now in self.client.look(
            [x for x in links if x in self._before], self.wait_s
        ).items():
            is_felt = self.felt(self._before[link], now)
            if is_felt:
                self._felt.add(link)
                self._missed[link] = 0
            elif is_felt is False:
                self._missed[link] += 1
                if (1 - self.toxicity) ** self._missed[link] <= CHANCE:
                    return f"{link} saw {now.words}"
        return ""
