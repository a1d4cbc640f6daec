"""What the target's settings say, as far as they could be read."""

from __future__ import annotations

from harness.judge.figure import Figure, Findings, no_figure
from harness.model.expectation import Expectation


def figure(item: Expectation, findings: Findings) -> Figure:
    """1 if every part is set so, 0 if one is not."""
    found = findings.get("settings") or {}
    value = found.get(item.metric)
    if value is None:
        gap = (found.get("gaps") or {}).get(item.metric)
        return no_figure(gap or "the target's settings were not read")
    problems = found["problems"][item.metric]
    return Figure(1.0 if value else 0.0, "; ".join(problems) or "every part is set so")
