"""Containers that exited, were killed for memory, frozen or started, and no fault did it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.record.causes import EARLY_S, SETTLE_S, Cause, Places
from harness.record.run import Record

Row = dict[str, Any]
ONE_DEATH = ("kill", "crash", "out_of_memory", "stop", "restart", "wipe")
"""Kinds whose target dies once; a second death is not explained."""
ANY_DEATH = ("limit_memory", "exec")
"""Kinds that may end a container at any moment while they last."""
OOM_S = 5.0
"""How far apart the engine may report a process killed for memory and the end of its container."""


@dataclass(frozen=True)
class Death:
    """An unplanned end of a container; `back_s`: when the engine started it again."""

    service: str
    at_s: float
    exit_code: int | None
    is_for_memory: bool
    back_s: float | None


def unplanned_deaths(record: Record, places: Places, causes: Iterable[Cause]) -> list[Death]:
    """In order of time; those that end by design (code 0, no role, no place) are left out."""
    spent: set[str] = set()
    found = []
    for event in _seen(record, "container.die"):
        service, code = str(event["service"]), event.get("exit_code")
        if _is_explained(service, event["t_s"], causes, spent) or _is_by_design(event, places):
            continue
        is_for_memory = any(
            e["service"] == service and abs(e["t_s"] - event["t_s"]) <= OOM_S
            for e in _seen(record, "container.oom")
        )
        back_s = _first_start(record, service, event["t_s"])
        found.append(Death(service, float(event["t_s"]), code, is_for_memory, back_s))
    return found


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


def _is_explained(service: str, at_s: float, causes: Iterable[Cause], spent: set[str]) -> bool:
    for cause in causes:
        if service not in cause.services or not cause.covers(at_s):
            continue
        if cause.kind in ANY_DEATH or _is_its_end(cause, at_s):
            return True
        if cause.kind in ONE_DEATH and cause.name not in spent:
            spent.add(cause.name)
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


def _first_start(record: Record, service: str, after_s: float) -> float | None:
    starts = (e for e in record.events_of("container.start") if e["service"] == service)
    return next((float(e["t_s"]) for e in starts if e["t_s"] > after_s), None)
