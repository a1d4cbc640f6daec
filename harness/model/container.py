"""A container of the project under test, as the engine described it at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.model.http import Address, authority

LOOPBACK = "127.0.0.1"
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
INSTRUMENT_ROLES = ("toxiproxy", "monitoring")  # whatever their labels say


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a container hangs on one network: what `connect` needs to restore it."""

    ipv4: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Container:
    """Times are seconds since the epoch, 0 for never; `memory_bytes` and `nano_cpus` 0: no limit.

    `ports` maps a container port to the port of this machine it is published on, `hosts` to the
    loopback address, where that is not 127.0.0.1. What is published on no loopback address is in
    neither. `volumes` are the paths that named volumes are mounted at.
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
    image: str = ""
    ports: Mapping[int, int] = field(default_factory=dict)
    hosts: Mapping[int, str] = field(default_factory=dict)
    networks: Mapping[str, Attachment] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    health: str = ""  # what its own health check says: healthy, unhealthy, starting; "": none

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
        return self.labels.get("harness.role", "")

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
        return "harness.standby" in self.labels

    @property
    def is_instrument(self) -> bool:
        """Whether it is no part of what is tested: it breaks, or it looks, and is protected."""
        return "harness.protect" in self.labels or self.role in INSTRUMENT_ROLES

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


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something that the engine did to, or saw of, a container at `wall_s`."""

    container_id: str
    service: str
    name: str
    action: str
    wall_s: float
    exit_code: int | None = None
