"""What every server's circuit breaker of one name did; the worst server counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.judge.figure import Figure, Findings, failed, no_figure, shown
from harness.model.expectation import Expectation
from harness.model.uncertain import uncertainty_of


def figure(item: Expectation, findings: Findings) -> Figure:
    """The figure of the worst server: by phase where the expectation has one."""
    name = item.subject.partition(".")[2]
    found = findings["breakers"]["by_breaker"].get(name)
    if not found or not found["servers"]:
        return no_figure(f"no breaker named {name} reported")
    if against := _contradiction(name, findings):
        return failed(against, "breaker_contradiction")
    if missing := found.get("missing_servers"):
        return failed(f"{', '.join(missing)} reported no breaker {name}", "breaker_not_reported")
    return _of_phase(item, found) if item.kind.scope == "phase" else _of_run(item, found)


def _of_run(item: Expectation, found: Mapping[str, Any]) -> Figure:
    servers, value = found["servers"], found[item.metric]
    early = [name for name, row in servers.items() if row["state_at_fault"] != "CLOSED"]
    if early:
        gap = f"not CLOSED when the fault began: {', '.join(early)}"
        return no_figure(gap, "breaker_not_closed_before")
    each = "; ".join(f"{server} {_words(row)}" for server, row in servers.items())
    if item.unit == "flag":
        return Figure(1.0 if value else 0.0, each)
    if value is None:
        return _unmeasured(item.metric, found, each)
    half_s = uncertainty_of(found, item.metric)
    return Figure(value, f"{shown(value, item.unit)} at worst", uncertainty=half_s)


def _contradiction(name: str, findings: Findings) -> str:
    """Where what a server says of its breaker is not what was seen from outside."""
    rows = [r for r in findings["breakers"].get("contradictions") or () if r["breaker"] == name]
    if not rows:
        return ""
    first = rows[0]
    return f"{first['server']} at {first['at_s']:.1f} s: {first['what']} ({first['evidence']})"


def _of_phase(item: Expectation, found: Mapping[str, Any]) -> Figure:
    rows = found["servers"]
    if item.phase != "run":
        rows = {name: row.get("phases", {}).get(item.phase) for name, row in rows.items()}
    if not all(rows.values()):
        return no_figure(f"no breaker reported on {item.phase}")
    if item.metric == "flaps":
        value = max(row["flaps"] for row in rows.values())
        return Figure(value, f"{value:g} at worst")
    states = {name: row["state_at_end"] for name, row in rows.items()}
    left = [f"{name} {state} at the end" for name, state in states.items() if state != "CLOSED"]
    return Figure(0.0 if left else 1.0, ", ".join(left) or "CLOSED at the end")


def _unmeasured(metric: str, found: Findings, each: str) -> Figure:
    """Why a breaker has no such figure: it did not do what is measured, or not often enough."""
    if not found["opened_on_all"]:
        return failed(f"it never opened everywhere: {each}", "breaker_never_opened")
    if metric == "closes_within":
        return failed(f"it never closed: {each}", "breaker_never_closed")
    if metric == "fast_fail_p99":
        refused = ", ".join(f"{s} {r.get('fast_fails', 0):,}" for s, r in found["servers"].items())
        return no_figure(f"too few calls failed fast to tell: {refused}")
    return Figure(None, each)


def _words(row: Mapping[str, Any]) -> str:
    if row["opened_s"] is None:
        return "never opened"
    text = f"opened after {row['failures_to_open']} failures, re-opened {row['reopened']} times"
    return f"{text}, {row['state_at_end']} at the end"
