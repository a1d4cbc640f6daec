"""Containers that exited, were killed for memory, frozen or started, and no fault did it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.record.causes import EARLY_S, SETTLE_S, Cause, Places
from harness.record.run import Record

Row = dict[str, Any]
Member = tuple[str, str]
"""One container: its service and its name."""
ONE_DEATH = ("kill", "crash", "out_of_memory", "stop", "restart", "wipe")
"""Kinds whose targets die once; a second death is not explained."""
ANY_DEATH = ("limit_memory", "exec", "runbook")
"""Kinds that may end a container at any moment while they last."""
LOOP_MIN = 3
"""From so many exits on, each soon after the container ran again, it is a crash loop."""
LIVED_S = 30.0
"""A container that ran for longer before its next exit was not in a loop."""
OOM_S = 5.0
"""How far apart the engine may report a process killed for memory and the end of its container."""


@dataclass(frozen=True)
class Death:
    """An unplanned end of a container; `back_s`: when the engine started it again.

    `container`: its name, "" where that is not known; a scaled service has several.
    """

    service: str
    at_s: float
    exit_code: int | None
    is_for_memory: bool
    back_s: float | None
    container: str = ""


def unplanned_deaths(record: Record, places: Places, causes: Iterable[Cause]) -> list[Death]:
    """In order of time; those that end by design (code 0, no role, no place) are left out."""
    spent: set[tuple[str, str]] = set()
    ends = [
        event
        for event in _seen(record, "container.die")
        if not _is_explained(str(event["service"]), event["t_s"], causes, spent)
    ]
    restless = _restless(record, [e for e in ends if _is_by_design(e, places)], causes)
    return [
        _death(record, event)
        for event in ends
        if not _is_by_design(event, places) or _member(event) in restless
    ]


def _death(record: Record, event: Row) -> Death:
    (service, container), at_s = _member(event), float(event["t_s"])
    is_for_memory = any(
        _member(e) == _member(event) and abs(e["t_s"] - at_s) <= OOM_S
        for e in _seen(record, "container.oom")
    )
    back_s = _first_start(record, event)
    return Death(service, at_s, event.get("exit_code"), is_for_memory, back_s, container)


def _member(event: Row) -> Member:
    return str(event["service"]), str(event.get("container", ""))


def _restless(record: Record, jobs: Iterable[Row], causes: Iterable[Cause]) -> set[Member]:
    """Containers whose exits with code 0 are not by design, though nothing says what they are for.

    They began with a fault, and the engine started them again each time: a job that is done is
    not started again, and one that is run now and then also ends while nothing is broken.
    """
    first_s = min((cause.start_s for cause in causes), default=math.inf)
    ends: dict[Member, list[Row]] = {}
    for event in jobs:
        ends.setdefault(_member(event), []).append(event)
    return {
        member
        for member, mine in ends.items()
        if mine[0]["t_s"] >= first_s
        and sum(_first_start(record, event) is not None for event in mine) >= LOOP_MIN
    }


def loops_of(deaths: Iterable[Death]) -> list[list[Death]]:
    """The deaths of each container in order of time; those of a crash loop together, others alone.

    Three replicas that end once each are no loop.
    """
    chains: list[list[Death]] = []
    latest: dict[Member, list[Death]] = {}
    for death in deaths:
        member = death.service, death.container
        chain = latest.get(member)
        if chain is None or not _follows(chain[-1], death):
            chain = latest[member] = []
            chains.append(chain)
        chain.append(death)
    return [part for chain in chains for part in _parts(chain)]


def _follows(before: Death, death: Death) -> bool:
    """Whether the container died soon after it ran again; that it did, even if nobody saw it."""
    began_s = before.at_s if before.back_s is None else before.back_s
    return death.at_s - began_s <= LIVED_S


def _parts(chain: list[Death]) -> list[list[Death]]:
    return [chain] if len(chain) >= LOOP_MIN else [[death] for death in chain]


def death_causes(deaths: Iterable[Death], places: Places) -> list[Cause]:
    """What follows from a death is no surprise of its own; an instrument's can break every link."""
    return [
        Cause(
            name=f"death of {death.service}",
            kind="death",
            services=frozenset({death.service}),
            links=frozenset(places.links if places.is_instrument(death.service) else ()),
            start_s=death.at_s,
            end_s=(death.at_s if death.back_s is None else death.back_s) + SETTLE_S,
        )
        for death in deaths
    ]


def lone_memory_kills(record: Record, causes: Iterable[Cause]) -> list[tuple[str, float]]:
    """(service, time) of processes killed for memory whose container went on."""
    ends = [(e["service"], e["t_s"]) for e in _seen(record, "container.die")]
    return [
        (str(e["service"]), float(e["t_s"]))
        for e in _seen(record, "container.oom")
        if not any(s == e["service"] and abs(t - e["t_s"]) <= OOM_S for s, t in ends)
        and not _touched(str(e["service"]), e["t_s"], causes, ("out_of_memory", *ANY_DEATH))
    ]


def unplanned_pauses(record: Record, causes: Iterable[Cause]) -> list[tuple[str, float]]:
    """(service, time) of containers that somebody else froze."""
    return [
        (str(e["service"]), float(e["t_s"]))
        for e in _seen(record, "container.pause")
        if not _touched(str(e["service"]), e["t_s"], causes, ("pause", "exec"))
    ]


def unplanned_starts(record: Record, causes: Iterable[Cause]) -> list[tuple[str, float]]:
    """(service, time) of containers that began to run, and had not died in this run before."""
    died = [(e["service"], e["t_s"]) for e in _seen(record, "container.die")]
    return [
        (str(e["service"]), float(e["t_s"]))
        for e in _seen(record, "container.start")
        if not any(s == e["service"] and t <= e["t_s"] for s, t in died)
        and not _touched(str(e["service"]), e["t_s"], causes)
    ]


def _seen(record: Record, name: str) -> list[Row]:
    """Since the run began, a moment before its second 0."""
    begun = record.events_of("run.started")
    begun_s = float(begun[0]["t_s"]) if begun else 0.0
    return [event for event in record.events_of(name) if event["t_s"] >= begun_s]


def _is_explained(
    service: str, at_s: float, causes: Iterable[Cause], spent: set[tuple[str, str]]
) -> bool:
    for cause in causes:
        if service not in cause.services or not cause.covers(at_s):
            continue
        if cause.kind in ANY_DEATH or _is_its_end(cause, at_s):
            return True
        if cause.kind in ONE_DEATH and (cause.name, service) not in spent:
            spent.add((cause.name, service))
            return True
    return False


def _is_its_end(cause: Cause, at_s: float) -> bool:
    """Whether a standby that was started is stopped again by the healing."""
    return cause.kind == "start" and at_s >= cause.healing_s - EARLY_S


def _is_by_design(event: Row, places: Places) -> bool:
    """A job that ended well: nothing asks it for anything."""
    service = str(event["service"])
    has_part = bool(places.roles.get(service)) or service in places.services
    return event.get("exit_code") == 0 and not has_part


def _touched(
    service: str, at_s: float, causes: Iterable[Cause], kinds: tuple[str, ...] = ()
) -> bool:
    return any(
        service in cause.services and cause.covers(at_s) and (not kinds or cause.kind in kinds)
        for cause in causes
    )


def _first_start(record: Record, end: Row) -> float | None:
    """When the container of this `container.die` ran again."""
    starts = (e for e in record.events_of("container.start") if _member(e) == _member(end))
    return next((float(e["t_s"]) for e in starts if e["t_s"] > end["t_s"]), None)
