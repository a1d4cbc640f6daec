"""The part that each service plays: services share a role only if they can replace each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.init.catalogue import ROLES, STORES, Use
from harness.init.entry import Entry
from harness.init.found import Found, Service

RESERVED = ("toxiproxy", "monitoring", "etcd")
"""Roles that mean more than a name; see model/container.py and guard.py."""


@dataclass(frozen=True, slots=True)
class Played:
    """The role of a service, "" for none, whether it is protected, and why."""

    role: str = ""
    is_protected: bool = False
    why: str = ""


def apps_of(found: Found, entry: Entry) -> list[list[str]]:
    """The services behind the entry that people wrote, twins together; those that keep their data
    in a store come first. The entry itself where nothing is known to be behind it."""
    first = found.services[entry.service]
    behind = [first.name] if first.use is not Use.PROXY else _behind(found, first)
    stores = {name for name, service in found.services.items() if service.use in STORES}
    behind.sort(key=lambda name: not stores & found.services[name].needs.keys())
    groups: dict[str, list[str]] = {}
    for name in behind:
        groups.setdefault(found.services[name].twin_key, [])
    for name, service in found.services.items():
        if service.use is None and not service.is_job and service.twin_key in groups:
            groups[service.twin_key].append(name)
    return [names for names in groups.values() if names] or [[entry.service]]


def roles_of(found: Found, entry: Entry, apps: list[list[str]]) -> dict[str, Played]:
    """What each service plays; what the labels of a service say stays as it is."""
    app = set(apps[0])
    taken: dict[str, str] = {}
    played = {}
    for name, service in found.services.items():
        if "harness.role" in service.labels:
            role = service.labels["harness.role"]
            played[name] = Played(role, why="its label harness.role says so")
        elif name in app:
            why = "clients enter here" if name == entry.service else f"behind {entry.service}"
            played[name] = Played("app", why=f"{service.because}; {why}")
        else:
            played[name] = _played(service, found, taken)
    return played


def _played(service: Service, found: Found, taken: dict[str, str]) -> Played:
    if service.use is Use.TOOL:
        return Played(is_protected=True, why=f"{service.because}: it looks on, and is never broken")
    if service.is_job:
        return Played(why="a job: another service waits for its end")
    if service.use is not None:
        role = ROLES[service.use]
        if role in taken.values():  # a second database cannot replace the first one
            role = _own(service.name)
        taken[service.name] = role
        return Played(role, why=service.because)
    is_needed = any(c.server == service.name for c in found.connections)
    if not (is_needed or service.ports or service.is_kept_up):
        why = "nothing says that it keeps running; give it a role if it must"
        return Played(why=f"{service.because}; {why}")
    role = taken.setdefault(service.twin_key, _own(service.name))
    return Played(role, why=service.because)


def _own(name: str) -> str:
    """The role of a service that nothing else can replace."""
    return f"{name}-service" if name in RESERVED else name


def _behind(found: Found, proxy: Service) -> list[str]:
    """The services of people's own that a proxy connects to, or those that say so by a label."""
    own = {n for n, s in found.services.items() if s.use is None and not s.is_job}
    named = [name for name in proxy.needs if name in own]
    return named or list(_labelled(found.services, own)) or sorted(own & _published(found))


def _labelled(services: Mapping[str, Service], own: set[str]) -> Iterator[str]:
    for name in services:
        if name in own and any(label.startswith("traefik.http") for label in services[name].labels):
            yield name


def _published(found: Found) -> set[str]:
    """What others connect to, or what publishes a port: it serves somebody."""
    served = {c.server for c in found.connections}
    return served | {name for name, service in found.services.items() if service.ports}
