"""When load balancers took a broken server out of their rotation, and when it came back."""

from __future__ import annotations

from harness.judge.figure import Figure, Findings, failed, no_figure
from harness.model.expectation import Expectation
from harness.model.uncertain import largest, uncertainty_of

DONE = {"leaves_rotation": "left", "returns_to_rotation": "returned"}


def figure(item: Expectation, findings: Findings) -> Figure:
    """The worst of all load balancers and of the phase's faults."""
    mine = {f["fault"] for f in findings["faults"] if item.phase in ("run", f["phase"])}
    rows = [row for row in findings["rotation"] if row["fault"] in mine]
    if not rows:
        return no_figure("no load balancer reported on a broken server")
    key, done = f"{item.metric}_s", DONE[item.metric]
    missing = [row for row in rows if row[key] is None]
    if missing:
        one = missing[0]
        text = f"{one['server']} never {done} on {one['lb']} after {one['fault']}"
        return failed(text, f"never_{done}_rotation")
    worst = max(rows, key=lambda row: float(row[key]))
    text = f"{worst['server']} on {worst['lb']}/{worst['backend']}: {worst[key]:.2f} s at worst"
    value, half_s = largest((row[key], uncertainty_of(row, key)) for row in rows)
    return Figure(value, text, uncertainty=half_s)
