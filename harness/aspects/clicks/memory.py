"""What app servers that died can have had in memory of clicks, by what they said each second.

   answered  | | | | | | | | | | |x      x: it died
                   ^since  ^look         look: so many wait (the newest before it)
                   |--wait-|-after-|     in memory at most: those that wait + those after

A click waits in memory while the queue behind it is not to be had, which an open breaker shows. One
that waits longer without that was handed over late: it is no loss that the design allows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from harness.aspects.breakers import timeline
from harness.record.run import Array, Record

MEMORY_S = 2.0
"""How long a click is in memory at most where the server was not asked: it hands over each second,
which may take 0.25 s, on a machine that may be busy."""
LATE_S = 3.0
"""The same where it was asked: a look is up to a second old."""
ON_ITS_WAY_S = 0.25
"""How long an answer may be in transit to the client after its server has died."""


@dataclass(frozen=True)
class Loss:
    """The clicks of one death. `waiting` at `looked_s`, None where the server was not asked.

    `since_s`: when the oldest of them was answered. `open_breaker`: which of its breakers was not
    CLOSED meanwhile, "" for none. `is_late`: it kept them too long, so only its last LATE_S count.
    """

    server: str
    died_s: float
    looked_s: float | None
    waiting: int | None
    since_s: float | None
    in_memory: int
    open_breaker: str
    is_late: bool


def losses(record: Record, answered_s: Mapping[str, Array]) -> list[Loss]:
    """One for each death of a server that answered; `answered_s`: its clicks' times, in order."""
    states = timeline(record)
    looks: dict[str, list[dict[str, Any]]] = {}
    for event in record.events_of("clicks.waiting"):
        looks.setdefault(str(event["server"]), []).append(event)
    deaths: dict[str, list[float]] = {}
    for event in record.events_of("container.die"):
        deaths.setdefault(str(event["service"]), []).append(float(event["t_s"]))
    found = []
    for server, times_s in deaths.items():
        if server not in answered_s:
            continue
        for before_s, died_s in pairwise([-math.inf, *times_s]):
            mine = [e for e in looks.get(server, ()) if before_s < e["t_s"] <= died_s]
            life = answered_s[server]
            life = life[(life > before_s + ON_ITS_WAY_S) & (life <= died_s + ON_ITS_WAY_S)]
            if mine:
                found.append(_by_look(server, died_s, life, mine[-1], states))
            else:
                found.append(_by_time(server, before_s, died_s, answered_s[server]))
    return sorted(found, key=lambda loss: (loss.died_s, loss.server))


def _by_look(
    server: str, died_s: float, life: Array, look: Mapping[str, Any], states: Mapping[str, Any]
) -> Loss:
    """What waited at the last look, and all that was answered since."""
    looked_s, waiting = float(look["t_s"]), int(look["waiting"])
    known = int(np.searchsorted(life, looked_s, side="right"))
    first = max(0, known - waiting)
    since_s = float(life[first]) if first < life.size else None
    in_memory, is_late, breaker = waiting + life.size - known, False, ""
    if since_s is not None:
        breaker = _open_breaker(states, server, since_s, died_s)
        is_late = died_s - since_s > LATE_S and not breaker
    if is_late:
        in_memory = int((life > died_s - LATE_S).sum())
    return Loss(server, died_s, looked_s, waiting, since_s, in_memory, breaker, is_late)


def _by_time(server: str, before_s: float, died_s: float, answered_s: Array) -> Loss:
    """The clicks of its last seconds, and none that died with the process before it."""
    first, last = np.searchsorted(
        answered_s, [max(before_s, died_s - MEMORY_S), died_s], side="right"
    )
    since_s = float(answered_s[first]) if first < last else None
    return Loss(server, died_s, None, None, since_s, int(last - first), "", is_late=False)


def _open_breaker(
    states: Mapping[str, list[list[Any]]], server: str, start_s: float, end_s: float
) -> str:
    """Which of the server's breakers was longest not CLOSED in that time, "" for none."""
    longest_s, found = 0.0, ""
    for name, moves in states.items():
        owner, _, breaker = name.partition("/")
        open_s = _not_closed_s(moves, start_s, end_s) if owner == server else 0.0
        if open_s > longest_s:
            longest_s, found = open_s, breaker
    return found


def _not_closed_s(moves: list[list[Any]], start_s: float, end_s: float) -> float:
    """For how long of that time a breaker was OPEN or HALF_OPEN."""
    spans: list[tuple[float, float]] = [
        (max(at_s, start_s), min(until_s, end_s))
        for (at_s, state), (until_s, _) in pairwise([*moves, [math.inf, None]])
        if state != "CLOSED"
    ]
    return sum(max(0.0, last_s - first_s) for first_s, last_s in spans)


def words(loss: Loss) -> str:
    """A sentence for people."""
    text = (
        f"{loss.server} died at {loss.died_s:.1f} s with up to {loss.in_memory:,} clicks in memory"
    )
    if loss.since_s is not None:
        text += f", the oldest answered at {loss.since_s:.1f} s"
    if loss.is_late:
        limit = f"only those of its last {LATE_S:.0f} s are excused"
        return f"{text}; it had kept them too long although no breaker was open, so {limit}"
    return f"{text}; its breaker {loss.open_breaker} was not CLOSED" if loss.open_breaker else text
