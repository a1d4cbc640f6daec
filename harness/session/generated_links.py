"""A generated Compose override: clients reach a service through Toxiproxy. Pure.

    without:   api ----------------------- db:5432 -----------------------> db
    with:      api --- db:5432 ---> harness-links (Toxiproxy) --- db:5432 ---> db

Nothing changes in the user's files, and nothing at all for `db`: it keeps its container, networks,
addresses and published ports. Only its clients get a Compose link (`harness-links:db`). Docker's
DNS answers a container's own links before the names on its networks, so to them alone `db` is
Toxiproxy. (As an alias on the network it would be one of two answers, and to Toxiproxy, too.)

A name stands for all ports, so all that `db` is known to have (`expose`, `ports`) become links.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from harness.errors import InvalidLinks
from harness.experiment_file.problems import suggest
from harness.model.labels import PROTECT, ROLE, TOXIPROXY, is_instrument
from harness.model.target import Link, Target

FILE = "links.yaml"
"""What the override is called, in the project's state folder."""

SERVICE = "harness-links"
API_PORT = 8474
PORTS_MAX = 50  # of one service; a range such as that of a media server is no link

Compose = Mapping[str, Any]
"""A project, or one service of it, as `docker compose config --format json` prints it."""

Labels = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Linked:
    """A service behind Toxiproxy: `ports` by link, `clients` with the names they have for it."""

    service: str
    ports: Mapping[str, int]
    clients: Mapping[str, tuple[str, ...]]

    @property
    def words(self) -> list[str]:
        """Each link as text."""
        who = ", ".join(self.clients)
        return [f"{link}: {who} -> {self.service}:{port}" for link, port in self.ports.items()]


@dataclass(frozen=True, slots=True)
class Override:
    """Its `text`, as Compose reads it, and in words which `links` there are with it."""

    text: str
    links: tuple[str, ...]


def links_override(config: Compose, labels: Labels, target: Target) -> Override:
    """The override; `labels` are by service, with what the target says of them.

    InvalidLinks with every reason why a link cannot be.
    """
    linked = linked_services(config, labels, target.links)
    proxies = _proxies(linked)
    made = {SERVICE if n == 0 else f"{SERVICE}-{n + 1}": part for n, part in enumerate(proxies)}
    taken = _addresses(config)
    services = {name: _toxiproxy(name, part, config, taken) for name, part in made.items()}
    override = {
        "services": {
            **{name: {**facts, "image": _image(target)} for name, facts in services.items()},
            **_clients(made, config),
        },
        "networks": {SERVICE: {}},
        "configs": {name: {"content": _proxies_json(part)} for name, part in made.items()},
    }
    # JSON is YAML, but for the tag: without it Compose would keep the links that are replaced.
    text = json.dumps(override, indent=1).replace('"links": [', '"links": !override [')
    return Override(f"{text}\n", tuple(words for one in linked for words in one.words))


def linked_services(config: Compose, labels: Labels, links: Mapping[str, Link]) -> list[Linked]:
    """What is put behind Toxiproxy; InvalidLinks with every reason why that cannot be."""
    services = config.get("services") or {}
    problems = [*_of_project(services, labels), *_of_links(services, links)]
    if not problems:
        found = [_linked(name, services, labels, links) for name in _services(links)]
        problems = [text for one in found for text in _of_linked(one, config)]
        if not problems:
            return found
    raise InvalidLinks(problems)


def _services(links: Mapping[str, Link]) -> list[str]:
    return list(dict.fromkeys(link.service for link in links.values()))


def _of_project(services: Compose, labels: Labels) -> Iterator[str]:
    for name in services:
        if TOXIPROXY in labels.get(name, {}):
            yield f"links: the project has a Toxiproxy, {name}: add them to it, or remove its label"
        if name == SERVICE or name.startswith(f"{SERVICE}-"):
            yield f"links: the project has a service named {name}; rename it"


def _of_links(services: Compose, links: Mapping[str, Link]) -> Iterator[str]:
    """What is wrong with a link by itself, or beside those before it."""
    first: dict[tuple[str, int], str] = {}
    for name, link in links.items():
        same = first.setdefault((link.service, link.port), name)
        if same != name:
            yield f"links.{name}: port {link.port} of {link.service} is link {same} already"
        if link.service not in services:
            yield f"links.{name}: {_unknown(link.service, services)}"
            continue
        theirs = _networks(services[link.service])
        if not theirs:
            mode = services[link.service].get("network_mode")
            yield f"links.{name}: {link.service} is on no network (network_mode: {mode})"
        for client in link.clients:
            if client not in services:
                yield f"links.{name}: clients: {_unknown(client, services)}"
            elif client == link.service or not theirs & _networks(services[client]):
                yield f"links.{name}: clients: {client} shares no network with {link.service}"


def _unknown(service: str, services: Compose) -> str:
    return f"no service named {service}; {suggest(service, services)}"


def _linked(service: str, services: Compose, labels: Labels, links: Mapping[str, Link]) -> Linked:
    mine = {name: link for name, link in links.items() if link.service == service}
    ports = {name: link.port for name, link in mine.items()}
    for port in _known_ports(services[service]):
        if port not in ports.values():
            ports[_free_name(f"{service}-{port}", links)] = port
    wanted = {client for link in mine.values() for client in link.clients}
    if any(not link.clients for link in mine.values()):
        # An instrument is a client only where it is named: nothing may be done to it.
        wanted |= {name for name in services if not is_instrument(labels.get(name, {}))}
    theirs = _networks(services[service])
    clients = {
        name: _names_to(name, service, services)
        for name in sorted(wanted - {service})
        if theirs & _networks(services[name])
    }
    return Linked(service, ports, clients)


def _free_name(name: str, links: Mapping[str, Link]) -> str:
    return _free_name(f"{name}-tcp", links) if name in links else name


def _of_linked(linked: Linked, config: Compose) -> Iterator[str]:
    """Why clients would not pass Toxiproxy, or would miss the service."""
    services, at = config["services"], f"links: {linked.service}"
    facts = services[linked.service]
    if not linked.clients:
        yield f"{at}: no other service shares a network with it"
    if len(linked.ports) > PORTS_MAX:
        yield f"{at}: has {len(linked.ports)} ports; {PORTS_MAX} at most can be links"
    mine = {linked.service, *_own_names(facts)}
    for name, other in services.items():
        both = mine & {name, *_own_names(other)} if name != linked.service else set[str]()
        yield from (f"{at}: {name} answers to the name {one}, too" for one in sorted(both))
    for client, names in linked.clients.items():
        yield from (f"{at}: {text}" for text in _bypasses(client, names, linked.service, config))
    yield from (
        f"{at}: network {network} has fixed addresses, but no subnet in the Compose files"
        for network in sorted(_networks(facts))
        if _fixed_on(network, services) and not _subnets(network, config)
    )


def _bypasses(client: str, names: Sequence[str], service: str, config: Compose) -> Iterator[str]:
    """By what a client would get past Toxiproxy: an address, a container's name, a fixed host."""
    facts = config["services"][client]
    text = json.dumps({key: facts.get(key) for key in ("environment", "command", "entrypoint")})
    addresses = map(re.escape, _addresses_of(config["services"][service]))
    container = rf"{re.escape(str(config.get('name')))}[-_]{re.escape(service)}[-_]\d+"
    for known in (*addresses, container):
        if found := re.search(rf"(?<![\w.-]){known}(?![\w-]|\.\d)", text):
            yield f"{client} uses {found[0]}; write {service} there"
    hosts = {re.split("[=:]", str(host))[0] for host in facts.get("extra_hosts") or ()}
    for name in sorted(hosts & set(names)):
        yield f"{client} has {name} in extra_hosts, which comes before any DNS"


def _names_to(client: str, service: str, services: Compose) -> tuple[str, ...]:
    """What a client may call a service: its names on their networks, and what its own links say."""
    own = [alias for to, alias in _own_links(services[client]) if to == service]
    return tuple(dict.fromkeys((service, *_own_names(services[service]), *own)))


def _own_names(facts: Compose) -> list[str]:
    """The names of a service beside the one that it has in the file."""
    networks = (facts.get("networks") or {}).values()
    aliases = [alias for each in networks for alias in (each or {}).get("aliases") or ()]
    return [*filter(None, [facts.get("container_name")]), *aliases]


def _own_links(facts: Compose) -> list[tuple[str, str]]:
    """The Compose links of a service: to which, and what it is called."""
    split = [str(link).partition(":") for link in facts.get("links") or ()]
    return [(to, alias or to) for to, _, alias in split]


def _known_ports(facts: Compose) -> list[int]:
    """The TCP ports that the file names: of `expose` and of `ports`."""
    found = [int(p["target"]) for p in facts.get("ports") or () if p.get("protocol") != "udp"]
    for text in facts.get("expose") or ():
        ports, _, protocol = str(text).partition("/")
        first, _, last = ports.partition("-")
        if protocol in ("", "tcp") and first.isdecimal():
            found += range(int(first), int(last or first) + 1)
    return sorted(set(found))


def _proxies(linked: Sequence[Linked]) -> list[list[Linked]]:
    """One Toxiproxy for all, or as many as it takes: to each a port stands for one service."""
    found: list[list[Linked]] = []
    for one in linked:
        mine = set(one.ports.values())
        for part in found:
            if not any(mine & set(other.ports.values()) for other in part):
                part.append(one)
                break
        else:
            found.append([one])
    return found


def _toxiproxy(
    name: str, part: Sequence[Linked], config: Compose, taken: set[str]
) -> dict[str, Any]:
    """Its service; the fixed addresses that it gets are added to `taken`."""
    listens = {port for one in part for port in one.ports.values()}
    api = next(port for port in range(API_PORT, 65_536) if port not in listens)
    # A container is made anew for another path, but not for another content.
    path = (
        f"/etc/harness/links-{hashlib.sha256(_proxies_json(part).encode()).hexdigest()[:12]}.json"
    )
    return {
        "command": ["-host", "0.0.0.0", "-port", str(api), "-config", path, "-proxy-metrics"],
        "environment": {"LOG_LEVEL": "error", "GOMEMLIMIT": "320MiB"},
        "labels": {ROLE: "toxiproxy", PROTECT: "true", TOXIPROXY: str(api)},
        "configs": [{"source": name, "target": path}],
        # A network of its own: of internal ones alone nothing would be published.
        "networks": {SERVICE: {}, **_attachments(part, config, taken)},
        "ports": [{"target": api, "host_ip": "127.0.0.1", "protocol": "tcp"}],
        # The name of a container that is down may take Docker's DNS many seconds to deny, and
        # Toxiproxy connects for one client after the other.
        "dns_opt": ["timeout:1", "attempts:1"],
        "mem_limit": "448m",
        "logging": {"driver": "json-file", "options": {"max-size": "1m", "max-file": "2"}},
    }


def _image(target: Target) -> str:
    return f"${{HARNESS_LINKS_IMAGE:-{target.links_image}}}"


def _proxies_json(part: Sequence[Linked]) -> str:
    """What Toxiproxy is started with."""
    return json.dumps(
        [
            {
                "name": link,
                "listen": f"0.0.0.0:{port}",
                "upstream": f"{one.service}:{port}",
                "enabled": True,
            }
            for one in part
            for link, port in one.ports.items()
        ]
    )


def _clients(made: Mapping[str, Sequence[Linked]], config: Compose) -> dict[str, dict[str, Any]]:
    """What changes for each client: its links, and that it still waits for what it waited for."""
    found: dict[str, dict[str, Any]] = {}
    for proxy, part in made.items():
        for one in part:
            for client, names in one.clients.items():
                facts = config["services"][client]
                changed = found.setdefault(client, {"links": list(facts.get("links") or ())})
                is_mine = {one.service, *(f"{one.service}:{name}" for name in names)}
                kept = [link for link in changed["links"] if link not in is_mine]
                if len(kept) < len(changed["links"]):  # Compose takes a link for a dependency
                    waits = (facts.get("depends_on") or {}).get(one.service)
                    changed.setdefault("depends_on", {})[one.service] = waits or _STARTED
                changed["links"] = [*kept, *(f"{proxy}:{name}" for name in names)]
    return dict(sorted(found.items()))


_STARTED = {"condition": "service_started", "required": True}


def _attachments(
    part: Sequence[Linked], config: Compose, taken: set[str]
) -> dict[str, dict[str, str]]:
    """The networks of the services, with a fixed address where others have one.

    One that the engine chooses could be that of a container which starts later.
    """
    services = config["services"]
    found: dict[str, dict[str, str]] = {}
    for network in sorted({n for one in part for n in _networks(services[one.service])}):
        found[network] = {}
        if _fixed_on(network, services):
            found[network]["ipv4_address"] = address = _free_address(
                _subnets(network, config), taken
            )
            taken.add(address)
    return found


def _free_address(pools: Sequence[Compose], taken: set[str]) -> str:
    """The highest that nobody has: the engine chooses from below, or from `ip_range`."""
    for pool in pools:
        subnet = IPv4Network(pool["subnet"], strict=False)
        chosen = IPv4Network(pool["ip_range"], strict=False) if pool.get("ip_range") else None
        for number in range(subnet.num_addresses - 2, 1, -1):
            if str(subnet[number]) not in taken and not (chosen and subnet[number] in chosen):
                return str(subnet[number])
    subnets = ", ".join(pool["subnet"] for pool in pools)
    raise InvalidLinks([f"links: no address is free in {subnets}; make it larger"])


def _subnets(network: str, config: Compose) -> list[Compose]:
    """The address pools of IPv4 that the file gives a network."""
    facts = (config.get("networks") or {}).get(network) or {}
    pools = (facts.get("ipam") or {}).get("config") or ()
    return [
        p for p in pools if p.get("subnet") and ip_network(p["subnet"], strict=False).version == 4
    ]


def _addresses(config: Compose) -> set[str]:
    """All addresses that the file names."""
    services, networks = config.get("services") or {}, config.get("networks") or {}
    found = {address for facts in services.values() for address in _addresses_of(facts)}
    for network in networks:
        for pool in _subnets(network, config):
            found |= {pool.get("gateway", ""), *(pool.get("aux_addresses") or {}).values()}
    return found


def _addresses_of(facts: Compose) -> list[str]:
    """The fixed addresses of IPv4 that a service has."""
    networks = (facts.get("networks") or {}).values()
    return [each["ipv4_address"] for each in networks if each and each.get("ipv4_address")]


def _fixed_on(network: str, services: Compose) -> bool:
    """Whether a service has a fixed address on the network."""
    found = [((facts.get("networks") or {}).get(network) or {}) for facts in services.values()]
    return any(each.get("ipv4_address") for each in found)


def _networks(facts: Compose) -> set[str]:
    return set(facts.get("networks") or ())
