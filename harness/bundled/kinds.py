"""What rows of the table are made of: kinds of parts, their ports, and links between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

ROOM = 10


@dataclass(frozen=True)
class PortRow:
    """Port `inside` of a kind's containers is published on 127.0.0.1.

    The first part's is HARNESS_PORT_BASE + `offset`, the next one's follows. `suffix` ends the
    variable's name: `STATS` makes HARNESS_PORT_LB_1_STATS.
    """

    inside: int
    offset: int
    suffix: str = ""


@dataclass(frozen=True)
class Kind:
    """Parts that differ in their number only; `standbys` of the `count` are not started.

    `addresses` has the last octet of the first part in each of its networks. Parts are named
    `db-1`, `db-2`; or, if `is_first_plain`, `edge`, `edge-2`. Those of a `region` begin with its
    name: `eu-db`.
    """

    name: str
    count: int
    addresses: Mapping[str, int]
    ports: tuple[PortRow, ...] = ()
    is_first_plain: bool = False
    standbys: int = 0
    room: int = ROOM
    region: str = ""

    @property
    def template(self) -> str:
        """What its services have in common is written under this name, for all regions once."""
        return f"region{self.name.removeprefix(self.region)}" if self.region else self.name

    def parts(self) -> list[Part]:
        """All of them, by number."""
        if not 1 <= self.count <= self.room:
            raise ValueError(f"{self.count} of {self.name}: there is room for 1 to {self.room}")
        return [Part(self, number) for number in range(1, self.count + 1)]


@dataclass(frozen=True)
class Part:
    """One service of the stack; `number` counts from 1."""

    kind: Kind
    number: int

    @property
    def name(self) -> str:
        """The service's name."""
        is_plain = self.kind.is_first_plain and self.number == 1
        return self.kind.name if is_plain else f"{self.kind.name}-{self.number}"

    @property
    def is_standby(self) -> bool:
        """Whether it is only created: the last of its kind are."""
        return self.number > self.kind.count - self.kind.standbys

    def address(self, network: str) -> str:
        """Its address, as Compose reads it."""
        return f"${{HARNESS_SUBNET}}.{self.kind.addresses[network] + self.number - 1}"

    def published(self) -> Iterator[tuple[str, int, int]]:
        """(variable of `.env`, offset, port inside) of each port that it publishes."""
        for row in self.kind.ports:
            words = ["HARNESS_PORT", self.name.upper().replace("-", "_"), row.suffix]
            yield "_".join(filter(None, words)), row.offset + self.number - 1, row.inside


@dataclass(frozen=True)
class Link:
    """One proxy of Toxiproxy: what connects to its `port` is led to `upstream`.

    It listens on `host`, "" for all addresses; each answer takes `distance_ms` longer.
    """

    name: str
    port: int
    upstream: str
    host: str = ""
    distance_ms: int = 0


def single(name: str, addresses: Mapping[str, int], *ports: PortRow, region: str = "") -> Kind:
    """A kind of which the stack has one."""
    return Kind(name, 1, addresses, ports, is_first_plain=True, room=1, region=region)
