"""From a selector to the containers or links that are meant, at the moment of injection."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from harness.errors import TargetError
from harness.faults.base import Tools
from harness.model.container import Container, by_region, probe_urls

PATRONI_ROLES = {
    "db-primary": ("leader", "standby_leader"),
    "db-standby": ("sync_standby", "quorum_standby"),
    "db-replica": ("replica",),
}
"""What Patroni calls the roles; db-standby is the synchronous one, db-replica asynchronous."""


def labelled_role(role: str, roles: Collection[str]) -> str:
    """The label's role that a fault's `role` means, where `roles` are all that there are.

    The parts of a Patroni cluster are members of `db`, unless a service is said to be one: it
    always is.
    """
    return "db" if role in PATRONI_ROLES and role not in roles else role


def pick_container(selector: Mapping[str, str], tools: Tools) -> Container:
    """The one container meant; of several with a role the first by name that runs."""
    containers = tools.engine.containers()
    role = selector.get("role", "")
    if labelled_role(role, [c.role for c in containers]) != role:
        name = patroni_member(role, containers, tools)
        matching = [c for c in containers if c.service == name]
    else:
        matching = [c for c in containers if _matches(c, selector)]
    if not matching:
        raise TargetError(f"no container matches {_text(selector)}", "see: harness status")
    return next((c for c in matching if c.is_running), matching[0])


def pick_running(selector: Mapping[str, str], tools: Tools) -> Container:
    """The one container meant; TargetError unless it runs: only that could be restored."""
    found = pick_container(selector, tools)
    if not found.is_running:
        raise TargetError(
            f"{found.service} is {found.status}, so it cannot be broken", "harness up"
        )
    if found.removes_itself:
        text = f"{found.service} removes itself when it ends, so it could not be started again"
        raise TargetError(text, "start it without --rm")
    return found


def pick_links(selector: Mapping[str, str], tools: Tools) -> list[str]:
    """All links that match the name, which may hold wildcards."""
    names = tools.links.names()
    found = [name for name in names if fnmatchcase(name, selector["link"])]
    if not found:
        raise TargetError(f"no link matches {selector['link']!r}; there are: {', '.join(names)}")
    return found


def patroni_member(role: str, containers: list[Container], tools: Tools) -> str:
    """The name of the member that has the role, as any running database node says.

    Of several regions' clusters, all but one follow: who leads such a one is meant only if nobody
    else leads.
    """
    members = [m for nodes in by_region(containers).values() for m in _members(nodes, role, tools)]
    for wanted in PATRONI_ROLES[role]:
        for member in members:
            if member.get("role") == wanted:
                return str(member.get("name"))
    raise TargetError(f"Patroni names no {role} now", "see: harness status")


def _members(nodes: Sequence[Container], role: str, tools: Tools) -> list[dict[str, Any]]:
    """Those of one cluster, as the first node says that knows one with the role."""
    for _, url in probe_urls(nodes, "harness.probe.patroni"):
        cluster = tools.http.ask(f"{url.rstrip('/')}/cluster", timeout_s=2.0).json_object()
        listed = cluster.get("members")
        members = [m for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
        if any(member.get("role") in PATRONI_ROLES[role] for member in members):
            return members
    return []


def _matches(container: Container, selector: Mapping[str, str]) -> bool:
    kind, value = next(iter(selector.items()))
    return {"service": container.service, "role": container.role, "container": container.name}[
        kind
    ] == value


def _text(selector: Mapping[str, str]) -> str:
    return ", ".join(f"{kind} {value}" for kind, value in selector.items())
