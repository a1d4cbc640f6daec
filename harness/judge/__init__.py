"""Holds findings against the hypothesis: a three-valued verdict with the evidence for each part.

Missing evidence makes an expectation INCONCLUSIVE before anything is combined; then FAIL is
stronger than INCONCLUSIVE, which is stronger than PASS. The judge sees no container and no clock.
One file for each aspect says what its figure is; `doubts.py` says what makes it no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from harness.judge import (
    breakers,
    clicks,
    operations,
    reads,
    rotation,
    settings,
    shares,
    target,
    writes,
)
from harness.judge.doubts import doubt, excuse, holds
from harness.judge.figure import Figure, Findings
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.machine import disturbed_in, no_headroom
from harness.model.verdict import Judgement, Outcome, Reason, Verdict

READERS: dict[str, Callable[[Expectation, Findings], Figure]] = {
    "operation": operations.figure,
    "cache": shares.figure,
    "traffic_share": shares.figure,
    "replica_share": shares.figure,
    "rotation": rotation.figure,
    "breaker": breakers.figure,
    "writes": writes.figure,
    "reads": reads.figure,
    "clicks": clicks.figure,
    "target": target.figure,
    "settings": settings.figure,
}
TOO_SLOW = ("replica_not_caught_up",)
"""Surprises that a machine which others keep busy can be the cause of."""
OF_THE_RUN = ("load_unhealthy", "fault_not_proven", "run_interrupted")
"""Reasons that are given once for the whole run."""


def judge(experiment: Experiment, findings: Findings) -> Verdict:
    """The verdict on one run."""
    judgements = tuple(_judge_one(item, findings) for item in experiment.hypothesis)
    of_the_run = _of_the_run(findings)
    outcomes = {item.outcome for item in judgements} | {outcome for outcome, _ in of_the_run}
    reasons = [*(reason for _, reason in of_the_run), *_judgement_reasons(judgements)]
    if not judgements:
        reasons.append(Reason("not_measured", "the experiment expects nothing"))
        outcomes.add("inconclusive")
    strongest: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
    outcome = next(outcome for outcome in strongest if outcome in outcomes)
    return Verdict(outcome, tuple(reasons), judgements)


def _of_the_run(findings: Findings) -> list[tuple[Outcome, Reason]]:
    """What the run as a whole says against a pass, and how strongly."""
    found: list[tuple[Outcome, Reason]] = []
    status, message = findings["status"], findings.get("message", "")
    if status == "aborted":
        text = f"a safeguard ended the run: {message}"
        found.append(("fail", Reason("safeguard_tripped", text)))
    elif status != "completed":
        text = f"the run is {status}: {message}"
        found.append(("inconclusive", Reason("run_interrupted", text)))
    for fault in findings["faults"]:
        if not fault["proven"]:
            text = f"{fault['kind']} {fault['target']} is not proven: {fault['detail']}"
            found.append(("inconclusive", Reason("fault_not_proven", text)))
    for text in findings["load"]["problems"]:
        found.append(("inconclusive", Reason("load_unhealthy", text)))
    return [*found, *_surprises(findings)]


def _surprises(findings: Findings) -> list[tuple[Outcome, Reason]]:
    """What no fault explains and weighs against a pass; notes are only reported."""
    return [
        _surprise(row, findings)
        for row in findings.get("surprises") or ()
        if row["outcome"] != "note"
    ]


def _surprise(row: Mapping[str, Any], findings: Findings) -> tuple[Outcome, Reason]:
    """How strongly it weighs; what only took too long is excused by a busy machine."""
    outcome, text = row["outcome"], row["text"]
    busy = disturbed_in(findings, 0.0, math.inf) or no_headroom(findings)
    if busy and row["code"] in TOO_SLOW:
        outcome, text = "inconclusive", f"{text}; {busy.text}"
    return outcome, Reason(row["code"], text)


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
    figure = READERS[item.aspect](item, findings)
    if no_evidence := doubt(item, figure, findings):
        text, code = no_evidence.text, no_evidence.code
        return _judgement(item, "inconclusive", figure.value, text, code)
    if holds(item, figure):
        return _judgement(item, "pass", figure.value, figure.evidence, "")
    if excused := excuse(item, figure, findings):
        return _judgement(item, "inconclusive", figure.value, excused.text, excused.code)
    text, code = figure.failure or figure.evidence, figure.failure_code or item.kind.code
    return _judgement(item, "fail", figure.value, text, code)


def _judgement(
    item: Expectation, outcome: Outcome, value: float | None, evidence: str, code: str
) -> Judgement:
    return Judgement(item.id, item.text, outcome, value, item.limit, item.unit, evidence, code)
