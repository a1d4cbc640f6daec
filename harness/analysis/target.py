"""What the target's own state says: healthy before and after, who rejoined, who restarted."""

from __future__ import annotations

from typing import Any

from harness.analysis.record import Record


def figures(record: Record) -> dict[str, Any]:
    """Flags are True, False, or None where nobody looked."""
    checks = {check["when"]: check for check in record.events_of("target.check")}
    after = checks.get("after", {})
    restarts = [f.get("restarted_by_itself") for f in record.faults if "restarted_by_itself" in f]
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
        "standby_streaming": after.get("details", {}).get("standby_streaming"),
    }


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
