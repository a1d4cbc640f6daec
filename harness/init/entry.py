"""Where the load enters: the published ports that clients may use, and which of them is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.init.catalogue import STORES, Use
from harness.init.found import Found, Port, Service

TLS_PORTS = (443, 8443)
Ask = Callable[[str, Sequence[str]], str]
"""Asks which of several answers is right."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A port of a service at which clients send their requests; `why` it is the one."""

    service: str
    port: Port
    why: str

    @property
    def text(self) -> str:
        """As `--entry` has it."""
        return f"{self.service}:{self.port.inside}"

    @property
    def is_tls(self) -> bool:
        """Whether its port is one of HTTPS."""
        return self.port.inside in TLS_PORTS


def choose_entry(found: Found, wanted: str, ask: Ask | None) -> Entry:
    """The one that is `wanted` (SERVICE or SERVICE:PORT), the only one, or the one answered.

    UsageError if there is none, or if there are several and nobody can be asked.
    """
    if not found.services:
        raise _no_services(found)
    listed = candidates(found)
    if wanted:
        return _wanted(found, listed, wanted)
    if not listed:
        raise _no_entry(found)
    proxies = [e for e in listed if found.services[e.service].use is Use.PROXY]
    best = proxies if len({entry.service for entry in proxies}) == 1 else listed
    if len(best) == 1:
        return best[0]
    texts = [entry.text for entry in best]
    if ask is None:
        raise UsageError(
            f"clients could enter at {', '.join(texts)}; only you know which one you mean",
            f"harness init --entry {texts[0]}",
        )
    answer = ask("Where do your clients send their requests?", texts)
    return next(entry for entry in best if entry.text == answer)


def candidates(found: Found) -> list[Entry]:
    """Every port that load may go to and that may speak HTTP; HTTPS only where a service has no
    other."""
    entries = []
    for service in found.services.values():
        if service.use in (*STORES, Use.TOOL) or service.is_job:
            continue
        ports = service.reachable_ports
        plain = [port for port in ports if port.inside not in TLS_PORTS]
        entries += [Entry(service.name, port, _why(service, port)) for port in plain or ports]
    return entries


def _why(service: Service, port: Port) -> str:
    where = port.published or "a port that the engine chooses"
    what = f"{service.kind.name}, " if service.use is Use.PROXY and service.kind else ""
    return f"{what}published on {where}"


def _wanted(found: Found, listed: Sequence[Entry], wanted: str) -> Entry:
    name, _, port = wanted.partition(":")
    service = found.services.get(name)
    if service is None:
        names = ", ".join(found.services)
        raise UsageError(f"--entry {wanted}: no service named {name}", f"one of {names}")
    mine = [e for e in listed if e.service == name and port in ("", str(e.port.inside))]
    if port and not mine:  # whoever names a port knows what listens there
        named = [p for p in service.ports if p.is_reachable and str(p.inside) == port]
        mine = [Entry(name, one, f"{_why(service, one)}; --entry names it") for one in named]
    if len(mine) == 1:
        return mine[0]
    if mine:
        texts = ", ".join(entry.text for entry in mine)
        raise UsageError(f"--entry {wanted}: {name} publishes several ports", f"one of {texts}")
    raise UsageError(f"--entry {wanted}: {_not_reachable(service)}", _publish(port or "PORT"))


def _not_reachable(service: Service) -> str:
    """Why no load can go to a service."""
    if service.is_on_host:
        return (
            f"{service.name} uses the network of this machine (network_mode: host), so it publishes"
            " no port and no fault could be limited to it"
        )
    apart = [port for port in service.ports if not port.is_reachable]
    if apart:
        return f"{service.name} is published on {apart[0].host} alone, and load goes to loopback"
    known = [port for port in service.ports if port.is_reachable]
    if known and service.kind:
        return f"{service.name} is {service.kind.name}, which speaks no HTTP with clients"
    if known:
        ports = ", ".join(str(port.inside) for port in known)
        return f"{service.name} publishes {ports} only, where HTTP is not usual"
    return f"{service.name} publishes no port"


def _publish(port: str) -> str:
    return f'publish it where clients enter, as in ports: ["127.0.0.1:8080:{port}"]'


def _no_entry(found: Found) -> UsageError:
    listed = "".join(f"\n  {_not_reachable(service)}" for service in found.services.values())
    more = f"\n  {_waiting(found)}" if found.in_profiles else ""
    return UsageError(
        f"no service publishes a port where HTTP clients could enter, and load must:{listed}{more}",
        _publish("PORT"),
    )


def _no_services(found: Found) -> UsageError:
    profiles = sorted({name for each in found.in_profiles.values() for name in each})
    if not profiles:
        return UsageError("the Compose project has no services", "add one")
    return UsageError(
        f"no service is used without a profile: {_waiting(found)}",
        f"harness init --profile {profiles[0]}",
    )


def _waiting(found: Found) -> str:
    """The services behind a profile, in words."""
    each = [f"{name} ({', '.join(profiles)})" for name, profiles in found.in_profiles.items()]
    return f"not used without a profile: {', '.join(each)}"
