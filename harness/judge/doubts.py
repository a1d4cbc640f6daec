"""Why a figure is not evidence, whatever its value; and what excuses a missed limit."""

from __future__ import annotations

import math

from harness.aspects import metric_of
from harness.model.expectation import Expectation
from harness.model.figure import Basis, Figure
from harness.model.findings import LoadHealth, Run
from harness.model.verdict import Reason

CUT_OFF = ("interrupted", "error")
"""Statuses of runs that prove nothing: their measurements are incomplete."""
NOT_STEADY = "not_steady"
"""The status, and the code, of a run that ended before its first fault: nothing was broken."""


def doubt(item: Expectation, figure: Figure, run: Run) -> Reason | None:
    """Why the figure can neither pass nor fail, None if it can.

    A missed invariant fails whatever the generator and the faults did; but not in a run that was
    cut off, or where requests were sent that nobody recorded.
    """
    if of_the_run := _of_the_run(run, fails_anyhow=_fails_anyhow(item, figure)):
        return of_the_run
    if not _fails_anyhow(item, figure) and (missing := _missing_evidence(item, figure, run)):
        return missing
    if figure.gap:
        return Reason(figure.gap_code, figure.gap)
    if not figure.failure and figure.value is None:
        return Reason("not_measured", "nothing was measured")
    return _uncertain(item, figure) or (figure.weakness if holds(item, figure) else None)


def _of_the_run(run: Run, *, fails_anyhow: bool) -> Reason | None:
    """Why nothing of this run is evidence."""
    if run.status in CUT_OFF:
        return Reason("run_interrupted", "the run did not finish")
    if run.load and run.load.lost:
        return Reason("worker_lost", run.load.lost)
    if run.status == NOT_STEADY and not fails_anyhow:
        return Reason(NOT_STEADY, "the run ended before the fault")
    return None


def _fails_anyhow(item: Expectation, figure: Figure) -> bool:
    is_invariant = metric_of(item).is_invariant or figure.is_invariant
    return is_invariant and figure.value is not None and not holds(item, figure)


def _missing_evidence(item: Expectation, figure: Figure, run: Run) -> Reason | None:
    """What the figure depends on and is missing: a healthy load, a proven fault, all requests."""
    needs_load = metric_of(item).needs_load
    if needs_load and run.load and run.load.problems:
        return Reason("load_unhealthy", _generator(run.load))
    if text := _unproven_fault(item, run):
        return Reason("fault_not_proven", text)
    basis = figure.basis or (Basis(("main",), *window(item, run)) if needs_load else None)
    if basis and (text := run.coverage.gap_in(basis)):
        return Reason("evidence_missing", f"requests are missing: {text}")
    return None


def _generator(load: LoadHealth) -> str:
    return f"the load generator was not healthy: {load.problems[0]}"


def _unproven_fault(item: Expectation, run: Run) -> str:
    """A fault that the figure's window depends on and whose effect was not observed."""
    end_s = window(item, run)[1]
    for fault in run.faults:
        start_s = fault.start_s if fault.start_s is not None else -math.inf
        if not fault.proven and start_s < end_s:
            return f"{fault.kind} {fault.target} is not proven: {fault.detail}"
    return ""


def holds(item: Expectation, figure: Figure) -> bool:
    """Whether it was measured and meets the limit."""
    return not figure.failure and figure.value is not None and item.holds(figure.value)


def excuse(item: Expectation, figure: Figure, run: Run) -> Reason | None:
    """Why a missed limit is not held against the target, None if it is.

    A limit met on a busy machine is met: only failures are excused.
    """
    if metric_of(item).is_invariant or figure.is_invariant:
        return None
    against = figure.failure or figure.evidence
    if run.load and run.load.problems:
        return Reason("load_unhealthy", f"{against}; {_generator(run.load)}")
    if disturbance := run.machine.disturbed_in(*(figure.happened_s or window(item, run))):
        return Reason("machine_disturbed", f"{against}; {disturbance.text}")
    if too_small := run.machine.no_headroom:
        return Reason("no_headroom", f"{against}; {too_small.text}")
    return None


def _uncertain(item: Expectation, figure: Figure) -> Reason | None:
    """The limit is within the uncertainty: the true value may be on its other side."""
    if figure.value is None or not figure.uncertainty:
        return None
    low, high = figure.value - figure.uncertainty, figure.value + figure.uncertainty
    if item.holds(low) == item.holds(high) == item.holds(figure.value):
        return None
    text = f"{figure.evidence}: the limit is within the uncertainty"
    return Reason("within_uncertainty", text)


def window(item: Expectation, run: Run) -> tuple[float, float]:
    """The time range of the figure, in seconds since run start.

    A figure of faults covers the time from the first fault of its phase to the end of the run.
    """
    start_s, end_s = run.window(item.phase)
    return start_s, math.inf if metric_of(item).scope == "fault" else end_s
