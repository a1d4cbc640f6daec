"""The services of a Compose project: what each one is, and how that is known. Pure.

Values of the environment may be secrets. They are searched for names of services, and nothing of
them is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from harness.compose_files import ANY_ADDRESS, members_of
from harness.init.catalogue import (
    NOT_HTTP,
    Kind,
    Use,
    image_name,
    kind_of_image,
    kind_of_name,
    kind_of_port,
)
from harness.init.connections import Connection, connections

_URL = re.compile(r"https?://[^/\s'\"|;]+(/[^\s'\"|;&)]*)?")


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port of a container that is published; `published` is "" where the engine chooses.

    `host` is the address of this machine, "" for any.
    """

    inside: int
    published: str
    host: str

    @property
    def is_reachable(self) -> bool:
        """Whether load may go there: a loopback address."""
        return self.host in ANY_ADDRESS or ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service as its Compose files make it.

    kind         the product it runs, None for what people wrote themselves; `because`: how known
    needs        the services it connects to, each with what says so
    twin_key     equal for services that only differ in name, environment and published ports
    members      how many containers
    ports        its published TCP ports, each once
    health_path  the path that its health check asks for over HTTP, "" for none
    is_job       something waits for it to end: it does not keep running
    is_kept_up   it has a restart policy or a health check: it is meant to keep running
    in_memory    its data are in memory (tmpfs): a restart loses them
    keeps_data   a Redis that writes a log of all changes
    is_on_host   it uses the network of this machine
    """

    name: str
    image: str = ""
    is_built: bool = False
    kind: Kind | None = None
    because: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    twin_key: str = ""
    members: int = 1
    ports: tuple[Port, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    container_name: str = ""
    has_health_check: bool = False
    health_path: str = ""
    is_job: bool = False
    is_kept_up: bool = False
    in_memory: bool = False
    keeps_data: bool = False
    is_on_host: bool = False

    @property
    def use(self) -> Use | None:
        """What it is there for, None for what people wrote themselves."""
        return self.kind.use if self.kind else None

    @property
    def what(self) -> str:
        """What it is, in words."""
        if self.kind is not None:
            return self.kind.name
        return "a job that ends" if self.is_job else "an application"

    @property
    def reachable_ports(self) -> list[Port]:
        """Those that load may go to, of which clients may expect HTTP."""
        return [p for p in self.ports if p.is_reachable and p.inside not in NOT_HTTP]


@dataclass(frozen=True, slots=True)
class Found:
    """The services that are used, by name; all connections; services that wait for a profile."""

    services: Mapping[str, Service]
    connections: tuple[Connection, ...]
    in_profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def ports_of(self, name: str) -> list[int]:
        """The ports at which others connect to a service; empty if nothing says."""
        named = {c.port for c in self.connections if c.server == name and c.port}
        kind = self.services[name].kind
        usual = kind.ports[:1] if kind else ()
        inside = {port.inside for port in self.services[name].ports}
        return sorted(named or usual or (inside if len(inside) == 1 else ()))

    @property
    def links(self) -> dict[str, list[int]]:
        """The ports of each service that others, but tools, connect to."""
        clients = {name for name, service in self.services.items() if service.use is not Use.TOOL}
        servers = dict.fromkeys(c.server for c in self.connections if c.client in clients)
        return {name: ports for name in servers if (ports := self.ports_of(name))}


def find(
    config: Mapping[str, Any], everything: Mapping[str, Any], texts: Mapping[str, str]
) -> Found:
    """What `docker compose config` has; `everything` is the same with all profiles active.

    `texts`: by service the settings that are mounted into it.
    """
    used: Mapping[str, Any] = config.get("services") or {}
    named = connections(used, texts)
    jobs = {name for facts in used.values() for name in _waited_for(facts)}
    return Found(
        {name: _service(name, facts, named, jobs) for name, facts in used.items()},
        tuple(named),
        {
            name: tuple(facts.get("profiles") or ())
            for name, facts in (everything.get("services") or {}).items()
            if name not in used
        },
    )


def _service(
    name: str, facts: Mapping[str, Any], named: list[Connection], jobs: set[str]
) -> Service:
    ports = tuple(_ports(facts))
    image, is_built = str(facts.get("image") or ""), "build" in facts
    at = {c.port for c in named if c.server == name and c.port}
    kind, because = _kind(name, "" if is_built else image, at | _inner_ports(facts, ports))
    test = _health_test(facts)
    restarts = str(facts.get("restart") or "no") != "no"
    needs: dict[str, str] = {}
    for connection in named:
        if connection.client == name:
            needs.setdefault(connection.server, connection.why)
    return Service(
        name=name,
        image=image,
        is_built=is_built,
        kind=kind,
        because=because,
        needs=needs,
        twin_key=_twin_key(facts),
        members=members_of(facts),
        ports=ports,
        labels=dict(facts.get("labels") or {}),
        container_name=str(facts.get("container_name") or ""),
        has_health_check=bool(test),
        health_path=_path_in(test),
        is_job=name in jobs,
        is_kept_up=restarts or bool(test),
        in_memory=_has_tmpfs(facts),
        keeps_data="appendonly yes" in _command(facts),
        is_on_host=facts.get("network_mode") == "host",
    )


def _kind(name: str, image: str, ports: set[int]) -> tuple[Kind | None, str]:
    """What a service is, and how that is known. `image` is "" for what is built here."""
    if image and (kind := kind_of_image(image)):
        return kind, f"its image is {image_name(image)}"
    for port in sorted(ports):
        if kind := kind_of_port(port):
            return kind, f"its port is {port}"
    if kind := kind_of_name(name):
        return kind, "its name"
    return None, f"image {image_name(image)}" if image else "built here"


def _ports(facts: Mapping[str, Any]) -> Iterator[Port]:
    """Each container port once, where load may go if it is published there, too."""
    found: dict[int, Port] = {}
    for port in facts.get("ports") or ():
        if port.get("protocol", "tcp") != "tcp":
            continue
        published = str(port.get("published") or "")
        one = Port(int(port["target"]), published if published != "0" else "", _host(port))
        known = found.get(one.inside)
        if known is None or (one.is_reachable and not known.is_reachable):
            found[one.inside] = one
    yield from found.values()


def _host(port: Mapping[str, Any]) -> str:
    host = str(port.get("host_ip") or "")
    return "" if host in ANY_ADDRESS else host


def _inner_ports(facts: Mapping[str, Any], ports: tuple[Port, ...]) -> set[int]:
    """All TCP ports that the file names of a service, published or not."""
    exposed = (str(each).partition("/")[0] for each in facts.get("expose") or ())
    return {port.inside for port in ports} | {int(p) for p in exposed if p.isdecimal()}


def _twin_key(facts: Mapping[str, Any]) -> str:
    keys = ("image", "build", "command", "entrypoint", "working_dir", "volumes")
    mine = {key: facts.get(key) for key in keys if not (key == "image" and "build" in facts)}
    return json.dumps({**mine, "needs": sorted(facts.get("depends_on") or ())}, sort_keys=True)


def _waited_for(facts: Mapping[str, Any]) -> list[str]:
    """The services that must have ended before this one starts."""
    return [
        name
        for name, how in (facts.get("depends_on") or {}).items()
        if how.get("condition") == "service_completed_successfully"
    ]


def _health_test(facts: Mapping[str, Any]) -> str:
    """The command of its health check, "" where it has none, or only that of its image."""
    check = facts.get("healthcheck") or {}
    test = [str(word) for word in check.get("test") or ()]
    return "" if check.get("disable") or test[:1] == ["NONE"] else " ".join(test)


def _path_in(test: str) -> str:
    found = _URL.search(test)
    return (found[1] or "/") if found else ""


def _has_tmpfs(facts: Mapping[str, Any]) -> bool:
    mounts = facts.get("volumes") or ()
    return bool(facts.get("tmpfs")) or any(mount.get("type") == "tmpfs" for mount in mounts)


def _command(facts: Mapping[str, Any]) -> str:
    words = [*(facts.get("entrypoint") or ()), *(facts.get("command") or ())]
    return " ".join(map(str, words))
