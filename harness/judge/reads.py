"""Reads of acknowledged writes that did not see them."""

from __future__ import annotations

from harness.judge.figure import Figure, Findings, no_figure
from harness.model.expectation import Expectation
from harness.model.quantity import format_duration
from harness.model.samples import READS_MIN


def figure(item: Expectation, findings: Findings) -> Figure:
    """How many were stale in the phase, and for how long at most."""
    reads = findings.get("reads") or {}
    if item.phase != "run":
        reads = (reads.get("phases") or {}).get(item.phase) or {}
    answered = reads.get("answered") or 0
    if answered < READS_MIN:
        gap = f"{answered} reads of acknowledged writes were answered, {READS_MIN} are needed"
        return no_figure(gap, "too_few_samples")
    seen = f"{reads['stale']:,} of {answered:,} reads did not see a write acknowledged before"
    if reads["stale"]:
        seen += f", up to {format_duration(reads['stale_for_s'])} later"
    if item.metric == "stale":
        return Figure(reads["stale"], seen)
    return Figure(reads["stale_for_s"], seen, uncertainty=reads.get("uncertainty_s") or 0.0)
