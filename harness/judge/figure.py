"""What an aspect hands to the judge: a value with its evidence, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.quantity import format_duration

Findings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. `gap` says why it is no evidence; `failure` overrides comparing.

    `uncertainty`: the true value lies within ± of it, in the unit of the metric.
    `is_invariant`: no load and no busy machine excuses that the limit was missed.
    """

    value: float | None
    evidence: str
    gap: str = ""
    gap_code: str = "not_measured"
    failure: str = ""
    failure_code: str = ""
    uncertainty: float = 0.0
    is_invariant: bool = False


def no_figure(gap: str, code: str = "not_measured") -> Figure:
    """A figure that was not measured, and why."""
    return Figure(None, "", gap=gap, gap_code=code)


def failed(why: str, code: str) -> Figure:
    """A figure without a value: what it would measure never happened."""
    return Figure(None, "", failure=why, failure_code=code)


def shown(value: float | None, unit: str) -> str:
    """A value for people, in its unit."""
    if value is None:
        return "nothing"
    if unit == "s":
        return format_duration(value)
    return f"{value:.2%}" if unit == "share" else f"{value:g}"
