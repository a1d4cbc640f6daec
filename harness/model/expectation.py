"""One expectation: a figure of the run held against a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.model.metric import OTHERS, VICTIM, Unit

Comparison = Literal["<", "<=", "==", ">=", ">"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """A figure (`subject.metric` in `phase`) and its limit; `run` is the whole judged run.

    `aspect` says what the subject is (`operation`, `breaker`, `cache`, ...): it is found once, when
    the file is read; "" in plans of older versions.
    `limit` is in seconds, a share from 0 to 1, or a count, as `unit` says; a flag has limit 1.
    """

    phase: str
    subject: str
    metric: str
    comparison: Comparison
    limit: float
    unit: Unit
    text: str
    aspect: str = ""

    @property
    def is_about_victim(self) -> bool:
        """Whether it is about the part that a fault broke, or about those that none did."""
        return self.metric in (VICTIM, OTHERS)

    @property
    def id(self) -> str:
        """`fault.create.recovery_time`: the figure's name in findings and reports."""
        return f"{self.phase}.{self.subject}.{self.metric}"

    def holds(self, value: float) -> bool:
        """Whether `value` keeps the limit; NaN keeps none."""
        return {
            "<": value < self.limit,
            "<=": value <= self.limit,
            "==": value == self.limit,
            ">=": value >= self.limit,
            ">": value > self.limit,
        }[self.comparison]
