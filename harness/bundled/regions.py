"""The regions of the bundled stack: a row for each, and how far they are from one another.

    users of P --[from-P.R]--> entry of R          DNS --[dns.R]--> entry of R
    R's writes, database, write route, etcd --[R.S-db, R.S-log, R.S-keeper, R.S-geo]--> those of S
    R's database --[R.us-s3]--> the archive of the log, in us

All that passes from one region to another, from users and from DNS passes one link of `distances`,
so a region can be cut off. `us` is the stack without regions; another one has a network of its own,
of 13 addresses, and ten ports:

    +2 distances  +3 lb  +4 app-1  +5 app-2  +6 redis  +7 db  +8 db-lb  +9 geo  +10 keeper
    +11 worker
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.bundled.kinds import Kind, Link, PortRow, single

LINK_PORTS = {"db": 30200, "keeper": 30300, "geo": 30400, "log": 30500, "s3": 30600}
"""Where the links to one thing begin; they end in the number of the region that has it."""
S3 = "s3:7070"
"""Where backups and the archive of the log are kept."""
DNS_NAME = "www.shop.test"
PATRONI_ONLY = 5002
"""Where the load balancer of us's databases leads to their primary, whoever may take writes."""


@dataclass(frozen=True)
class Region:
    """One region, and the users who are nearest to it.

    `number` is the last digit of its links' ports; `users`: their network, as DNS sees it;
    `entry`: where they come in; `database`: its primary, for other regions; `archive`: where log is
    kept, "" if elsewhere. `first_address` (last octet) and `first_port` (offset) are where its own
    begin; us's own are those of the stack.
    """

    name: str
    number: int
    users: str
    first_port: int
    first_address: int = 0
    entry: str = "edge:8080"
    database: str = f"db-lb:{PATRONI_ONLY}"
    archive: str = ""

    @property
    def network(self) -> str:
        """Where its databases are."""
        return f"region-{self.name}" if self.first_address else "data"

    @property
    def loopback(self) -> str:
        """The address of this machine by which its entry is known to users."""
        return f"127.0.{self.number}.1"

    @property
    def port_variable(self) -> str:
        """What `.env` calls the port of its users, the same on the address of each region."""
        return f"HARNESS_PORT_FROM_{self.name.upper()}"

    @property
    def inside(self) -> str:
        """What `distances` calls its own address in this region."""
        return f"inside-{self.name}"

    @property
    def distances_octet(self) -> int:
        """The last octet of the address of `distances` in the region's own network."""
        return self.first_address + 2

    def kinds(self) -> list[Kind]:
        """What the stack has once more, or only, for this region."""
        if not self.first_address:
            return [self._one("geo", 8), self._one("keeper", 9, PortRow(8010, self.first_port))]
        octet, port = self.first_address, self.first_port
        app = self._named("app"), 2, {self.network: octet + 4}, (PortRow(8000, port + 2),)
        return [
            self._one("lb", octet + 3, PortRow(8080, port), PortRow(8404, port + 1, "STATS")),
            Kind(*app, room=2, region=self.name),
            self._one("worker", octet + 11),
            self._one("redis", octet + 6),
            self._one("db-lb", octet + 8, PortRow(8404, port + 5, "STATS")),
            self._one("db", octet + 7, PortRow(8008, port + 4, "PATRONI")),
            self._one("geo", octet + 9),
            self._one("keeper", octet + 10, PortRow(8010, port + 6)),
        ]

    def _named(self, name: str) -> str:
        return f"{self.name}-{name}"

    def _one(self, name: str, octet: int, *ports: PortRow) -> Kind:
        return single(self._named(name), {self.network: octet}, *ports, region=self.name)


def beside_us(name: str, number: int, users: str, first_address: int, first_port: int) -> Region:
    """A region with a load balancer and a database node of its own, not the stack's."""
    entry, database = f"{name}-lb:8080", f"{name}-db:5432"
    return Region(name, number, users, first_port, first_address, entry, database)


REGIONS = (
    Region("us", 1, "192.0.2.0/26", first_port=73, archive=S3),
    beside_us("eu", 2, "192.0.2.64/26", first_address=192, first_port=74),
    beside_us("ap", 3, "192.0.2.128/26", first_address=208, first_port=82),
)
DISTANCES_MS = {
    ("us", "us"): 20,
    ("eu", "eu"): 25,
    ("ap", "ap"): 30,
    ("us", "eu"): 150,
    ("us", "ap"): 300,
    ("eu", "ap"): 150,
}
"""How much longer an answer takes, by region of who asks and who answers; the same both ways.

Between regions, and from users to a region: inside a region nothing is added.
"""


def distance_ms(one: Region, other: Region) -> int:
    """How far they are from each other, in ms of a round trip; ValueError if no row says so."""
    for names in ((one.name, other.name), (other.name, one.name)):
        if names in DISTANCES_MS:
            return DISTANCES_MS[names]
    raise ValueError(f"nobody says how far {one.name} and {other.name} are: add it to DISTANCES_MS")


def distant_links(regions: Sequence[Region]) -> list[Link]:
    """All that passes between the regions, from users and from DNS.

    Their ports end in the numbers of the regions. Links between regions listen in the region of who
    asks only: there the port says which region answers.
    """
    pairs = [(one, other) for one in regions for other in regions]
    links = [
        Link(
            f"from-{users.name}.{region.name}",
            user_port(users, region),
            region.entry,
            distance_ms=distance_ms(users, region),
        )
        for users, region in pairs
    ]
    for region in regions:
        port, distance = 30100 + region.number, distance_ms(region, region)
        links.append(Link(f"dns.{region.name}", port, region.entry, distance_ms=distance))
    apart = [(one, other) for one, other in pairs if one != other]
    return links + [link for one, other in apart for link in _between(one, other)]


def _between(one: Region, other: Region) -> Iterator[Link]:
    upstreams = {
        "db": other.database,
        "log": other.database,
        "keeper": f"{other.name}-keeper:8010",
        "geo": f"{other.name}-geo:{peer_port(other)}",
        **({"s3": other.archive} if other.archive else {}),
    }
    # Members of etcd each connect to the other: half of the way is on either link.
    distance = distance_ms(one, other)
    for what, upstream in upstreams.items():
        port, added = link_port_to(other, what), distance // 2 if what == "geo" else distance
        yield Link(f"{one.name}.{other.name}-{what}", port, upstream, one.inside, added)


def user_port(users: Region, region: Region) -> int:
    """Where the users of one region are let in to another."""
    return 30000 + 10 * users.number + region.number


def link_port_to(region: Region, what: str) -> int:
    """Where the others' links to its `db`, `log`, `keeper`, `geo` or `s3` listen."""
    return LINK_PORTS[what] + region.number


def peer_port(region: Region) -> int:
    """Where its etcd member listens for the others: as their links do, for etcd has one URL."""
    return link_port_to(region, "geo")
