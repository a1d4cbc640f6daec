"""Which experiments fit a project, and what each one claims. Pure; experiment_text.py writes them.

The limits are those of a service that nobody here knows. Nothing is claimed about the time in
which the only one of something is away: that requests fail then is no news. They must succeed again
afterwards, without help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from harness.init.catalogue import Use
from harness.init.entry import Entry
from harness.init.found import Found, Service

RATE_PER_S = 20
"""For each operation: little for any service, and 300 requests, which 1 % needs, in 15 s."""
TRIALS_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One experiment: what is done to which services, for how long, and what must hold.

    name          of the file, without `.yaml`
    kind          of the fault: `kill` or `pause`
    services      one of these is hit
    hold_s        how long; `fault_s` is the phase in which it happens
    success_min   the share that must succeed in that phase; 0: nothing is claimed
    recovery_s    within this time after the fault began all is well again
    p95_s         95 % are answered within this time in that phase; 0: nothing is claimed
    is_last       nothing replaces what is lost, which must be meant
    why           why it is done this way
    """

    name: str
    kind: str
    services: tuple[str, ...]
    hold_s: int
    fault_s: int
    recovery_s: int
    success_min: int = 0
    p95_s: int = 0
    is_last: bool = True
    why: str = ""

    @property
    def title(self) -> str:
        """The claim as a sentence."""
        what = _one_of(self.services)
        verb = {"kill": "is killed", "pause": "hangs"}[self.kind]
        if self.success_min:
            return f"{self.success_min} % of the requests succeed while {what} {verb}"
        return f"The service is back within {self.recovery_s} s after {what} {verb}"


def trials_of(found: Found, entry: Entry, apps: Sequence[Sequence[str]]) -> list[Trial]:
    """Two or three, the most telling first: the app, its database, its cache or queue."""
    trials = [_of_app(found, entry, apps[0])]
    stores = _stores(found, entry)
    databases = [s for s in stores if s.use is Use.DATABASE]
    trials += [_of_database(service) for service in databases[:1]]
    others = [s for s in stores if s.use in (Use.CACHE, Use.QUEUE, Use.SEARCH, Use.FILES)]
    for service in others:
        is_cache = service.use is Use.CACHE and bool(databases) and not service.keeps_data
        trials.append(_of_cache(service) if is_cache else _of_store(service))
    trials += [_of_app(found, entry, group) for group in apps[1:]]
    if len(trials) == 1:  # there is nothing but the app: another way to lose it
        trials += [_hanging(apps[0])] if trials[0].kind == "kill" else []
    return trials[:TRIALS_MAX]


def _stores(found: Found, entry: Entry) -> list[Service]:
    """What keeps data, nearest to the entry first; caches before queues and the rest."""
    distance, edge = {entry.service: 0}, [entry.service]
    while edge:
        name = edge.pop(0)
        for server in found.services[name].needs:
            if server not in distance and server in found.services:
                distance[server] = distance[name] + 1
                edge.append(server)
    order = [Use.DATABASE, Use.CACHE, Use.QUEUE, Use.SEARCH, Use.FILES]
    mine = [s for s in found.services.values() if s.use in order and not s.is_on_host]
    far = len(found.services)
    return sorted(mine, key=lambda s: (order.index(s.use or Use.FILES), distance.get(s.name, far)))


def _of_app(found: Found, entry: Entry, group: Sequence[str]) -> Trial:
    members = sum(found.services[name].members for name in group)
    is_balanced = members > 1 and entry.service not in group
    moves = entry.service in group and not entry.port.published
    verb = "freeze" if moves else "kill"
    kind = "pause" if moves else "kill"
    name, services = f"{verb}-{group[0]}", tuple(group)
    if is_balanced:
        return Trial(
            name=name, kind=kind, services=services, hold_s=20, fault_s=30, recovery_s=10,
            success_min=99, is_last=False,
            why=f"{members} containers serve the same, so the loss of one should cost little",
        )  # fmt: skip
    why = "there is one of it, so requests fail until it is back; that is not judged"
    if members > 1:
        why = "each has a port of its own and nothing is in front: who uses it must wait for it"
    if moves:
        why += "; it is not killed, because it would come back at another port"
    return Trial(
        name=name, kind=kind, services=services, hold_s=10, fault_s=60, recovery_s=40, why=why,
        is_last=members == 1,
    )  # fmt: skip


def _of_database(service: Service) -> Trial:
    is_safe = service.kind is not None and service.kind.survives_kill and not service.in_memory
    if is_safe:
        return Trial(
            name=f"kill-{service.name}", kind="kill", services=(service.name,),
            hold_s=10, fault_s=60, recovery_s=45,
            why="it keeps what it has acknowledged when it is killed; its volumes are not touched",
        )  # fmt: skip
    return _of_store(service)


def _of_cache(service: Service) -> Trial:
    return Trial(
        name=f"freeze-{service.name}", kind="pause", services=(service.name,),
        hold_s=20, fault_s=30, recovery_s=30, success_min=95, p95_s=2,
        why="a cache is a copy: without it the service may be slower, but must work",
    )  # fmt: skip


def _of_store(service: Service) -> Trial:
    why = "frozen, not killed: a restart could lose what it keeps in memory"
    return Trial(
        name=f"freeze-{service.name}", kind="pause", services=(service.name,),
        hold_s=10, fault_s=30, recovery_s=25, why=why,
    )  # fmt: skip


def _hanging(group: Sequence[str]) -> Trial:
    return Trial(
        name=f"freeze-{group[0]}", kind="pause", services=tuple(group),
        hold_s=10, fault_s=30, recovery_s=25,
        why="a program that hangs keeps its connections: harder to notice than one that is gone",
    )  # fmt: skip


def seconds_for(share_percent: int, at_least_s: int) -> int:
    """How long a phase must last for a share to be judged, with a third more: 3/x requests."""
    may_fail = (100 - share_percent) / 100
    return max(at_least_s, ceil(4 / may_fail / RATE_PER_S))


def _one_of(services: Sequence[str]) -> str:
    if len(services) == 1:
        return services[0]
    return f"one of {', '.join(services[:-1])} and {services[-1]}"
