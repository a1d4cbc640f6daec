"""When a load balancer took a broken server out of its rotation, and when it came back."""

from __future__ import annotations

from typing import Any

from harness.analysis.record import Record


def figures(record: Record) -> list[dict[str, Any]]:
    """One row per fault of a server, load balancer and backend.

    Times are those of HAProxy's own statistics, polled four times a second. `alive_s` is when the
    engine started the container again; a server that is still booting is counted as alive.
    `leaves_rotation_s` is how long a dead server was in the rotation: it ends when it left, or, of
    one that never left, when it was alive again.
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
        _row(fault, name, [e for e in events if start_s <= e["t_s"] < until_s], alive_s)
        for name, events in sorted(changes.items())
        if fault["kind"] != "start"
    ]


def _row(
    fault: dict[str, Any], name: str, events: list[dict[str, Any]], alive_s: float | None
) -> dict[str, Any]:
    left = next((e for e in events if not _is_up(e)), None)
    back = next((e for e in events if left and e["t_s"] > left["t_s"] and _is_up(e)), None)
    lb, _, backend = name.partition("/")
    left_s, returned_s = (event["t_s"] if event else None for event in (left, back))
    was_alive_s = alive_s if alive_s is not None else fault["healed_s"]
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
        "uncertainty_s": left.get("uncertainty_s") if left else None,
    }


def _is_up(event: dict[str, Any]) -> bool:
    return str(event["status"]).startswith("UP")
