"""Why a figure is no evidence, whatever its value; and what excuses a limit that was missed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.judge.figure import Figure, Findings
from harness.model.aspect import OPERATION
from harness.model.coverage import gap_in, gap_in_recovery
from harness.model.expectation import Expectation
from harness.model.machine import disturbed_in, no_headroom

COLD_MIN = 0.5
"""The share of a read canary that must reach past all caches for it to see what is behind them."""
HIDDEN = ("error_rate", "failed_requests", "recovery_time", "degradation_time")
"""Figures that stay good while caches answer for what is broken."""
CUT_OFF = ("interrupted", "error")
"""Statuses of runs that say nothing: what was measured lacks its end."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason to say INCONCLUSIVE."""

    text: str
    code: str


def doubt(item: Expectation, figure: Figure, findings: Findings) -> Doubt | None:
    """Why the figure can neither pass nor fail, None if it can.

    A missed invariant fails whatever the generator and the faults did.
    """
    if findings["status"] in CUT_OFF:
        return Doubt("the run did not come to its end", "run_interrupted")
    if not _fails_anyhow(item, figure) and (missing := _missing_evidence(item, findings)):
        return missing
    if figure.gap:
        return Doubt(figure.gap, figure.gap_code)
    if not figure.failure and figure.value is None:
        return Doubt("nothing was measured", "not_measured")
    return _uncertain(item, figure) or _warm(item, figure, findings)


def _fails_anyhow(item: Expectation, figure: Figure) -> bool:
    is_invariant = item.kind.is_invariant or figure.is_invariant
    return is_invariant and figure.value is not None and not holds(item, figure)


def _missing_evidence(item: Expectation, findings: Findings) -> Doubt | None:
    """What the figure rests on and is not there: a healthy load, a proven fault, all requests."""
    problems = findings["load"]["problems"]
    if problems and item.kind.needs_load:
        return Doubt(f"the load generator was not healthy: {problems[0]}", "load_unhealthy")
    if text := _unproven_fault(item, findings):
        return Doubt(text, "fault_not_proven")
    if text := _missing_requests(item, findings):
        return Doubt(f"requests are missing: {text}", "evidence_missing")
    return None


def _unproven_fault(item: Expectation, findings: Findings) -> str:
    """A fault that the figure's window depends on, and that was not seen to act."""
    end_s = window(item, findings)[1]
    for fault in findings["faults"]:
        start_s = fault["start_s"] if fault["start_s"] is not None else -math.inf
        if not fault["proven"] and start_s < end_s:
            return f"{fault['kind']} {fault['target']} is not proven: {fault['detail']}"
    return ""


def _missing_requests(item: Expectation, findings: Findings) -> str:
    """Where fewer requests were recorded than the plan sends, in what the figure is made of."""
    start_s, end_s = window(item, findings)
    if item.kind.scope == "fault" and item.aspect == OPERATION:
        starts = [
            fault["start_s"]
            for fault in findings["faults"]
            if item.phase in ("run", fault["phase"]) and fault["start_s"] is not None
        ]
        is_known = starts and item.subject in findings["recovery"]
        return gap_in_recovery(findings, item.subject, min(starts)) if is_known else ""
    if item.aspect == OPERATION:
        return gap_in(findings, ("main", "canary"), start_s, end_s, item.subject)
    return gap_in(findings, ("main",), start_s, end_s) if item.kind.needs_load else ""


def _warm(item: Expectation, figure: Figure, findings: Findings) -> Doubt | None:
    """A fault that a cache hides from the canary: what held then says nothing."""
    if item.aspect != OPERATION or item.metric not in HIDDEN or not holds(item, figure):
        return None
    cold = (findings["recovery"].get(item.subject) or {}).get("cold_share")
    starts = [f["start_s"] for f in findings["faults"] if f["start_s"] is not None]
    if (
        cold is None
        or cold >= COLD_MIN
        or window(item, findings)[1] <= min(starts, default=math.inf)
    ):
        return None
    text = f"caches answered {1 - cold:.0%} of its canary before the fault: they can hide it"
    return Doubt(f"{figure.evidence}; {text}", "canary_not_cold")


def holds(item: Expectation, figure: Figure) -> bool:
    """Whether it was measured, and keeps the limit."""
    return not figure.failure and figure.value is not None and item.holds(figure.value)


def excuse(item: Expectation, figure: Figure, findings: Findings) -> Doubt | None:
    """What makes a missed limit no finding against the target, None if nothing does.

    A limit that was kept on a busy machine was kept: only failures are excused.
    """
    if item.kind.is_invariant or figure.is_invariant:
        return None
    against = figure.failure or figure.evidence
    if disturbance := disturbed_in(findings, *window(item, findings)):
        return Doubt(f"{against}; {disturbance.text}", "machine_disturbed")
    if too_small := no_headroom(findings):
        return Doubt(f"{against}; {too_small.text}", "no_headroom")
    return None


def _uncertain(item: Expectation, figure: Figure) -> Doubt | None:
    """The limit lies within the uncertainty: the true value may be on its other side."""
    if figure.value is None or not figure.uncertainty:
        return None
    low, high = figure.value - figure.uncertainty, figure.value + figure.uncertainty
    if item.holds(low) == item.holds(high) == item.holds(figure.value):
        return None
    text = f"{figure.evidence}: the limit lies within the uncertainty"
    return Doubt(text, "within_uncertainty")


def window(item: Expectation, findings: Findings) -> tuple[float, float]:
    """From when to when the figure looks, in seconds since run start.

    A figure of faults looks from the first fault of its phase to the end of the run.
    """
    phases = findings["phases"]
    if item.phase == "run" or item.phase not in phases:
        return 0.0, math.inf
    start_s, end_s = (float(phases[item.phase][key]) for key in ("start_s", "end_s"))
    return start_s, math.inf if item.kind.scope == "fault" else end_s
