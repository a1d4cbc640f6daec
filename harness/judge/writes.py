"""Acknowledged writes, read back from every database node."""

from __future__ import annotations

from harness.judge.figure import Figure, Findings, no_figure
from harness.model.expectation import Expectation
from harness.model.samples import ACKNOWLEDGED_MIN


def figure(item: Expectation, findings: Findings) -> Figure:
    """How many writes; a count of 0 needs writes just before the fault, and the primary read.

    A node that never caught up is a surprise of its own.
    """
    writes = findings["writes"]
    value = writes[item.metric]
    seen = f"{value} of {writes['acknowledged']:,} acknowledged writes"
    if item.metric in ("acknowledged", "unknown"):
        return Figure(value, f"{value} writes")
    if not writes["checked"] and not value:
        gap = writes.get("why_not") or "the writes were not read back from every database node"
        return no_figure(gap, "writes_not_checked")
    last = writes["acknowledged_last_second_before_fault"]
    if not value and last is not None and last < ACKNOWLEDGED_MIN:
        text = f"only {last} writes were acknowledged in the second before the fault"
        return Figure(value, seen, gap=text, gap_code="too_few_samples")
    examples = writes["examples"].get(item.metric) or []
    return Figure(value, f"{seen}: {examples[0]}, ..." if value and examples else seen)
