"""Which service connects to which, by `depends_on`, by what names it, and by settings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_ADDRESS = re.compile(
    r"(?:HOSTS?|HOSTNAME|ADDR|ADDRESS|SERVERS?|UR[IL]S?|DSN|NODES?|BROKERS?|ENDPOINT|UPSTREAM"
    r"|BACKEND|SERVICE)$"
)
"""How variables end that hold a host's name."""
_HOST = re.compile(r"(?:HOSTS?|HOSTNAME|ADDR|ADDRESS|SERVERS?)$")
_BEFORE, _AFTER = r"(?:^|//|@|[,;=\s'\"(\[])", r"(?=$|[/?,;\s'\")\]])"


@dataclass(frozen=True, slots=True)
class Connection:
    """`client` connects to `server`; `port` is 0 where nothing says which."""

    client: str
    server: str
    why: str
    port: int = 0


def connections(services: Mapping[str, Any], texts: Mapping[str, str]) -> list[Connection]:
    """All that the files say, each once; the first reason with a port counts.

    `services` as in `docker compose config`; `texts` by service: settings mounted into it.
    """
    names = _names(services)
    found: dict[tuple[str, str, int], Connection] = {}
    for client, facts in services.items():
        for one in _of(client, facts, texts.get(client, ""), names):
            if one.server != client:
                found.setdefault((one.client, one.server, one.port), one)
    with_port = {(c.client, c.server) for c in found.values() if c.port}
    return [c for c in found.values() if c.port or (c.client, c.server) not in with_port]


def _names(services: Mapping[str, Any]) -> dict[str, str]:
    """By each name on the project's networks the service that has it."""
    found = {}
    for service, facts in services.items():
        for network in (facts.get("networks") or {}).values():
            found.update(dict.fromkeys((network or {}).get("aliases") or (), service))
        for key in ("hostname", "container_name"):
            if facts.get(key):
                found[str(facts[key])] = service
    return {**found, **{service: service for service in services}}


def _of(
    client: str, facts: Mapping[str, Any], text: str, names: Mapping[str, str]
) -> Iterator[Connection]:
    yield from _of_environment(client, facts.get("environment") or {}, names)
    words = [*(facts.get("entrypoint") or ()), *(facts.get("command") or ())]
    for why, where in (("its settings name it", text), ("its command names it", " ".join(words))):
        for server, port in _addresses(where, names):
            yield Connection(client, server, why, port)
    for link in facts.get("links") or ():
        yield Connection(client, str(link).partition(":")[0], "links")
    for server, how in (facts.get("depends_on") or {}).items():
        if server in names and how.get("condition") != "service_completed_successfully":
            yield Connection(client, server, "depends_on")


def _of_environment(
    client: str, environment: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[Connection]:
    for variable, value in environment.items():
        text, why = str(value or ""), f"its variable {variable} names it"
        for server, port in _addresses(text, names):
            yield Connection(client, server, why, port)
        if text in names and _ADDRESS.search(variable.upper()):
            port = _port_beside(variable, environment)
            yield Connection(client, names[text], why, port)


def _port_beside(variable: str, environment: Mapping[str, Any]) -> int:
    """What DB_PORT says, beside DB_HOST; 0 if there is none."""
    found = _HOST.search(variable.upper())
    start = variable[: found.start()] if found else variable + "_"
    values = (str(environment.get(start + word) or "") for word in ("PORT", "port"))
    return next((int(value) for value in values if value.isdecimal()), 0)


def _addresses(text: str, names: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Each `name:port` in a text, and each name in a URL; a name alone may be any word."""
    for name, service in names.items():
        if name not in text:
            continue
        for found in re.finditer(rf"({_BEFORE}){re.escape(name)}(?::(\d{{1,5}}))?{_AFTER}", text):
            if found[2] or found[1] in ("//", "@"):
                yield service, int(found[2] or 0)
