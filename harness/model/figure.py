"""What an aspect hands to the judge: a value with its evidence, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.quantity import format_duration
from harness.model.verdict import Reason


@dataclass(frozen=True, slots=True)
class Basis:
    """The requests that a figure rests on; `operation` "" stands for all of the streams."""

    streams: tuple[str, ...]
    start_s: float
    end_s: float
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. `gap` says why it is no evidence; `failure` overrides comparing.

    `uncertainty`: the true value lies within ± of it, in the unit of the metric.
    `is_invariant`: no load and no busy machine excuses that the limit was missed.
    `basis`: what must be recorded whole; None for the main load in the expectation's window,
    if the metric needs a load at all. `weakness`: why it proves nothing that the limit was kept.
    `happened_s`: from when to when the run did what decides, None if that may be anywhere in the
    expectation's window; what disturbed the machine at another time excuses nothing.
    """

    value: float | None
    evidence: str
    gap: str = ""
    gap_code: str = "not_measured"
    failure: str = ""
    failure_code: str = ""
    uncertainty: float = 0.0
    is_invariant: bool = False
    basis: Basis | None = None
    weakness: Reason | None = None
    happened_s: tuple[float, float] | None = None


def no_figure(gap: str, code: str = "not_measured") -> Figure:
    """A figure that was not measured, and why."""
    return Figure(None, "", gap=gap, gap_code=code)


def failed(why: str, code: str) -> Figure:
    """A figure without a value: what it would measure never happened."""
    return Figure(None, "", failure=why, failure_code=code)


def flag(value: bool, evidence: str) -> Figure:  # noqa: FBT001  # the value is the figure
    """A flag: 1 if it is so, 0 if not."""
    return Figure(1.0 if value else 0.0, evidence)


def shown(value: float | None, unit: str) -> str:
    """A value for people, in its unit."""
    if value is None:
        return "nothing"
    if unit == "s":
        return format_duration(value)
    return f"{value:.2%}" if unit == "share" else f"{value:g}"
