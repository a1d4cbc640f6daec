"""Clicks: redirects that clients got, held against what the target counted."""

from __future__ import annotations

from harness.judge.figure import Figure, Findings, no_figure, shown
from harness.model.expectation import Expectation


def figure(item: Expectation, findings: Findings) -> Figure:
    """How many clicks, once all that was on its way was counted."""
    clicks = findings.get("clicks") or {}
    if not clicks.get("checked"):
        gap = clicks.get("why_not") or "the target's counts were not read"
        return no_figure(gap, "clicks_not_checked")
    if not clicks["acknowledged"]:
        return no_figure("no app server answered a redirect", "too_few_samples")
    if item.metric == "dropped_share":
        # Findings of earlier versions do not have it.
        value = clicks.get("dropped_share", clicks["dropped"] / clicks["acknowledged"])
        what = f"{shown(value, 'share')} dropped"
    else:
        value = clicks[item.metric]
        what = f"{value:,} clicks"
    seen = (
        f"{what}; {clicks['acknowledged']:,} acknowledged, {clicks['counted']:,} counted,"
        f" {clicks['dropped']:,} reported as dropped"
    )
    if clicks["in_memory"]:
        seen += f", at most {clicks['in_memory']:,} in the memory of servers that died"
    return Figure(value, seen)
