"""What the target's own state says: healthy, rejoined, restarted."""

from __future__ import annotations

from harness.judge.figure import Figure, Findings, no_figure
from harness.model.expectation import Expectation


def figure(item: Expectation, findings: Findings) -> Figure:
    """1 if it is so, 0 if not."""
    value = findings["target"].get(item.metric)
    if value is None:
        return no_figure(f"it was not observed whether it is {item.metric.replace('_', ' ')}")
    problems = (findings["target"].get("details") or {}).get("problems") or []
    text = "; ".join(map(str, problems)) if item.metric == "healthy" and not value else ""
    return Figure(1.0 if value else 0.0, text or ("seen" if value else "it is not so"))
