"""Who served a phase: app servers, database nodes, cache tiers."""

from __future__ import annotations

from harness.judge.figure import Figure, Findings, no_figure, shown
from harness.model.expectation import Expectation
from harness.model.samples import SHARE_SAMPLES_MIN


def figure(item: Expectation, findings: Findings) -> Figure:
    """The share of one part, or the least or largest of all."""
    key = "cache_share" if item.aspect == "cache" else item.aspect
    name = item.metric.removesuffix("_share") if item.aspect == "cache" else item.metric
    phase = {part: shares.get(item.phase) for part, shares in findings[key].items()}
    known = {part: value for part, value in phase.items() if value is not None}
    answers = findings.get("share_answers", {}).get(key, {}).get(item.phase)
    if not known:
        return no_figure(f"no answer of {item.phase} says who served it")
    if answers is not None and answers < SHARE_SAMPLES_MIN:
        text = f"{answers:,} answers say who served them, and {SHARE_SAMPLES_MIN} are needed"
        return no_figure(text, "too_few_samples")
    value = {"min": min, "max": max}.get(name, lambda _: known.get(name, 0.0))(known.values())
    each = ", ".join(f"{part} {shown(share, 'share')}" for part, share in sorted(known.items()))
    return Figure(float(value), each)
