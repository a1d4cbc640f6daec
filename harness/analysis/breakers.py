"""What each circuit breaker did, instance by instance, from the apps' own transition logs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from harness.analysis import clocks
from harness.analysis.contradictions import contradictions
from harness.analysis.record import Record
from harness.model.experiment import Phase
from harness.model.uncertain import largest, uncertainty_of

Row = dict[str, Any]
POLLED_S = 1.0
"""How old a state can be when it is first seen."""
P99_MIN = 1000
"""Fast failures that a p99 of theirs needs; with fewer it is little more than the slowest."""


def figures(record: Record) -> dict[str, Any]:
    """All transitions, by breaker the figures of each server and the worst of them, and what
    contradicts a server's own word.

    `expected_servers`: those that have to speak of the breaker; `missing_servers`: those of them
    that did not.
    """
    transitions = _transitions(record)
    names = sorted(
        {t["breaker"] for t in transitions}
        | {e["breaker"] for e in record.events_of("breaker.state")}
    )
    by_breaker = {name: _breaker(record, name, transitions) for name in names}
    return {
        "transitions": transitions,
        "by_breaker": by_breaker,
        "contradictions": contradictions(record, timeline(record), by_breaker),
    }


def timeline(record: Record) -> dict[str, list[list[Any]]]:
    """[time, state] from run start on, by "server/breaker"; a new process begins with its own."""
    result: dict[str, list[list[Any]]] = {}
    renewed: set[str] = set()
    for event in record.events_of("breaker.state", "breaker.transition", "clock.offset"):
        if event["event"] == "clock.offset":
            renewed |= {name for name in result if name.startswith(f"{event['service']}/")}
            continue
        name, at_s = f"{event['server']}/{event['breaker']}", event["t_s"]
        if event["event"] == "breaker.transition":
            if at_s >= 0:
                result.setdefault(name, [[0.0, event["from"]]]).append([at_s, event["to"]])
        elif name not in result:
            result[name] = [[0.0, event["state"]]]
        elif name in renewed:
            renewed.discard(name)
            if result[name][-1][1] != event["state"]:
                result[name].append([at_s, event["state"]])
    return dict(sorted(result.items()))


def _transitions(record: Record) -> list[Row]:
    """Those since run start: a log may reach back further."""
    keys = ("t_s", "server", "boot", "breaker", "from", "to", "failures", "probes")
    found = record.events_of("breaker.transition")
    return [{key: event.get(key) for key in keys} for event in found if event["t_s"] >= 0]


def _breaker(record: Record, name: str, transitions: list[Row]) -> Row:
    mine = [t for t in transitions if t["breaker"] == name]
    states = [e for e in record.events_of("breaker.state") if e["breaker"] == name]
    boots = record.events_of("clock.offset")
    window = _window(record)
    by_server = {
        server: _server(
            [t for t in mine if t["server"] == server],
            [e for e in states if e["server"] == server],
            window,
            [e["t_s"] for e in boots if e["service"] == server],
            record.judged[:-1],
        )
        for server in sorted({e["server"] for e in [*mine, *states]})
    }
    for server, row in by_server.items():
        logged_s = [t["t_s"] for t in mine if t["server"] == server]
        row["uncertainty_s"] = _uncertainty_s(row, logged_s, clocks.uncertainty_s(record, server))
    expected = _expected(record, set(by_server))
    missing = sorted(expected - by_server.keys())
    return {
        "servers": by_server,
        "expected_servers": sorted(expected),
        "missing_servers": missing,
        **_worst(by_server, missing),
        "uncertainty_s": {
            "opens_within": _off_by(by_server.values(), "opened_after_fault_s"),
            "closes_within": _off_by(by_server.values(), "closed_after_heal_s"),
        },
    }


def _uncertainty_s(row: Row, logged_s: list[float], clock_s: float | None) -> Row:
    """By how much the times of one server may be off: its clock, or a poll where its log has none.

    What it measured between two moments of its own is exact.
    """
    is_logged = row["closed_s"] is None or row["closed_s"] in logged_s
    return {
        "opened_after_fault_s": clock_s,
        "closed_after_heal_s": clock_s if is_logged else POLLED_S,
    }


def _expected(record: Record, speaking: set[str]) -> set[str]:
    """Who has to speak of a breaker that the `speaking` have: all servers like them.

    By label and role, standbys and what did not run left out. A run of an older version says
    neither: then those that speak of any breaker at all.
    """
    parts = [part for event in record.events_of("target.parts") for part in event["parts"]]
    if not parts:
        return {str(e["server"]) for e in record.events_of("breaker.state", "breaker.transition")}
    labelled = [p for p in parts if "breakers" in p["probes"]]
    roles = {p["role"] for p in labelled if p["service"] in speaking}
    return speaking | {
        str(p["service"])
        for p in labelled
        if p["role"] in roles and p["is_running"] and not p["is_standby"]
    }


def _window(record: Record) -> tuple[float, float]:
    """From the first fault's start to the last heal."""
    starts = [float(f["start_s"]) for f in record.faults if f["start_s"] is not None]
    heals = [float(f["healed_s"]) for f in record.faults if f["healed_s"] is not None]
    return (min(starts, default=math.inf), max(heals, default=math.inf))


def _server(
    transitions: list[Row],
    states: list[Row],
    window: tuple[float, float],
    boots: list[float],
    phases: list[Phase],
) -> Row:
    """One breaker of one server; `boots`: when each of its processes was first seen."""
    start_s, healed_s = window
    opens = [t for t in transitions if (t["from"], t["to"]) == ("CLOSED", "OPEN")]
    since = [t for t in opens if t["t_s"] >= start_s]
    opened_s = since[0]["t_s"] if since else None
    reopens = [t for t in transitions if (t["from"], t["to"]) == ("HALF_OPEN", "OPEN")]
    ends = [t for t in transitions if t["from"] == "HALF_OPEN"]
    changed_s, state = _last_state(transitions, states, boots)
    closed_s = changed_s if state == "CLOSED" and transitions else None
    return {
        "state_at_fault": _state_at(transitions, start_s),
        "opened_s": opened_s,
        "opened_after_fault_s": opened_s - start_s if opened_s is not None else None,
        "failures_to_open": _most(t["failures"] for t in since),
        "reopened": len(reopens),
        "failures_to_reopen": _failures_to_reopen(transitions),
        "probes_per_cooldown": _most(t["probes"] for t in ends),
        "shortest_cooldown_s": _shortest_cooldown_s(transitions),
        "closed_s": closed_s,
        "closed_after_heal_s": max(0.0, closed_s - healed_s) if closed_s is not None else None,
        "state_at_end": state,
        "flaps": len(_flaps(opens, start_s)),
        "phases": {
            phase.name: {
                "flaps": sum(phase.start_s <= t < phase.end_s for t in _flaps(opens, start_s)),
                "state_at_end": _state_at(transitions, phase.end_s),
            }
            for phase in phases
        },
        **_fast_fails(states, boots),
    }


def _flaps(opens: list[Row], start_s: float) -> list[float]:
    """When it opened from CLOSED, but for the first time after the first fault began."""
    first = next((index for index, t in enumerate(opens) if t["t_s"] >= start_s), None)
    return [float(t["t_s"]) for index, t in enumerate(opens) if index != first]


def _state_at(transitions: list[Row], at_s: float) -> str:
    before = [str(t["to"]) for t in transitions if t["t_s"] < at_s]
    return before[-1] if before else "CLOSED"


def _last_state(
    transitions: list[Row], states: list[Row], boots: list[float]
) -> tuple[float | None, str | None]:
    """The state at the end and since when, by the log; a new process began with its own."""
    last = transitions[-1] if transitions else None
    renewed_s = max(boots, default=-math.inf)
    if last is None or renewed_s > last["t_s"]:
        fresh = [e for e in states if e["t_s"] >= renewed_s] or states
        if fresh:
            return fresh[0]["t_s"], fresh[-1]["state"]
    return (last["t_s"], last["to"]) if last else (None, None)


def _failures_to_reopen(transitions: list[Row]) -> int | None:
    """The most failures that it took in HALF_OPEN; the count goes on from the last opening."""
    needed, before = [], 0
    for transition in transitions:
        if transition["to"] == "OPEN":
            count = int(transition["failures"] or 0)
            if transition["from"] == "HALF_OPEN":
                needed.append(count - before if count > before else count)
            before = count
    return max(needed, default=None)


def _shortest_cooldown_s(transitions: list[Row]) -> float | None:
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


def _fast_fails(states: list[Row], boots: list[float]) -> Row:
    """Calls refused since the run began, and the p99 of what refusing took.

    The server tells the p99 of its last 1,000, whenever they were: it counts only once as many
    were refused since the first look (a later process began to count at 0).
    """
    times, count = [], 0
    for number, (first_s, next_s) in enumerate(pairwise([*(boots or [-math.inf]), math.inf])):
        mine = [e for e in states if first_s <= e["t_s"] < next_s]
        known = [e for e in mine if e.get("fast_fails") is not None]
        before = known[0]["fast_fails"] if known and number == 0 else 0
        fresh = [e["fast_fails"] - before for e in known]
        count += max(fresh, default=0)
        times += [
            e["fast_fail_p99_s"] for e, new in zip(known, fresh, strict=True) if new >= P99_MIN
        ]
    return {"fast_fails": count, "fast_fail_p99_s": max(times, default=None)}


def _worst(servers: dict[str, Row], missing: Sequence[str] = ()) -> Row:
    """One figure per metric of the expectations, over all servers; None: not measured.

    What has to be so on all servers is not so where one is `missing`.
    """
    is_whole = bool(servers) and not missing
    rows = list(servers.values())
    opened = [row for row in rows if row["opened_s"] is not None]
    stuck = [row for row in opened if row["closed_after_heal_s"] is None]
    return {
        "opened_on_all": is_whole and len(opened) == len(rows),
        "failures_to_open": _most(row["failures_to_open"] for row in opened),
        "opens_within": _most(row["opened_after_fault_s"] for row in opened),
        "reopened_on_all": is_whole and all(row["reopened"] > 0 for row in rows),
        "failures_to_reopen": _most(row["failures_to_reopen"] for row in rows),
        "probes_per_cooldown": _most(row["probes_per_cooldown"] for row in rows),
        "cooldown": _least(row["shortest_cooldown_s"] for row in rows),
        "fast_fail_p99": _most(row["fast_fail_p99_s"] for row in rows),
        "closes_within": None if stuck else _most(row["closed_after_heal_s"] for row in opened),
        "closed_at_end": is_whole and all(row["state_at_end"] == "CLOSED" for row in rows),
        "flaps": _most(row["flaps"] for row in rows),
    }


def _off_by(rows: Iterable[Row], figure: str) -> float | None:
    """By how much the largest of the rows' figures may be off."""
    known = [(row[figure], uncertainty_of(row, figure)) for row in rows if row[figure] is not None]
    return largest(known)[1] if known else None


def _most(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)


def _least(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)
