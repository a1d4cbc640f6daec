"""The one table of the bundled stack: how many of each kind, their addresses, ports and links.

Each kind has room for ten: adding one never changes the numbers of those that exist.
`scripts/generate_stack.py` writes the stack's files out of it, `environment.py` the `.env`.

    10.x.y.0/26    data     etcd .11-.20  db .21-.30  redis .33-.42  db-lb .43-.52
    10.x.y.64/26   front    edge .66-.75  worker .76-.85  app .105-.114  lb .115-.124
    10.x.y.128/26  control  Toxiproxy's API
    10.x.y.192/28  region-eu, .208/28 region-ap    all of a region: regions.py has its layout
    10.x.y.240/28  outside  DNS, and the users of all regions
    what observes the stack: .2-.4 and .97-.102    what keeps its backups: .5-.7
    what joins us to the other regions: .8-.10 and .103

docker-compose.yml has the networks, and the ranges for whatever has no address of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.bundled.kinds import ROOM, Kind, Link, Part, PortRow, single
from harness.bundled.regions import REGIONS, S3, Region, distant_links

LOCUST_OFFSET = 61
"""The port of Locust's page, which runs outside the stack."""
PLACES_OFFSET = 70
"""The port of the first region's users; the same on the address of each region."""
SPARE_OFFSETS = range(PLACES_OFFSET + 20, 100)
"""No kind's own: for the next kinds, and for whom another program took its port."""


@dataclass(frozen=True)
class Table:
    """All kinds; the fields are the kinds' names."""

    edge: Kind
    lb: Kind
    app: Kind
    worker: Kind
    redis: Kind
    db_lb: Kind
    db: Kind
    etcd: Kind
    toxiproxy: Kind
    prometheus: Kind
    alertmanager: Kind
    pager: Kind
    redis_exporter: Kind
    postgres_exporter: Kind
    zipkin: Kind
    log_store: Kind
    log_collector: Kind
    s3: Kind
    backup: Kind
    drill: Kind
    distances: Kind
    dns: Kind
    regions: tuple[Region, ...]

    def kinds(self) -> list[Kind]:
        """In the order in which a request meets them; then those of the regions."""
        fields = [getattr(self, name) for name in self.__dataclass_fields__]
        return [*(f for f in fields if isinstance(f, Kind)), *self.regional_kinds()]

    def regional_kinds(self) -> list[Kind]:
        """What each region adds to the stack, one region after the other."""
        return [kind for region in self.regions for kind in region.kinds()]

    def parts(self) -> list[Part]:
        """All parts of all kinds."""
        return [part for kind in self.kinds() for part in kind.parts()]

    def on(self, network: str) -> list[Part]:
        """The parts that have an address in `network`, by address."""
        found = [part for part in self.parts() if network in part.kind.addresses]
        return sorted(found, key=lambda part: part.kind.addresses[network] + part.number)

    def port_offsets(self) -> dict[str, int]:
        """Each variable of `.env` with a port, and its distance from HARNESS_PORT_BASE."""
        ports = [port for part in self.parts() for port in part.published()]
        offsets = {variable: offset for variable, offset, _ in ports}
        places = {r.port_variable: PLACES_OFFSET + r.number - 1 for r in self.regions}
        return {**offsets, **places, "HARNESS_PORT_LOCUST": LOCUST_OFFSET}

    def links(self) -> list[Link]:
        """All links; their ports are outside the ephemeral ones (from 32768)."""
        links = [*_each_to_each(self.edge, self.lb, "201", 8080)]
        links += _each_to_each(self.lb, self.app, "211", 8000)
        for app in self.app.parts():
            links += _to_dependencies(app, ("redis", "db-rw", "db-ro"))
        for worker in self.worker.parts():
            links += _to_dependencies(worker, ("redis", "db-rw"))
        for kind in (self.db, self.backup, self.drill):
            for part in kind.parts():
                links += _to_dependencies(part, ("s3",))
        for part in self.alertmanager.parts():
            links += _to_dependencies(part, ("pager",))
        return links

    def distant_links(self) -> list[Link]:
        """All links of `distances`."""
        return distant_links(self.regions)


DEPENDENCIES = {
    "redis": ("223", "redis:6379"),
    "db-rw": ("224", "db-lb:5000"),
    "db-ro": ("225", "db-lb:5001"),
    "s3": ("226", S3),
    "pager": ("227", "pager:9095"),
}
"""What depends on something by a link: the links' first digits, and what they lead to."""
FIRST_LINKS = {"worker": ROOM, "backup": ROOM, "drill": 2 * ROOM}
"""Where the links of a kind begin, where another kind has the same dependencies."""


def port_prefix(first: str, part: Part) -> str:
    """The first three digits of the links of one edge or load balancer: a hundred for each."""
    return str(int(first) + part.number - 1)


def link_number(part: Part) -> str:
    """The last two digits of a part's links, as 01 to 10 of an app server, 11 to 20 of a worker."""
    return f"{FIRST_LINKS.get(part.kind.name, 0) + part.number:02d}"


def link_port(part: Part, dependency: str) -> int:
    """Where a part's link to what it depends on listens."""
    return int(DEPENDENCIES[dependency][0] + link_number(part))


def _each_to_each(sources: Kind, targets: Kind, first: str, inside: int) -> Iterator[Link]:
    for source in sources.parts():
        for target in targets.parts():
            port = int(port_prefix(first, source)) * 100 + target.number
            yield Link(f"{source.name}.{target.name}", port, f"{target.name}:{inside}")


def _to_dependencies(part: Part, names: tuple[str, ...]) -> Iterator[Link]:
    for name in names:
        yield Link(f"{part.name}.{name}", link_port(part, name), DEPENDENCIES[name][1])


TABLE = Table(
    edge=Kind("edge", 1, {"front": 66}, (PortRow(8080, 0),), is_first_plain=True),
    lb=Kind("lb", 2, {"front": 115}, (PortRow(8080, 31), PortRow(8404, 41, "STATS"))),
    app=Kind("app", 4, {"front": 105}, (PortRow(8000, 11),), standbys=1),
    worker=Kind("worker", 1, {"front": 76}, is_first_plain=True),
    redis=Kind("redis", 1, {"data": 33}, is_first_plain=True),
    db_lb=Kind("db-lb", 1, {"data": 43}, (PortRow(8404, 51, "STATS"),), is_first_plain=True),
    db=Kind("db", 3, {"data": 21}, (PortRow(8008, 21, "PATRONI"),)),
    etcd=Kind("etcd", 3, {"data": 11}),
    toxiproxy=single("toxiproxy", {"control": 160, "data": 32, "front": 96}, PortRow(8474, 10)),
    prometheus=single("prometheus", {"control": 161, "data": 2, "front": 97}, PortRow(9090, 62)),
    alertmanager=single("alertmanager", {"front": 98}, PortRow(9093, 63)),
    pager=single("pager", {"front": 99}, PortRow(9095, 64)),
    redis_exporter=single("redis-exporter", {"data": 3}),
    postgres_exporter=single("postgres-exporter", {"data": 4}),
    zipkin=single("zipkin", {"front": 100}, PortRow(9411, 65)),
    log_store=single("log-store", {"front": 101}, PortRow(9200, 66)),
    log_collector=single("log-collector", {"front": 102}),
    s3=single("s3", {"data": 5}),
    backup=single("backup", {"data": 6}, PortRow(8011, 67)),
    drill=single("drill", {"data": 7}),
    distances=single(
        "distances",
        {
            **{"control": 162, "data": 10, "front": 103, "outside": 242},
            **{r.network: r.distances_octet for r in REGIONS if r.first_address},
        },
        PortRow(8474, 68),
    ),
    dns=single("dns", {"outside": 243}, PortRow(5300, 69)),
    regions=REGIONS,
)
