"""One breaker of one server, by the server's own log of transitions and by what polls saw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness.aspects.breakers.found import InPhase, Server
from harness.model.experiment import Phase

Transition = Mapping[str, Any]
"""An event `breaker.transition`, without its name."""
POLLED_S = 1.0
"""How old a state can be when it is first polled."""
P99_MIN = 1000
"""Fast failures needed for their p99; with fewer it is hardly more than the slowest one."""


def server_of(
    transitions: list[Transition],
    states: list[Transition],
    window: tuple[float, float],
    boots: list[float],
    phases: list[Phase],
) -> Server:
    """One breaker of one server; `boots`: when each of its processes was first seen."""
    start_s, healed_s = window
    opens = [t for t in transitions if (t["from"], t["to"]) == ("CLOSED", "OPEN")]
    since = [t for t in opens if t["t_s"] >= start_s]
    opened_s = since[0]["t_s"] if since else None
    reopens = [t for t in transitions if (t["from"], t["to"]) == ("HALF_OPEN", "OPEN")]
    ends = [t for t in transitions if t["from"] == "HALF_OPEN"]
    changed_s, state = _last_state(transitions, states, boots)
    closed_s = changed_s if state == "CLOSED" and transitions else None
    fast_fails, fast_fail_p99_s = _fast_fails(states, boots)
    flaps = _flaps(opens, start_s)
    return Server(
        state_at_fault=_state_at(transitions, start_s),
        opened_s=opened_s,
        opened_after_fault_s=opened_s - start_s if opened_s is not None else None,
        failures_to_open=most(t["failures"] for t in since),
        reopened=len(reopens),
        failures_to_reopen=_failures_to_reopen(transitions),
        probes_per_cooldown=most(t["probes"] for t in ends),
        shortest_cooldown_s=_shortest_cooldown_s(transitions),
        closed_s=closed_s,
        closed_after_heal_s=max(0.0, closed_s - healed_s) if closed_s is not None else None,
        state_at_end=state,
        flaps=len(flaps),
        phases={
            phase.name: InPhase(
                flaps=sum(phase.start_s <= at_s < phase.end_s for at_s in flaps),
                state_at_end=_state_at(transitions, phase.end_s),
            )
            for phase in phases
        },
        fast_fails=fast_fails,
        fast_fail_p99_s=fast_fail_p99_s,
    )


def _flaps(opens: list[Transition], start_s: float) -> list[float]:
    """When it opened from CLOSED, except the first time after the first fault started."""
    first = next((index for index, t in enumerate(opens) if t["t_s"] >= start_s), None)
    return [float(t["t_s"]) for index, t in enumerate(opens) if index != first]


def _state_at(transitions: list[Transition], at_s: float) -> str:
    before = [str(t["to"]) for t in transitions if t["t_s"] < at_s]
    return before[-1] if before else "CLOSED"


def _last_state(
    transitions: list[Transition], states: list[Transition], boots: list[float]
) -> tuple[float | None, str | None]:
    """The state at the end and since when, by the log; a new process began with its own."""
    last = transitions[-1] if transitions else None
    renewed_s = max(boots, default=-math.inf)
    if last is None or renewed_s > last["t_s"]:
        fresh = [e for e in states if e["t_s"] >= renewed_s] or states
        if fresh:
            return fresh[0]["t_s"], fresh[-1]["state"]
    return (last["t_s"], last["to"]) if last else (None, None)


def _failures_to_reopen(transitions: list[Transition]) -> int | None:
    """The most failures that it took in HALF_OPEN; the count goes on from the last opening."""
    needed, before = [], 0
    for transition in transitions:
        if transition["to"] == "OPEN":
            count = int(transition["failures"] or 0)
            if transition["from"] == "HALF_OPEN":
                needed.append(count - before if count > before else count)
            before = count
    return max(needed, default=None)


def _shortest_cooldown_s(transitions: list[Transition]) -> float | None:
    """The shortest time from an opening until a probe was let through, in one process."""
    return min(
        (
            later["t_s"] - earlier["t_s"]
            for earlier, later in pairwise(transitions)
            if (earlier["to"], later["from"]) == ("OPEN", "OPEN")
            and earlier["boot"] == later["boot"]
        ),
        default=None,
    )


def _fast_fails(states: list[Transition], boots: list[float]) -> tuple[int, float | None]:
    """Calls refused since the run began, and the p99 of what refusing took.

    The server tells the p99 of its last 1,000, whenever they were: it counts only once as many
    were refused since the first look (a later process began to count at 0).
    """
    times, count = [], 0
    for number, (first_s, next_s) in enumerate(pairwise([*(boots or [-math.inf]), math.inf])):
        mine = [e for e in states if first_s <= e["t_s"] < next_s]
        known = [e for e in mine if e.get("fast_fails") is not None]
        before = known[0]["fast_fails"] if known and number == 0 else 0
        fresh = [(e["fast_fails"] - before, e.get("fast_fail_p99_s")) for e in known]
        count += max((new for new, _ in fresh), default=0)
        times += [p99_s for new, p99_s in fresh if new >= P99_MIN]
    return count, most(times)


def uncertainty_of_server(
    row: Server, logged: Sequence[Transition], clock_s: float | None
) -> dict[str, float | None]:
    """By how much the times of one server may be off: its clock, or a poll where its log has none.

    What it measured between two moments of its own is exact.
    """
    is_logged = row.closed_s is None or row.closed_s in [t["t_s"] for t in logged]
    return {
        "opened_after_fault_s": clock_s,
        "closed_after_heal_s": clock_s if is_logged else POLLED_S,
    }


def most(values: Iterable[Any]) -> Any:
    """The largest that is known, None if none is."""
    return max((value for value in values if value is not None), default=None)
