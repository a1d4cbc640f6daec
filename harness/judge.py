"""Holds findings against the hypothesis: a three-valued verdict with the evidence for each part.

Missing evidence makes an expectation INCONCLUSIVE before anything is combined; then FAIL is
stronger than INCONCLUSIVE, which is stronger than PASS. The judge sees no container and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.expectation import OPERATION_METRICS, Expectation
from harness.model.experiment import Experiment
from harness.model.quantity import format_duration
from harness.model.verdict import Judgement, Outcome, Reason, Verdict

Findings = Mapping[str, Any]
P99_SAMPLES_MIN, P95_SAMPLES_MIN, P50_SAMPLES_MIN = 1000, 200, 40
ACKNOWLEDGED_MIN = 20
READS_MIN = 100
SHARE_SAMPLES_MIN = 300

CODES = {
    "error_rate": "error_rate_exceeded",
    "failed_requests": "requests_failed",
    "requests": "too_few_requests",
    "recovery_time": "recovery_time_exceeded",
    "degradation_time": "degradation_time_exceeded",
    "p50": "response_time_exceeded",
    "p95": "response_time_exceeded",
    "p99": "response_time_exceeded",
    "opened_on_all": "breaker_never_opened",
    "failures_to_open": "breaker_opened_late",
    "opens_within": "breaker_opened_late",
    "reopened_on_all": "breaker_not_reopened",
    "failures_to_reopen": "breaker_not_reopened",
    "probes_per_cooldown": "breaker_probes",
    "cooldown": "breaker_probes",
    "fast_fail_p99": "breaker_fast_fail_slow",
    "closes_within": "breaker_closed_late",
    "closed_at_end": "breaker_never_closed",
    "flaps": "breaker_flaps",
    "lost": "writes_lost",
    "phantom": "writes_phantom",
    "duplicates": "writes_duplicated",
    "acknowledged": "too_few_writes",
    "unknown": "writes_unknown",
    "stale": "reads_stale",
    "stale_for": "reads_stale",
    "healthy": "target_unhealthy",
    "old_primary_rejoined": "old_primary_not_rejoined",
    "restarted_by_itself": "not_restarted_by_itself",
    "killed_for_memory": "not_killed_for_memory",
    "new_replica_built": "new_replica_not_built",
    "leaves_rotation": "leaves_rotation_late",
    "returns_to_rotation": "returns_to_rotation_late",
}
"""The stable reason code of each metric that missed its limit."""

CLICK_CODES = {
    "acknowledged": "too_few_clicks",
    "counted": "too_few_clicks",
    "dropped": "clicks_dropped",
    "lost": "clicks_lost",
    "lost_beyond_memory": "clicks_lost",
    "double": "clicks_double",
}

SHARE_CODES = {
    "traffic_share": "traffic_share_off",
    "replica_share": "replica_share_off",
    "cache": "cache_share_off",
}


CUT_OFF = ("interrupted", "error")
"""Statuses of runs that say nothing: what was measured lacks its end."""
OF_THE_RUN = ("load_unhealthy", "fault_not_proven", "run_interrupted")
"""Reasons that are given once for the whole run."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. `gap` says why it is no evidence; `failure` overrides comparing."""

    value: float | None
    evidence: str
    gap: str = ""
    gap_code: str = "not_measured"
    failure: str = ""
    failure_code: str = ""


def judge(experiment: Experiment, findings: Findings) -> Verdict:
    """The verdict on one run."""
    judgements = tuple(_judge_one(item, findings) for item in experiment.hypothesis)
    reasons = [*_run_reasons(findings), *_judgement_reasons(judgements)]
    outcome: Outcome = "pass"
    outcomes = {item.outcome for item in judgements} | _run_outcomes(findings)
    if "fail" in outcomes:
        outcome = "fail"
    elif "inconclusive" in outcomes or not judgements:
        outcome = "inconclusive"
    if not judgements:
        reasons.append(Reason("not_measured", "the experiment expects nothing"))
    return Verdict(outcome, tuple(reasons), judgements)


def _run_outcomes(findings: Findings) -> set[str]:
    outcomes = set()
    status = findings["status"]
    if status == "aborted":
        outcomes.add("fail")
    elif status != "completed":
        outcomes.add("inconclusive")
    if not all(fault["proven"] for fault in findings["faults"]):
        outcomes.add("inconclusive")
    return outcomes


def _run_reasons(findings: Findings) -> list[Reason]:
    reasons = []
    status, message = findings["status"], findings.get("message", "")
    if status == "aborted":
        reasons.append(Reason("safeguard_tripped", f"a safeguard ended the run: {message}"))
    elif status != "completed":
        reasons.append(Reason("run_interrupted", f"the run is {status}: {message}"))
    for fault in findings["faults"]:
        if not fault["proven"]:
            text = f"{fault['kind']} {fault['target']} is not proven: {fault['detail']}"
            reasons.append(Reason("fault_not_proven", text))
    reasons += [Reason("load_unhealthy", text) for text in findings["load"]["problems"]]
    return reasons


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
    figure = _figure(item, findings)
    gap, gap_code = figure.gap, figure.gap_code
    problems = findings["load"]["problems"]
    if problems and _depends_on_load(item):
        gap, gap_code = f"the load generator was not healthy: {problems[0]}", "load_unhealthy"
    if findings["status"] in CUT_OFF:
        gap, gap_code = "the run did not come to its end", "run_interrupted"
    if gap:
        return _judgement(item, "inconclusive", figure.value, gap, gap_code)
    if figure.failure:
        return _judgement(item, "fail", figure.value, figure.failure, figure.failure_code)
    if figure.value is None:
        return _judgement(item, "inconclusive", None, "nothing was measured", "not_measured")
    if item.holds(figure.value):
        return _judgement(item, "pass", figure.value, figure.evidence, "")
    return _judgement(item, "fail", figure.value, figure.evidence, _code(item))


def _judgement(
    item: Expectation, outcome: Outcome, value: float | None, evidence: str, code: str
) -> Judgement:
    return Judgement(item.id, item.text, outcome, value, item.limit, item.unit, evidence, code)


def _code(item: Expectation) -> str:
    if item.subject == "clicks":
        return CLICK_CODES[item.metric]
    return SHARE_CODES.get(item.subject) or CODES[item.metric]


def _depends_on_load(item: Expectation) -> bool:
    return item.subject in ("traffic_share", "replica_share", "cache") or (
        item.metric in OPERATION_METRICS and "." not in item.subject
    )


def _figure(item: Expectation, findings: Findings) -> Figure:
    head = item.subject.partition(".")[0]
    return READERS.get(head, _operation)(item, findings)


def _operation(item: Expectation, findings: Findings) -> Figure:
    if item.metric in ("recovery_time", "degradation_time"):
        return _recovery(item, findings)
    found = findings["operations"].get(item.subject, {}).get(item.phase)
    if not found or not found["requests"]:
        return Figure(None, "", gap=f"no {item.subject} was sent in {item.phase}")
    requests = found["requests"]
    value, needed = _operation_value(item, found)
    seen = f"{_shown(value, item.unit)} over {requests:,} requests"
    if found["failed"]:
        errors = ", ".join(f"{count} {name}" for name, count in found["errors"].items())
        seen += f" ({errors})"
    if requests < needed:
        text = f"{requests:,} requests, and {needed:,.0f} are needed to tell"
        return Figure(value, seen, gap=text, gap_code="too_few_samples")
    return Figure(value, seen)


def _operation_value(item: Expectation, found: Mapping[str, Any]) -> tuple[float | None, float]:
    """The figure, and how many requests it takes to hold it against the limit."""
    if item.metric == "error_rate":
        return found["error_rate"], 3 / item.limit if item.limit > 0 else 1
    if item.metric in ("failed_requests", "requests"):
        return found[{"failed_requests": "failed"}.get(item.metric, item.metric)], 1
    needed = {"p50": P50_SAMPLES_MIN, "p95": P95_SAMPLES_MIN, "p99": P99_SAMPLES_MIN}
    return found["response_time_s"][item.metric], needed[item.metric]


def _recovery(item: Expectation, findings: Findings) -> Figure:
    found = findings["recovery"].get(item.subject)
    if not found or found["recovered"] is None:
        return Figure(None, "", gap="no fault was injected")
    if item.metric == "degradation_time":
        return _degradation(item, found.get("degradation"), findings)
    mine = _of_phase(item, found["by_fault"], findings)
    if not mine:
        return Figure(None, "", gap=f"no fault was injected in {item.phase}")
    if any(not one["recovered"] for one in mine):
        return Figure(
            None, "", failure="it had not recovered at the end", failure_code="not_recovered"
        )
    worst = max(mine, key=lambda one: float(one["recovery_time_s"]))
    return Figure(worst["recovery_time_s"], _recovery_words(worst, found))


def _of_phase(
    item: Expectation, by_fault: Mapping[str, Any], findings: Findings
) -> list[Mapping[str, Any]]:
    """What was found for each fault of the expectation's phase."""
    return [
        by_fault[fault["fault"]]
        for fault in findings["faults"]
        if fault["fault"] in by_fault and item.phase in ("run", fault["phase"])
    ]


def _recovery_words(worst: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if found["never_failed"]:
        return f"never failed in {found['probes']:,} probes"
    text = _after(worst["recovery_time_s"], worst["uncertainty_s"], "recovered", "no outage")
    scattered = found.get("scattered") or {}
    if scattered.get("failed"):
        last = f"the last at {scattered['last_s']:.2f} s"
        text += f"; scattered failures beside: {scattered['failed']:,}, {last}"
    return text


def _degradation(item: Expectation, found: Mapping[str, Any] | None, findings: Findings) -> Figure:
    if not found:
        gap = f"the experiment sets no p95, p99 or p50 limit that {item.subject} could miss"
        return Figure(None, "", gap=gap)
    mine = _of_phase(item, found["by_fault"], findings)
    if not mine:
        return Figure(None, "", gap=f"no fault was injected in {item.phase}")
    limit = f"{found['metric']} within {format_duration(found['limit_s'])}"
    if any(not one["recovered"] for one in mine):
        text = f"{limit} was not regained by the end"
        return Figure(None, "", failure=text, failure_code="not_recovered")
    worst = max(mine, key=lambda one: float(one["recovery_time_s"]))
    value, half_s = worst["recovery_time_s"], worst["uncertainty_s"]
    return Figure(value, _after(value, half_s, f"{limit} regained", f"{limit} all along"))


def _after(value_s: float, half_s: float, what: str, never: str) -> str:
    return f"{what} after {value_s:.3f} s (± {half_s * 1e3:.0f} ms)" if value_s else never


def _share(item: Expectation, findings: Findings) -> Figure:
    table = findings["cache_share" if item.subject == "cache" else item.subject]
    name = item.metric.removesuffix("_share") if item.subject == "cache" else item.metric
    phase = {key: shares.get(item.phase) for key, shares in table.items()}
    known = {key: value for key, value in phase.items() if value is not None}
    if not known:
        return Figure(None, "", gap=f"no answer of {item.phase} says who served it")
    value = {"min": min, "max": max}.get(name, lambda _: known.get(name, 0.0))(known.values())
    shown = ", ".join(f"{key} {_shown(share, 'share')}" for key, share in sorted(known.items()))
    return Figure(float(value), shown)


def _rotation(item: Expectation, findings: Findings) -> Figure:
    rows = findings["rotation"]
    if not rows:
        return Figure(None, "", gap="no load balancer told of a broken server")
    key, when = f"{item.metric}_s", {"leaves_rotation": "left", "returns_to_rotation": "returned"}
    missing = [row for row in rows if row[key] is None]
    if missing:
        one = missing[0]
        text = f"{one['server']} never {when[item.metric]} on {one['lb']} after {one['fault']}"
        return Figure(None, "", failure=text, failure_code=f"never_{when[item.metric]}_rotation")
    worst = max(rows, key=lambda row: float(row[key]))
    text = f"{worst['server']} on {worst['lb']}/{worst['backend']}: {worst[key]:.2f} s at worst"
    return Figure(worst[key], text)


def _breaker(item: Expectation, findings: Findings) -> Figure:
    name = item.subject.partition(".")[2]
    found = findings["breakers"]["by_breaker"].get(name)
    if not found or not found["servers"]:
        return Figure(None, "", gap=f"no breaker called {name} told of itself")
    servers, value = found["servers"], found[item.metric]
    early = [name for name, row in servers.items() if row["state_at_fault"] != "CLOSED"]
    if early and item.metric not in ("flaps", "closed_at_end"):
        gap = f"not CLOSED when the fault began: {', '.join(early)}; the machine may be too busy"
        return Figure(None, "", gap=gap, gap_code="breaker_not_closed_before")
    shown = "; ".join(f"{server} {_breaker_words(row)}" for server, row in servers.items())
    if item.unit == "flag":
        return Figure(1.0 if value else 0.0, shown)
    if value is None:
        return _unmeasured(item.metric, found, shown)
    return Figure(value, f"{_shown(value, item.unit)} at worst")


def _unmeasured(metric: str, found: Findings, shown: str) -> Figure:
    """Why a breaker has no such figure: it did not do what is measured, or not often enough."""
    if not found["opened_on_all"]:
        text = f"it never opened everywhere: {shown}"
        return Figure(None, shown, failure=text, failure_code="breaker_never_opened")
    if metric == "closes_within":
        text = f"it never closed: {shown}"
        return Figure(None, shown, failure=text, failure_code="breaker_never_closed")
    if metric == "fast_fail_p99":
        refused = _fast_fails(found["servers"])
        return Figure(None, shown, gap=f"too few calls failed fast to tell: {refused}")
    return Figure(None, shown)


def _breaker_words(row: Mapping[str, Any]) -> str:
    if row["opened_s"] is None:
        return "never opened"
    text = f"opened after {row['failures_to_open']} failures, re-opened {row['reopened']} times"
    return f"{text}, {row['state_at_end']} at the end"


def _fast_fails(servers: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{server} {row.get('fast_fails', 0):,}" for server, row in servers.items())


def _writes(item: Expectation, findings: Findings) -> Figure:
    writes = findings["writes"]
    value = writes[item.metric]
    seen = f"{value} of {writes['acknowledged']:,} acknowledged writes"
    if item.metric in ("acknowledged", "unknown"):
        return Figure(value, f"{value} writes")
    if not writes["checked"] and not value:
        gap = "the writes were not read back from every database node"
        return Figure(None, "", gap=gap, gap_code="writes_not_checked")
    last = writes["acknowledged_last_second_before_fault"]
    if not value and last is not None and last < ACKNOWLEDGED_MIN:
        text = f"only {last} writes were acknowledged in the second before the fault"
        return Figure(value, seen, gap=text, gap_code="too_few_samples")
    examples = writes["examples"].get(item.metric) or []
    return Figure(value, f"{seen}: {examples[0]}, ..." if value and examples else seen)


def _reads(item: Expectation, findings: Findings) -> Figure:
    reads = findings.get("reads") or {}
    answered = reads.get("answered") or 0
    if answered < READS_MIN:
        gap = f"{answered} reads of acknowledged writes were answered, {READS_MIN} are needed"
        return Figure(None, "", gap=gap, gap_code="too_few_samples")
    seen = f"{reads['stale']:,} of {answered:,} reads did not see a write acknowledged before"
    if reads["stale"]:
        seen += f", up to {format_duration(reads['stale_for_s'])} later"
    value = reads["stale"] if item.metric == "stale" else reads["stale_for_s"]
    return Figure(value, seen)


def _clicks(item: Expectation, findings: Findings) -> Figure:
    clicks = findings.get("clicks") or {}
    if not clicks.get("checked"):
        gap = clicks.get("why_not") or "the target's counts were not read"
        return Figure(None, "", gap=gap, gap_code="clicks_not_checked")
    if not clicks["acknowledged"]:
        return Figure(None, "", gap="no app server answered a redirect", gap_code="too_few_samples")
    value = clicks[item.metric]
    seen = (
        f"{value:,} clicks; {clicks['acknowledged']:,} acknowledged, {clicks['counted']:,} counted,"
        f" {clicks['dropped']:,} told as dropped"
    )
    if clicks["in_memory"]:
        seen += f", at most {clicks['in_memory']:,} in the memory of servers that died"
    return Figure(value, seen)


def _target(item: Expectation, findings: Findings) -> Figure:
    value = findings["target"].get(item.metric)
    if value is None:
        return Figure(None, "", gap=f"nobody saw whether it is {item.metric.replace('_', ' ')}")
    problems = (findings["target"].get("details") or {}).get("problems") or []
    text = "; ".join(map(str, problems)) if item.metric == "healthy" and not value else ""
    return Figure(1.0 if value else 0.0, text or ("seen" if value else "it is not so"))


READERS: dict[str, Callable[[Expectation, Findings], Figure]] = {
    "cache": _share,
    "traffic_share": _share,
    "replica_share": _share,
    "rotation": _rotation,
    "breaker": _breaker,
    "writes": _writes,
    "reads": _reads,
    "clicks": _clicks,
    "target": _target,
}


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "nothing"
    if unit == "s":
        return format_duration(value)
    return f"{value:.2%}" if unit == "share" else f"{value:g}"
