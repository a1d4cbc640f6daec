"""A container of the project under test, as the engine described it at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.model.http import Address, authority
from harness.model.labels import STANDBY, is_instrument, region_of, role_of

LOOPBACK = "127.0.0.1"
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_NETWORK = "com.docker.compose.network"
ONE_OFF = "com.docker.compose.oneoff"


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a container hangs on one network: all that the engine was configured with.

    `ipv4`, `ipv6`, `link_local`: fixed addresses, "" or () where the engine chooses. `mac` is "" if
    it follows from an address that the engine chose: fixed, it could clash with the next holder's.
    """

    ipv4: str = ""
    aliases: tuple[str, ...] = ()
    ipv6: str = ""
    link_local: tuple[str, ...] = ()
    mac: str = ""
    links: tuple[str, ...] = ()
    driver_options: Mapping[str, str] = field(default_factory=dict)
    gateway_priority: int = 0

    def lacks(self, was: Attachment) -> list[str]:
        """What of `was` is not so here, in words; the order of names does not matter."""
        pairs: dict[str, tuple[object, object]] = {
            "the IPv4 address": (self.ipv4, was.ipv4),
            "the IPv6 address": (self.ipv6, was.ipv6),
            "the link-local addresses": (sorted(self.link_local), sorted(was.link_local)),
            "the MAC address": (self.mac, was.mac or self.mac),
            "the aliases": (sorted(set(self.aliases)), sorted(set(was.aliases))),
            "the links": (sorted(set(self.links)), sorted(set(was.links))),
            "the driver's options": (dict(self.driver_options), dict(was.driver_options)),
            "the gateway's priority": (self.gateway_priority, was.gateway_priority),
        }
        return [
            f"{what}: {now or 'none'} instead of {then or 'none'}"
            for what, (now, then) in pairs.items()
            if now != then
        ]


@dataclass(frozen=True, slots=True)
class Container:
    """Times are seconds since the epoch, 0 for never.

    `memory_bytes`, `nano_cpus` and `cpu_quota_us` (in each `cpu_period_us`): 0 for no limit; the
    engine keeps a processor limit in one of two forms. `ports` maps a container port to the port it
    is published on, `hosts` to the address, where that is not 127.0.0.1: a loopback one, or that of
    the engine's machine where it is another one. What cannot be reached so is in neither. `volumes`
    are the paths of named volumes that it may write to; `addresses` are its IPv4 addresses now.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    status: str = "running"
    started_s: float = 0.0
    finished_s: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    restart_count: int = 0
    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    nano_cpus: int = 0
    cpu_quota_us: int = 0
    cpu_period_us: int = 0
    oom_score_adj: int = 0
    removes_itself: bool = False
    image: str = ""
    ports: Mapping[int, int] = field(default_factory=dict)
    hosts: Mapping[int, str] = field(default_factory=dict)
    networks: Mapping[str, Attachment] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    health: str = ""  # what its own health check says: healthy, unhealthy, starting; "": none
    namespace: str = ""  # of its network, a path; "": it does not run, or uses that of another
    restart_policy: str = ""  # no, on-failure, always, unless-stopped; "": not known

    @property
    def period_us(self) -> int:
        """Of a quota; the kernel's own, where none is set."""
        return self.cpu_period_us or 100_000

    @property
    def cpus(self) -> float:
        """How many processors it may use, 0 for no limit."""
        return self.nano_cpus / 1e9 or self.cpu_quota_us / self.period_us

    @property
    def project(self) -> str:
        """The Compose project it belongs to, "" for none."""
        return self.labels.get(COMPOSE_PROJECT, "")

    @property
    def service(self) -> str:
        """The Compose service it is an instance of; its own name if there is none."""
        return self.labels.get(COMPOSE_SERVICE, self.name)

    @property
    def role(self) -> str:
        """The part it plays (label `harness.role`), "" for none."""
        return role_of(self.labels)

    @property
    def region(self) -> str:
        """Where it is (label `harness.region`), "" for nowhere in particular."""
        return region_of(self.labels)

    @property
    def is_running(self) -> bool:
        """Whether its processes run; a paused one's do not."""
        return self.status == "running"

    @property
    def is_serving(self) -> bool:
        """Whether it runs, is on a network, and its own health check does not deny it."""
        return self.is_running and bool(self.networks) and self.health != "unhealthy"

    @property
    def is_standby(self) -> bool:
        """Whether it is meant to be created but not started."""
        return STANDBY in self.labels

    @property
    def is_instrument(self) -> bool:
        """Whether it is no part of what is tested: it breaks, or it looks, and is protected."""
        return is_instrument(self.labels)

    def probe_url(self, label: str) -> str | None:
        """The published URL behind a label such as `harness.probe.patroni: 8008/path`."""
        port, _, path = self.labels.get(label, "").partition("/")
        address = self.address(port)
        return f"http://{authority(address)}/{path}" if address else None

    def address(self, port: str) -> Address | None:
        """Where the container port that a label names is published; None if it is not."""
        if not port.isdecimal() or int(port) not in self.ports:
            return None
        return self.hosts.get(int(port), LOOPBACK), self.ports[int(port)]


def by_region(containers: Iterable[Container]) -> dict[str, list[Container]]:
    """Those of each region, in the order in which they come."""
    found: dict[str, list[Container]] = {}
    for container in containers:
        found.setdefault(container.region, []).append(container)
    return found


def probe_urls(containers: Iterable[Container], label: str) -> Iterator[tuple[str, str]]:
    """Service and URL of each that runs and has the label, and its port published."""
    for container in containers:
        if container.is_running and (url := container.probe_url(label)):
            yield container.service, url


def first_url(containers: Iterable[Container], label: str) -> str:
    """The first of them, without a slash at its end; "" if there is none."""
    return next((url.rstrip("/") for _, url in probe_urls(containers, label)), "")


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something that the engine did to, or saw of, a container at `wall_s`."""

    container_id: str
    service: str
    name: str
    action: str
    wall_s: float
    exit_code: int | None = None
