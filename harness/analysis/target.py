"""What the target's own state says: healthy before and after, who rejoined, who restarted."""

from __future__ import annotations

from typing import Any

from harness.analysis.record import Record

CRASHES = ("crash", "out_of_memory")
"""Kinds after which the container's restart policy must act."""


def figures(record: Record) -> dict[str, Any]:
    """Flags are True, False, or None where nobody looked."""
    checks = {check["when"]: check for check in record.events_of("target.check")}
    after = checks.get("after", {})
    restarts = [_restarted(record, f) for f in record.faults if f["kind"] in CRASHES]
    memory = [f for f in record.faults if f["kind"] == "out_of_memory"]
    wiped = [f for f in record.faults if f["kind"] == "wipe"]
    rejoined = _rejoined(record)
    return {
        "healthy_before": checks.get("before", {}).get("healthy"),
        "healthy": after.get("healthy"),
        "details": after.get("details", {}),
        "old_primary_rejoined": rejoined,
        "new_replica_built": rejoined if wiped else None,
        "restarted_by_itself": all(restarts) if restarts else None,
        "killed_for_memory": all(f.get("killed_for_memory") for f in memory) if memory else None,
    }


def _restarted(record: Record, fault: dict[str, Any]) -> bool:
    """Whether the engine started the container between the fault and the begin of its healing."""
    healing = [e["t_s"] for e in record.events_of("fault.healing") if e["fault"] == fault["fault"]]
    until_s = healing[0] if healing else record.experiment.end_s
    return fault["start_s"] is not None and any(
        event["service"] == fault["service"] and fault["start_s"] < event["t_s"] < until_s
        for event in record.events_of("container.start")
    )


def _rejoined(record: Record) -> bool | None:
    """Whether each former primary that was broken streams as a replica again."""
    victims = {
        str(fault["service"])
        for fault in record.faults
        if fault["selector"].get("role") == "db-primary" and fault["service"]
    }
    if not victims:
        return None
    return victims <= {str(event["service"]) for event in record.events_of("target.rejoined")}
