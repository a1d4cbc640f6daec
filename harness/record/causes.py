"""What can explain an event: the faults of the run, unplanned deaths, and who depends on whom.

    app-2 --app-2.redis--> redis          from a link's name to where it leads
    db-lb ---------------> db-1, db-2     from a load balancer to its servers

Nothing here knows the target: names come from links (`from.to`), load balancers and labels. What
cannot be placed is taken to explain: a surprise is only what surely nothing explains.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from harness.model.findings import RemedyFound
from harness.record.run import Record

EARLY_S = 0.5
"""By how much an event of the engine's clock can be placed before the fault that caused it."""
SETTLE_S = 20.0
"""How long after its healing a fault still explains: a server boots, a database node rejoins."""


WHILE = {
    "kill": "{} was down",
    "stop": "{} was stopped",
    "pause": "{} was frozen",
    "disconnect": "{} was disconnected",
    "limit_cpu": "{} had little CPU time",
    "limit_memory": "{} had little memory",
    "burn_cpu": "{} had little CPU time",
    "fill_memory": "the memory of {} was filled",
    "freeze_process": "a process of {} was frozen",
    "delay": "packets of {} were delayed",
    "loss": "{} lost packets",
    "start": "{} ran as well",
    "wipe": "{} was down and without its data",
    "down": "the link {} was cut",
    "latency": "the link {} was slow",
    "bandwidth": "the link {} had little bandwidth",
    "timeout": "the link {} carried nothing",
    "reset_peer": "the link {} was reset",
    "slow_close": "the link {} closed late",
    "slicer": "the link {} carried small pieces",
    "limit_data": "the link {} carried few bytes",
}
"""What is so while a fault lasts, by its kind."""
AFTER = {
    "crash": "{} crashed",
    "restart": "{} was restarted",
    "out_of_memory": "{} ran out of memory",
    "flush_cache": "{} was emptied",
    "exec": "a command was run in {}",
    "damage_rows": "rows of {} were damaged",
    "delete_rows": "rows of {} were deleted",
    "runbook": "a runbook was run in {}",
}
"""What has happened, for the kinds that do not last."""
COMMANDS = ("exec", "runbook")
"""Kinds that may do anything to anyone."""
NAMED_MAX = 3
"""How many services, links or faults are named in a sentence."""


@dataclass(frozen=True)
class Cause:
    """One thing that was broken, from its start until it has surely settled.

    `healing_s`: when its healing began, which may stop what the fault had started.
    """

    name: str
    kind: str
    services: frozenset[str]
    links: frozenset[str]
    start_s: float
    end_s: float
    healing_s: float = math.inf

    def covers(self, at_s: float) -> bool:
        """Whether something at that time can follow from it."""
        return self.start_s - EARLY_S <= at_s <= self.end_s

    def words(self, at_s: float) -> str:
        """What it means at that time: `while redis was frozen`, `after web crashed`."""
        names = sorted(self.services or self.links) or [self.name]
        happens = (WHILE | AFTER).get(self.kind, f"{self.kind} of {{}} lasted")
        if len(names) > 1:
            happens = happens.replace("{} was", "{} were").replace("link {}", "links {}")
        happens = happens.format(enumerated(names))
        if self.kind in AFTER:
            return f"after {happens}"
        return f"while {happens}" if at_s <= self.healing_s else f"soon after {happens}"


def during(faults: Iterable[Cause], at_s: float) -> str:
    """Which faults were active at that time, in words; "" in a run without any."""
    faults = list(faults)
    active = [fault.words(at_s) for fault in faults if fault.covers(at_s)]
    if active or not faults:
        return enumerated(active)
    is_early = at_s < min(fault.start_s for fault in faults)
    return "before any fault" if is_early else "while nothing was broken"


def enumerated(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 2 more`."""
    shown, more = list(names[:NAMED_MAX]), len(names) - NAMED_MAX
    if more > 0:
        shown.append(f"{more} more")
    *first, last = shown or [""]
    return f"{', '.join(first)} and {last}" if first else last


def causes_of_faults(record: Record) -> list[Cause]:
    """One for each fault that was injected, proven or not: it may have acted."""
    found = []
    healing = {e["fault"]: float(e["t_s"]) for e in record.events_of("fault.healing")}
    for fault in record.faults:
        if fault["start_s"] is None:
            continue
        healed_s = fault["healed_s"]
        services = {*(fault.get("services") or ()), fault.get("service")} - {None}
        found.append(
            Cause(
                name=fault["fault"],
                kind=fault["kind"],
                services=frozenset(map(str, services)),
                links=frozenset(fault.get("links") or ()),
                start_s=float(fault["start_s"]),
                end_s=(math.inf if healed_s is None else float(healed_s) + SETTLE_S),
                healing_s=healing.get(fault["fault"], math.inf),
            )
        )
    return found


def causes_of(record: Record) -> list[Cause]:
    """Of all that was done on purpose: faults, and remedies."""
    return [*causes_of_faults(record), *causes_of_remedies(record)]


def causes_of_remedies(record: Record) -> list[Cause]:
    """One for each that was begun: whatever follows, the operator meant it."""
    return [
        Cause(
            name=each.remedy,
            kind=each.kind,
            services=frozenset(each.services),
            links=frozenset(),
            start_s=each.start_s,
            end_s=_over_s(each, record.remedies) + SETTLE_S,
            healing_s=math.inf if each.undoing_s is None else each.undoing_s,
        )
        for each in record.remedies
        if each.start_s is not None
    ]


def _over_s(remedy: RemedyFound, remedies: Sequence[RemedyFound]) -> float:
    """When what it changed was as before again, or was meant to stay.

    A stop ends when another remedy has started all of it.
    """
    begun_s, services = remedy.start_s or 0.0, set(remedy.services)
    ends_s = [math.inf if remedy.undone_s is None else remedy.undone_s]
    if remedy.kind == "stop":
        ends_s += [
            each.done_s
            for each in remedies
            if each.kind in ("start", "restart") and services <= set(each.services)
            if each.done_s is not None and each.done_s > begun_s
        ]
    elif remedy.state == "done" and remedy.undoing_s is None:
        ends_s.append(remedy.done_s or begun_s)
    return min(ends_s)


@dataclass(frozen=True)
class Places:
    """Who depends on whom. `links`: link -> service it leads to, "" where that is not known.

    `regions`: those of services that have one.
    """

    links: Mapping[str, str]
    servers: Mapping[str, frozenset[str]]
    members: frozenset[str]
    roles: Mapping[str, str] = field(default_factory=dict)
    instruments: frozenset[str] | None = None
    regions: Mapping[str, str] = field(default_factory=dict)

    def joined(self, links: Iterable[str]) -> frozenset[str]:
        """The regions that links join: as they are named (`eu.us-db`), and where they lead to."""
        words = {word for link in links for word in re.split(r"[.-]", link)}
        ends = {self.regions.get(self.links.get(link, ""), "") for link in links}
        return frozenset((words | ends) & set(self.regions.values()))

    @property
    def services(self) -> frozenset[str]:
        """All services with a place in the graph."""
        ends = {name for link, to in self.links.items() for name in (link.partition(".")[0], to)}
        balanced = {name for lb, names in self.servers.items() for name in (lb, *names)}
        return frozenset((ends | balanced | self.members) - {""})

    def is_instrument(self, service: str) -> bool:
        """As its labels say; in a run without that record, who has no place in the target."""
        if self.instruments is None:
            return service not in self.services
        return service in self.instruments

    def reach(self, service: str) -> frozenset[str]:
        """The service, and all that it sends its requests on to."""
        found, waiting = set[str](), [service]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.servers.get(name, ())
        return frozenset(found)


def places_of(record: Record) -> Places:
    """As far as the events say."""
    links: dict[str, str] = {}
    for fault in record.faults:
        links.update(dict.fromkeys(fault.get("links") or (), ""))
    for event in record.events_of("target.links"):
        links.update({str(link): str(to) for link, to in event["links"].items()})
    servers: dict[str, set[str]] = {}
    for event in record.events_of("lb.server"):
        servers.setdefault(event["lb"], set()).add(event["server"])
    members = {
        str(member["name"])
        for event in record.events_of("patroni.cluster")
        for member in event.get("members") or ()
    }
    parts = [part for event in record.events_of("target.parts") for part in event["parts"]]
    return Places(
        links=links,
        servers={lb: frozenset(names) for lb, names in servers.items()},
        members=frozenset(members),
        roles={part["service"]: part["role"] for part in parts},
        instruments=frozenset(p["service"] for p in parts if p["is_instrument"]) if parts else None,
        regions={part["service"]: part["region"] for part in parts if part.get("region")},
    )


@dataclass(frozen=True)
class Explanations:
    """Answers whether something is explained."""

    places: Places
    causes: tuple[Cause, ...]

    def breaker(self, server: str, breaker: str, at_s: float) -> bool:
        """By a fault of the server, of its link to what the breaker guards, or of what is there.

        Of a region that is there also by a fault of its links to others.
        """
        link = f"{server}.{breaker}"
        leads_to = self.places.links.get(link)
        if not leads_to:
            return any(self._at(at_s))  # its dependencies are unknown
        behind = self.places.reach(leads_to)
        regions = behind & set(self.places.regions.values())
        return self._between_regions(regions, at_s) or any(
            server in cause.services
            or link in cause.links
            or cause.services & behind
            or self._is_unplaced(cause)
            for cause in self._at(at_s)
        )

    def rotation(self, lb: str, server: str, at_s: float) -> bool:
        """By a fault of either, or of the link between; a database node's by its cluster's too.

        That of a region's node also by a fault of the region's links to others. A server may stand
        for a region: then by a fault of a link that it or the balancer's has.
        """
        if server in self.places.members and (self._cluster(at_s) or self._moved(server, at_s)):
            return True
        if server in self.places.regions.values():
            return self._between_regions({server, self.places.regions.get(lb, "")}, at_s)
        return any(
            cause.services & {lb, server} or f"{lb}.{server}" in cause.links
            for cause in self._at(at_s)
        )

    def failover(self, leader: str, at_s: float) -> bool:
        """By a fault of the leader, or of what the cluster rests on (as its store of leases).

        That of a region also by a fault of the region's links to others.
        """
        return self._moved(leader, at_s) or any(
            leader in cause.services or self._is_unplaced(cause) for cause in self._at(at_s)
        )

    def _moved(self, service: str, at_s: float) -> bool:
        """Whether something between the service's region and others may have moved it."""
        region = self.places.regions.get(service)
        return region is not None and self._between_regions({region}, at_s)

    def _between_regions(self, regions: Set[str], at_s: float) -> bool:
        """Whether a link of one of them was broken, or a command run that may have moved them."""
        return bool(regions) and any(
            cause.kind in COMMANDS or regions & self.places.joined(cause.links)
            for cause in self._at(at_s)
        )

    def _cluster(self, at_s: float) -> bool:
        members = self.places.members
        return any(c.services & members or self._is_unplaced(c) for c in self._at(at_s))

    def _is_unplaced(self, cause: Cause) -> bool:
        """Whether it is unknown what depends on it."""
        return bool(cause.services) and not cause.services & self.places.services

    def _at(self, at_s: float) -> Iterable[Cause]:
        return (cause for cause in self.causes if cause.covers(at_s))


def phase_at(record: Record, at_s: float) -> str:
    """The phase of that moment, "" outside all of them."""
    return next((p.name for p in record.phases if p.start_s <= at_s < p.end_s), "")
