"""Compares findings with the hypothesis: a three-valued verdict with the evidence for each part.

Missing evidence makes an expectation INCONCLUSIVE before anything is combined; then FAIL is
stronger than INCONCLUSIVE, which is stronger than PASS. The judge sees no container and no clock.
Each aspect says what its figure is; `doubts.py` says when it is not evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.aspects import Findings, aspect_of, metric_of
from harness.judge.doubts import CUT_OFF, NOT_STEADY, doubt, excuse, holds
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.findings import Run
from harness.model.surprise import EXITS, Surprise
from harness.model.verdict import Judgement, Outcome, Reason, Verdict

TOO_SLOW = ("replica_not_caught_up",)
"""Surprises that a busy machine can cause."""
OF_THE_RUN = (
    *("worker_lost", "load_unhealthy", "fault_not_proven", "run_interrupted"),
    NOT_STEADY,
)
"""Reasons that are given once for the whole run."""


def judge(experiment: Experiment, findings: Findings) -> Verdict:
    """The verdict on one run."""
    judgements = tuple(_judge_one(item, findings) for item in experiment.hypothesis)
    of_the_run = _of_the_run(findings.run)
    outcomes = {item.outcome for item in judgements} | {outcome for outcome, _ in of_the_run}
    reasons = [*(reason for _, reason in of_the_run), *_judgement_reasons(judgements)]
    if not judgements:
        reasons.append(Reason("not_measured", "the experiment has no expectations"))
        outcomes.add("inconclusive")
    strongest: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
    outcome = next(outcome for outcome in strongest if outcome in outcomes)
    return Verdict(outcome, tuple(reasons), judgements)


def _of_the_run(run: Run) -> list[tuple[Outcome, Reason]]:
    """What in the run as a whole is against a pass, and how strongly; exits of containers first."""
    found: list[tuple[Outcome, Reason]] = []
    is_lost = bool(run.load and run.load.lost)  # then even what tripped a safeguard proves nothing
    if run.status == "aborted":
        text = f"a safeguard aborted the run: {run.message}"
        found.append(("inconclusive" if is_lost else "fail", Reason("safeguard_tripped", text)))
    elif run.status == NOT_STEADY:
        found.append(("inconclusive", _not_steady(run)))
    elif run.status != "completed":
        text = f"the run ended as {run.status}: {run.message}"
        found.append(("inconclusive", Reason("run_interrupted", text)))
    for fault in run.faults:
        if not fault.proven and run.status != NOT_STEADY:  # left out on purpose
            text = f"{fault.kind} {fault.target} is not proven: {fault.detail}"
            found.append(("inconclusive", Reason("fault_not_proven", text)))
    found += _remedies(run)
    if run.load and run.load.lost:
        found.append(("inconclusive", Reason("worker_lost", run.load.lost)))
    for text in run.load.problems if run.load else ():
        found.append(("inconclusive", Reason("load_unhealthy", text)))
    counting = [row for row in run.surprises if row.outcome != "note"]
    lead = [row for row in counting if row.code in EXITS and row.outcome == "fail"]
    others = [_surprise(row, run) for row in counting if row not in lead]
    return [*(_surprise(row, run) for row in lead), *found, *others]


def _remedies(run: Run) -> Iterator[tuple[Outcome, Reason]]:
    """What of the operator's procedure was not done.

    That fails the run, unless a fault was not proven: then it met not what it was made for. In a
    run that was cut off, those that were not begun say nothing.
    """
    is_doubtful = run.status in CUT_OFF or not all(fault.proven for fault in run.faults)
    for remedy in run.remedies:
        if remedy.state == "done" or (run.status != "completed" and remedy.state != "failed"):
            continue
        what = f"remedy {remedy.remedy} ({remedy.kind} {remedy.target})"
        how = "failed" if remedy.state == "failed" else f"was not done ({remedy.state})"
        reason = Reason("remedy_failed", f"{what} {how}: {remedy.detail}")
        yield "inconclusive" if is_doubtful else "fail", reason


def _not_steady(run: Run) -> Reason:
    """That it was not steady, or what kept it from being so."""
    judged = [span.start_s for name, span in run.phases.items() if name != "warmup"]
    if disturbance := run.machine.disturbed_in(min(judged, default=0.0), math.inf):
        return Reason("machine_disturbed", f"{run.message}; {disturbance.text}")
    if too_small := run.machine.no_headroom:
        return Reason("no_headroom", f"{run.message}; {too_small.text}")
    return Reason(NOT_STEADY, run.message)


def _surprise(row: Surprise, run: Run) -> tuple[Outcome, Reason]:
    """How much an unexplained event counts; a busy machine excuses what took too long."""
    busy = run.machine.disturbed_in(0.0, math.inf) or run.machine.no_headroom
    if busy and row.code in TOO_SLOW:
        return "inconclusive", Reason(row.code, f"{row.text}; {busy.text}")
    return "fail" if row.outcome == "fail" else "inconclusive", Reason(row.code, row.text)


def _judgement_reasons(judgements: tuple[Judgement, ...]) -> list[Reason]:
    """Failures first, each code and text once."""
    reasons: dict[tuple[str, str], Reason] = {}
    for wanted in ("fail", "inconclusive"):
        for item in judgements:
            if item.outcome == wanted and item.code not in OF_THE_RUN:
                where = item.expectation_id.rpartition(".")[0]
                text = f"{where}: {item.text}, but {item.evidence}"
                reasons.setdefault((item.code, text), Reason(item.code, text))
    return list(reasons.values())


def _judge_one(item: Expectation, findings: Findings) -> Judgement:
    figure = aspect_of(item).figure(item, findings)
    if no_evidence := doubt(item, figure, findings.run):
        return _judgement(item, "inconclusive", figure.value, no_evidence)
    if holds(item, figure):
        return _judgement(item, "pass", figure.value, Reason("", figure.evidence))
    if excused := excuse(item, figure, findings.run):
        return _judgement(item, "inconclusive", figure.value, excused)
    code = figure.failure_code or metric_of(item).code
    return _judgement(item, "fail", figure.value, Reason(code, figure.failure or figure.evidence))


def _judgement(item: Expectation, outcome: Outcome, value: float | None, why: Reason) -> Judgement:
    limit = (item.limit, item.unit)
    return Judgement(item.id, item.text, outcome, value, *limit, why.text, why.code)
