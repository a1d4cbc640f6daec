"""An operation's requests in a phase, and how long it took to recover from the phase's faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.judge.figure import Figure, Findings, failed, no_figure, shown
from harness.model.expectation import Expectation
from harness.model.quantity import format_duration
from harness.model.samples import P50_SAMPLES_MIN, P95_SAMPLES_MIN, P99_SAMPLES_MIN
from harness.model.uncertain import largest, uncertainty_of

NEEDED = {"p50": P50_SAMPLES_MIN, "p95": P95_SAMPLES_MIN, "p99": P99_SAMPLES_MIN}


def figure(item: Expectation, findings: Findings) -> Figure:
    """The figure of an operation."""
    if item.metric in ("recovery_time", "degradation_time"):
        return _recovery(item, findings)
    found = findings["operations"].get(item.subject, {}).get(item.phase)
    if not found or not found["requests"]:
        return no_figure(f"no {item.subject} was sent in {item.phase}")
    requests = found["requests"]
    value, needed = _value(item, found)
    seen = f"{shown(value, item.unit)} over {requests:,} requests"
    if found["failed"]:
        errors = ", ".join(f"{count} {name}" for name, count in found["errors"].items())
        seen += f" ({errors})"
    if requests < needed:
        text = f"{requests:,} requests, and {needed:,.0f} are needed to tell"
        return Figure(value, seen, gap=text, gap_code="too_few_samples")
    return Figure(value, seen, is_invariant=_is_wrong(item, found))


def _value(item: Expectation, found: Mapping[str, Any]) -> tuple[float | None, float]:
    """The figure, and how many requests it takes to hold it against the limit."""
    if item.metric == "error_rate":
        return found["error_rate"], 3 / item.limit if item.limit > 0 else 1
    if item.metric in ("failed_requests", "requests"):
        return found[{"failed_requests": "failed"}.get(item.metric, item.metric)], 1
    return found["response_time_s"][item.metric], NEEDED[item.metric]


def _is_wrong(item: Expectation, found: Mapping[str, Any]) -> bool:
    """Whether wrong answers alone miss the limit: however slow, an answer has to be right."""
    wrong = found["errors"].get("wrong_content", 0)
    if item.metric == "error_rate":
        return wrong > 0 and not item.holds(wrong / found["requests"])
    return item.metric == "failed_requests" and wrong > 0 and not item.holds(wrong)


def _recovery(item: Expectation, findings: Findings) -> Figure:
    found = findings["recovery"].get(item.subject)
    if not found or found["recovered"] is None:
        return no_figure("no fault was injected")
    if item.metric == "degradation_time":
        return _degradation(item, found.get("degradation"), findings)
    mine = _of_phase(item, found["by_fault"], findings)
    if not mine:
        return no_figure(f"no fault was injected in {item.phase}")
    if any(not one["recovered"] for one in mine):
        return failed("it had not recovered at the end", "not_recovered")
    worst = max(mine, key=lambda one: float(one["recovery_time_s"]))
    return _measured(mine, _recovery_words(worst, found))


def _of_phase(
    item: Expectation, by_fault: Mapping[str, Any], findings: Findings
) -> list[Mapping[str, Any]]:
    """What was found for each fault of the expectation's phase."""
    return [
        by_fault[fault["fault"]]
        for fault in findings["faults"]
        if fault["fault"] in by_fault and item.phase in ("run", fault["phase"])
    ]


def _measured(each: list[Mapping[str, Any]], words: str) -> Figure:
    """The longest of several recoveries, as uncertain as the others make it, too."""
    key = "recovery_time_s"
    value, half_s = largest((one[key], uncertainty_of(one, key)) for one in each)
    return Figure(value, words, uncertainty=half_s)


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
        return no_figure(f"the experiment sets no p95, p99 or p50 limit that {item.subject} misses")
    mine = _of_phase(item, found["by_fault"], findings)
    if not mine:
        return no_figure(f"no fault was injected in {item.phase}")
    limit = f"{found['metric']} within {format_duration(found['limit_s'])}"
    if any(not one["recovered"] for one in mine):
        return failed(f"{limit} was not regained by the end", "not_recovered")
    worst = max(mine, key=lambda one: float(one["recovery_time_s"]))
    value, half_s = worst["recovery_time_s"], worst["uncertainty_s"]
    return _measured(mine, _after(value, half_s, f"{limit} regained", f"{limit} all along"))


def _after(value_s: float, half_s: float, what: str, never: str) -> str:
    return f"{what} after {value_s:.3f} s (± {half_s * 1e3:.0f} ms)" if value_s else never
