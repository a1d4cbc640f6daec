"""Who served a phase: app servers, database nodes, cache tiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.judge.doubts import window
from harness.judge.figure import Figure, Findings, no_figure, shown
from harness.model.aspect import VICTIM
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
    if item.is_about_victim:
        victims = _victims(item, findings)
        if not victims:
            return no_figure(f"no fault of {item.phase} broke a server")
        parts = [p for p in {*known, *victims} if (p in victims) == (name == VICTIM)]
        value = _worst(item, [known.get(part, 0.0) for part in parts])
    else:
        value = {"min": min, "max": max}.get(name, lambda _: known.get(name, 0.0))(known.values())
    each = ", ".join(f"{part} {shown(share, 'share')}" for part, share in sorted(known.items()))
    return Figure(float(value), each)


def _victims(item: Expectation, findings: Findings) -> set[str]:
    """The servers that the faults of the phase broke; if it has none, those of the whole run."""
    start_s, end_s = window(item, findings)
    broken = [fault for fault in findings["faults"] if fault.get("service")]
    mine = [fault for fault in broken if _overlaps(fault, start_s, end_s)]
    return {str(fault["service"]) for fault in mine or broken}


def _overlaps(fault: Mapping[str, Any], start_s: float, end_s: float) -> bool:
    began_s, healed_s = fault["start_s"], fault["healed_s"]
    return began_s is not None and began_s < end_s and (healed_s is None or healed_s > start_s)


def _worst(item: Expectation, values: Sequence[float]) -> float:
    """The one that is furthest from the limit on its wrong side: all of them must keep it."""
    if not values:
        return 0.0
    return min(values) if item.comparison[0] == ">" else max(values)
