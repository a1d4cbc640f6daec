"""Events of made-up runs with alerts, in phases of known times.

warmup 0-10 | baseline 10-30 | fault 30-60 | recovery 60-100
"""

from __future__ import annotations

from typing import Any

from harness.model.experiment import Phase

SPANS = {"warmup": (0, 10), "baseline": (10, 30), "fault": (30, 60), "recovery": (60, 100)}
PHASES = tuple(Phase(name=n, start_s=s, end_s=e) for n, (s, e) in SPANS.items())
RULES = [
    {"alert": "Errors", "severity": "warning", "query": "e > 1", "for_s": 2, "interval_s": 1},
    {"alert": "Errors", "severity": "critical", "query": "e > 5", "for_s": 2, "interval_s": 1},
    {"alert": "Cpu", "severity": "warning", "query": "c > 1", "for_s": 2, "interval_s": 1},
    {"alert": "Heartbeat", "severity": "none", "query": "vector(1)", "for_s": 0, "interval_s": 1},
]
FAULT = (30.0, 60.0)
Event = dict[str, Any]


def seen(name: str, at_s: float, until_s: float = 101.0) -> list[Event]:
    """That one of the two was looked at."""
    event = {"event": "alert.watched", "by": name, "service": name}
    return [{**event, "t_s": at_s}, {**event, "t_s": until_s}]


WATCHED = [
    *seen("prometheus", -0.6), *seen("pager", -0.4),
    {"event": "alert.rules", "t_s": -0.5, "service": "prometheus", "rules": RULES},
]  # fmt: skip


def state(
    state: str, t_s: float, name: str = "Errors", severity: str = "warning", half_s: float = 0.5,
    **labels: str,
) -> Event:  # fmt: skip
    labels = {"alertname": name, "severity": severity, **labels}
    half_s = 0.0 if state == "pending" else half_s
    return {"event": "alert.state", "t_s": t_s, "service": "prometheus", "alert": name,
            "severity": severity, "labels": labels, "state": state, "uncertainty_s": half_s,
            "summary": f"{name}!"}  # fmt: skip


def fires(
    pending_s: float, firing_s: float, resolved_s: float | None = None, name: str = "Errors",
    severity: str = "warning", **labels: str,
) -> list[Event]:  # fmt: skip
    found = [
        state("pending", pending_s, name, severity, **labels),
        state("firing", firing_s, name, severity, **labels),
    ]
    ends = [] if resolved_s is None else [state("resolved", resolved_s, name, severity, **labels)]
    return [*found, *ends]


def page(
    t_s: float, name: str = "Errors", severity: str = "warning", status: str = "firing",
    **labels: str,
) -> Event:  # fmt: skip
    alert = {"alert": name, "severity": severity, "status": status,
             "labels": {"alertname": name, "severity": severity, **labels}}  # fmt: skip
    return {"event": "alert.notified", "t_s": t_s, "status": status, "alerts": [alert],
            "uncertainty_s": 0.0}  # fmt: skip


def silent(who: str, from_s: float, to_s: float | None) -> list[Event]:
    """No answer; the last good look was at most 2 s before."""
    probe = f"{who} {who}"
    begins = {"event": "probe.unanswered", "t_s": from_s + 2.0, "probe": probe, "error": "refused"}
    ends = {"event": "probe.answered", "t_s": to_s, "probe": probe, "unanswered_s": 1.0}
    return [begins] if to_s is None else [begins, ends]
