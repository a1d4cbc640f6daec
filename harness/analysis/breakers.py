"""What each circuit breaker did, instance by instance, from the apps' own transition logs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from harness.analysis.record import Record

Row = dict[str, Any]
P99_MIN = 1000
"""Fast failures that a p99 of theirs needs; with fewer it is little more than the slowest."""


def figures(record: Record) -> dict[str, Any]:
    """All transitions, and by breaker the figures of each server and the worst of them."""
    transitions = _transitions(record)
    names = sorted(
        {t["breaker"] for t in transitions}
        | {e["breaker"] for e in record.events_of("breaker.state")}
    )
    return {
        "transitions": transitions,
        "by_breaker": {name: _breaker(record, name, transitions) for name in names},
    }


def _transitions(record: Record) -> list[Row]:
    """Those since run start: a log may reach back further."""
    keys = ("t_s", "server", "breaker", "from", "to", "failures", "probes")
    found = record.events_of("breaker.transition")
    return [{key: event.get(key) for key in keys} for event in found if event["t_s"] >= 0]


def _breaker(record: Record, name: str, transitions: list[Row]) -> Row:
    states = [e for e in record.events_of("breaker.state") if e["breaker"] == name]
    servers = sorted({e["server"] for e in states})
    window = _window(record)
    by_server = {
        server: _server(
            [t for t in transitions if t["breaker"] == name and t["server"] == server],
            [e for e in states if e["server"] == server],
            window,
        )
        for server in servers
    }
    return {"servers": by_server, **_worst(by_server)}


def _window(record: Record) -> tuple[float, float]:
    """From the first fault's start to the last heal."""
    starts = [float(f["start_s"]) for f in record.faults if f["start_s"] is not None]
    heals = [float(f["healed_s"]) for f in record.faults if f["healed_s"] is not None]
    return (min(starts, default=math.inf), max(heals, default=math.inf))


def _server(transitions: list[Row], states: list[Row], window: tuple[float, float]) -> Row:
    start_s, healed_s = window
    opens = [t for t in transitions if (t["from"], t["to"]) == ("CLOSED", "OPEN")]
    opened = next((t for t in opens if t["t_s"] >= start_s), None)
    reopens = [t for t in transitions if (t["from"], t["to"]) == ("HALF_OPEN", "OPEN")]
    last_state = states[-1]["state"] if states else None
    if transitions:
        last_state = transitions[-1]["to"]
    closed = transitions[-1] if transitions and last_state == "CLOSED" else None
    fast = [e["fast_fail_p99_s"] for e in states if (e.get("fast_fails") or 0) >= P99_MIN]
    return {
        "opened_s": opened["t_s"] if opened else None,
        "opened_after_fault_s": opened["t_s"] - start_s if opened else None,
        "failures_to_open": opened["failures"] if opened else None,
        "reopened": len(reopens),
        "failures_to_reopen": _failures_to_reopen(transitions),
        "probes_per_cooldown": _probes(reopens),
        "closed_s": closed["t_s"] if closed else None,
        "closed_after_heal_s": max(0.0, closed["t_s"] - healed_s) if closed else None,
        "state_at_end": last_state,
        "flaps": max(0, len(opens) - 1),
        "fast_fail_p99_s": max(fast, default=None),
    }


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


def _probes(reopens: list[Row]) -> int | None:
    return max((int(t["probes"]) for t in reopens if t.get("probes") is not None), default=None)


def _worst(servers: dict[str, Row]) -> Row:
    """One figure per metric of the expectations, over all servers; None: not measured."""
    rows = list(servers.values())
    opened = [row for row in rows if row["opened_s"] is not None]
    stuck = [row for row in opened if row["closed_after_heal_s"] is None]
    return {
        "opened_on_all": bool(rows) and len(opened) == len(rows),
        "failures_to_open": _most(row["failures_to_open"] for row in opened),
        "opens_within": _most(row["opened_after_fault_s"] for row in opened),
        "reopened_on_all": bool(rows) and all(row["reopened"] > 0 for row in rows),
        "failures_to_reopen": _most(row["failures_to_reopen"] for row in rows),
        "probes_per_cooldown": _most(row["probes_per_cooldown"] for row in rows),
        "fast_fail_p99": _most(row["fast_fail_p99_s"] for row in rows),
        "closes_within": None if stuck else _most(row["closed_after_heal_s"] for row in opened),
        "closed_at_end": bool(rows) and all(row["state_at_end"] == "CLOSED" for row in rows),
        "flaps": _most(row["flaps"] for row in rows),
    }


def _most(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)
