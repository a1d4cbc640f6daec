"""Clicks: redirects that clients got, held against what the target counted."""

from __future__ import annotations

from harness.judge.figure import Figure, Findings, no_figure
from harness.model.expectation import Expectation


def figure(item: Expectation, findings: Findings) -> Figure:
    """How many clicks, once all that was on its way was counted."""
    clicks = findings.get("clicks") or {}
    if not clicks.get("checked"):
        gap = clicks.get("why_not") or "the target's counts were not read"
        return no_figure(gap, "clicks_not_checked")
    if not clicks["acknowledged"]:
        return no_figure("no app server answered a redirect", "too_few_samples")
    value = clicks[item.metric]
    seen = (
        f"{value:,} clicks; {clicks['acknowledged']:,} acknowledged, {clicks['counted']:,} counted,"
        f" {clicks['dropped']:,} reported as dropped"
    )
    if clicks["in_memory"]:
        seen += f", at most {clicks['in_memory']:,} in the memory of servers that died"
    return Figure(value, seen)
