"""The parts `dns`, `regions` and `places` of a target: where users are, and where they are sent.

    dns:     {server: 127.0.0.1:5300, name: www.shop.test}
    regions: {us: 127.0.1.1, eu: 127.0.2.1}
    places:
      us: {network: 192.0.2.0/26, port: 8101}
      eu: {network: 192.0.2.64/26, port: 8102}

All three, or none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Any

from harness.aspects import METRICS, RESERVED
from harness.experiment_file.node import Node
from harness.model.geography import Dns, Geography, Place
from harness.model.load import address_of

KEYS = ("dns", "regions", "places")
LOOPBACK = IPv4Network("127.0.0.0/8")
"""A region elsewhere could be anybody's: it is never sent to, whatever DNS answers."""
EXAMPLES = {
    "dns": "{server: 127.0.0.1:5300, name: www.shop.test}",
    "regions": "{us: 127.0.1.1, eu: 127.0.2.1}",
    "places": "{us: {network: 192.0.2.0/26, port: 8101}}",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_DOMAIN = re.compile(r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,62})\.?)+")


def read_geography(node: Node) -> Geography | None:
    """All three, None if none of them is there, or something is wrong; problems say what."""
    said = [key for key in KEYS if key in node]
    for key in KEYS if said else ():
        if key not in node:
            node.problem(said[0], f"needs {key}, too", f"write {key}: {EXAMPLES[key]}")
        elif node.is_mapping(key) and not node.get(key):
            node.problem(key, "nothing in it", f"write {EXAMPLES[key]}")
    dns, regions, places = _dns(node), _regions(node), _places(node)
    if dns is None or not regions or not places:
        return None
    return Geography(dns=dns, regions=regions, places=places)


def _dns(node: Node) -> Dns | None:
    said = node.mapping("dns")
    found = said.model(Dns) if said else None
    if found is None:
        return None
    address = address_of(found.server)
    if address is None or not ip_address(address[0]).is_loopback:
        wrong = f"{found.server} is not an address of this machine, and a port"
        said.problem("server", wrong, "publish DNS on 127.0.0.1, and write 127.0.0.1:5300")
    if not _DOMAIN.fullmatch(found.name):
        said.problem("name", f"{found.name!r} is not a name in DNS", "write www.shop.test")
    return found


def _regions(node: Node) -> dict[str, str]:
    """By name the address of each; those that are right."""
    said, found = node.mapping("regions"), dict[str, str]()
    for name, address in said.tree.items():
        if wrong := _wrong_region(str(address)):
            said.problem(name, wrong, "publish its entry on an address such as 127.0.2.1")
        elif str(address) in found.values():
            other = next(one for one, at in found.items() if at == str(address))
            said.problem(name, f"{address} is the address of {other}, too", "give it its own")
        elif _is_name(said, name):
            found[str(name)] = str(address)
    return found


def _wrong_region(text: str) -> str:
    try:
        is_here = IPv4Address(text) in LOOPBACK
    except ValueError:
        return f"{text} is not an IPv4 address"
    return "" if is_here else f"{text} is not in {LOOPBACK}: load is never sent there"


def _places(node: Node) -> dict[str, Place]:
    """By name each place; those that are right."""
    said, found = node.mapping("places"), dict[str, Place]()
    for name in said:
        place = said.mapping(name)
        if wrong := _wrong_network(place.tree):
            place.problem("network", wrong, "write 192.0.2.0/26")
        elif _is_name(said, name) and (made := place.model(Place)):
            found[str(name)] = made
    return found


def _wrong_network(place: Mapping[Any, Any]) -> str:
    """What is wrong with the network of a place; "" if it is right, or missing."""
    if "network" not in place:
        return ""
    try:
        ip_network(place["network"])
    except ValueError as error:
        return f"{place['network']} is not a network: {error}"
    return ""


def _is_name(said: Node, name: Any) -> bool:
    """Whether it can stand before the name of an operation; reported if not."""
    is_taken = str(name) in RESERVED | METRICS.keys()
    if is_taken or not _NAME.fullmatch(str(name)):
        why = "expectations use it for something else" if is_taken else "letters, digits, - and _"
        said.problem(name, f"{name} cannot be the name of a place or region", why)
        return False
    return True
