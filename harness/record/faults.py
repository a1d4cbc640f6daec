"""What the events of a run say about each planned fault."""

from __future__ import annotations

from typing import Any

from harness.model.experiment import Experiment


def fault_rows(experiment: Experiment, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per planned fault, with what the events say about it."""
    rows: dict[str, dict[str, Any]] = {
        spec.id: {
            "fault": spec.id,
            "kind": spec.kind,
            "target": next(iter(spec.selector.values()), ""),
            "selector": dict(spec.selector),
            "candidates": list(spec.candidates),
            "service": None,
            "services": [],
            "links": [],
            "phase": spec.phase,
            "planned_s": spec.end_s - spec.start_s,
            "start_s": None,
            "effect_s": None,
            "healed_s": None,
            "held_s": None,
            "lost_s": None,
            "evidence": None,
            "proven": False,
            "healed": False,
            "detail": "never injected",
        }
        for spec in experiment.faults
    }
    for event in events:
        row = rows.get(event.get("fault", ""))
        if row is not None:
            _apply(row, event)
    return list(rows.values())


def _apply(row: dict[str, Any], event: dict[str, Any]) -> None:
    name = event["event"]
    if name == "fault.injecting":
        row["target"] = event.get("target", row["target"])
        resolved = event.get("resolved") or {}
        row["services"] = [c.get("service") for c in resolved.get("containers") or []]
        row["links"] = list(resolved.get("links") or [])
        row["service"] = row["services"][0] if row["services"] else None
        row["start_s"], row["detail"] = event["t_s"], "injected, not proven"
    elif name in ("fault.active", "fault.unproven"):
        row["proven"] = name == "fault.active"
        for key in ("start_s", "effect_s", "detail", "killed_for_memory", "evidence"):
            if key in event:
                row[key] = event[key]
    elif name == "fault.held":
        row["held_s"] = event["held_s"]
    elif name == "fault.lost":
        _lose(row, event)
    elif name == "fault.healed":
        row["healed_s"], row["healed"] = event["healed_s"], bool(event.get("verified"))


def _lose(row: dict[str, Any], event: dict[str, Any]) -> None:
    """It ended before it was healed: it is no longer proven, and the detail says since when."""
    row["proven"], row["lost_s"] = False, event["lost_s"]
    lasted_s = event["lost_s"] - (row["start_s"] or 0.0)
    planned = f"planned for {row['planned_s']:.0f} s, it ended after {lasted_s:.0f} s"
    row["detail"] = f"{planned} ({event['detail']})"
