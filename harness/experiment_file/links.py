"""The part `links` of a target: which connections pass Toxiproxy.

    links:
      db: 5432                                               # SERVICE: PORT
      queue: [5672, 15672]                                   # links queue-5672 and queue-15672
      orders-db: {service: db, port: 5433, clients: [api]}   # a name of its own

Whether the project has these services is asked where the override is made, which knows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from harness.experiment_file.node import Node
from harness.model.target import Link

KEYS = ("service", "port", "clients")
RIGHT = "write SERVICE: PORT, SERVICE: [PORT, PORT], or NAME: {service: SERVICE, port: PORT}"


def read_links(node: Node) -> dict[str, Link]:
    """Each link by its name; those that are right."""
    links, found = node.mapping("links"), dict[str, Link]()
    for name in links:
        for link, values in _written(links, name):
            if wrong := _wrong(link, values):
                links.problem(name, *wrong)
            elif link in found:
                links.problem(name, f"there are two links named {link}", "give one another name")
            else:
                found[link] = Link.model_validate(values)
    return found


def _written(links: Node, name: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The links of one entry by their names, each with its values as they are written."""
    said, service = links.get(name), {"service": str(name)}
    if isinstance(said, dict):
        links.mapping(name).check_keys(KEYS)
        yield str(name), service | {key: said[key] for key in KEYS if key in said}
    elif isinstance(said, list) and len(said) > 1:
        yield from ((f"{name}-{port}", {**service, "port": port}) for port in said)
    else:
        [port] = said if isinstance(said, list) and said else [said]
        yield str(name), {**service, "port": port}


def _wrong(link: str, values: dict[str, Any]) -> tuple[str, str] | None:
    """What is wrong with a link, and what to write; None if nothing is."""
    port, clients = values.get("port"), values.get("clients", [])
    if not re.fullmatch(r"[\w.:-]+", link, re.ASCII):
        return "no name for a link", "use letters, digits, and _ . : -"
    if type(port) is not int or not 1 <= port <= 65_535:
        return "no port from 1 to 65535", RIGHT
    if not isinstance(values["service"], str):
        return "service is not text", RIGHT
    if not isinstance(clients, list) or not all(isinstance(each, str) for each in clients):
        return "clients is not a list of services", "write clients: [web, api]"
    return None
