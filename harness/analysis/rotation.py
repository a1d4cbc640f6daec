"""When a load balancer took a broken server out of its rotation, and when it came back."""

from __future__ import annotations

from math import isnan
from typing import Any

from harness.analysis.record import Record


def figures(record: Record) -> list[dict[str, Any]]:
    """One row per fault of a server, load balancer and backend.

    Times are those of HAProxy's own statistics, polled four times a second. `alive_s` is when the
    engine started the container again; a server that is still booting is counted as alive.
    `leaves_rotation_s` is how long a dead server was in the rotation: it ends when it left, or, of
    one that never left, when it was alive again. `uncertainty_s` is of each of the two times: that
    of a poll, and of the wall clock where the engine's word counts.
    """
    rows = []
    faults = [fault for fault in record.faults if fault["start_s"] is not None]
    for index, fault in enumerate(faults):
        following = [f["start_s"] for f in faults[index + 1 :] if f["service"] == fault["service"]]
        until_s = following[0] if following else float("inf")
        rows += _of_fault(record, fault, until_s)
    return rows


def _of_fault(record: Record, fault: dict[str, Any], until_s: float) -> list[dict[str, Any]]:
    start_s = float(fault["start_s"])
    changes: dict[str, list[dict[str, Any]]] = {}
    for event in record.events_of("lb.server"):
        if event["server"] == fault["service"] and event["backend"] not in ("rw", "ro"):
            changes.setdefault(f"{event['lb']}/{event['backend']}", []).append(event)
    starts = [
        event["t_s"]
        for event in record.events_of("container.start")
        if event["service"] == fault["service"] and start_s < event["t_s"] < until_s
    ]
    alive_s = starts[0] if starts else None
    return [
        _row(
            fault,
            name,
            [e for e in events if start_s <= e["t_s"] < until_s],
            alive_s,
            record.wall_uncertainty_s(),
        )
        for name, events in sorted(changes.items())
        if fault["kind"] != "start"
    ]


def _row(
    fault: dict[str, Any],
    name: str,
    events: list[dict[str, Any]],
    alive_s: float | None,
    wall_half_s: float,
) -> dict[str, Any]:
    left = next((e for e in events if not _is_up(e)), None)
    back = next((e for e in events if left and e["t_s"] > left["t_s"] and _is_up(e)), None)
    lb, _, backend = name.partition("/")
    left_s, returned_s = (event["t_s"] if event else None for event in (left, back))
    was_alive_s = alive_s if alive_s is not None else fault["healed_s"]
    # Our own heal is exact; a wall clock that nobody read adds nothing to the poll.
    alive_half_s = 0.0 if alive_s is None or isnan(wall_half_s) else wall_half_s
    ended_s = left_s if left else was_alive_s
    returns_s = None
    if returned_s is not None and was_alive_s is not None:
        returns_s = max(0.0, returned_s - was_alive_s)
    elif not left and was_alive_s is not None:
        returns_s = 0.0
    return {
        "fault": fault["fault"],
        "server": fault["service"],
        "lb": lb,
        "backend": backend,
        "left_s": left_s,
        "leaves_rotation_s": ended_s - fault["start_s"] if ended_s is not None else None,
        "alive_s": was_alive_s,
        "returned_s": returned_s,
        "returns_to_rotation_s": returns_s,
        "uncertainty_s": {
            "leaves_rotation_s": _half_s(left) if left else alive_half_s,
            "returns_to_rotation_s": _half_s(back) + alive_half_s if back else 0.0,
        },
    }


def _half_s(event: dict[str, Any]) -> float:
    return float(event.get("uncertainty_s") or 0.0)


def _is_up(event: dict[str, Any]) -> bool:
    return str(event["status"]).startswith("UP")
