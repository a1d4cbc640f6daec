"""One expectation: a figure of the run held against a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from harness.model.aspect import OTHERS, VICTIM, Metric, Unit, aspect_of, metric_of
from harness.model.quantity import parse_duration, parse_share

Comparison = Literal["<", "<=", "==", ">=", ">"]

_CLAUSE = re.compile(
    r"(?P<metric>[A-Za-z0-9_-]+)\s*(?:(?P<op><=|>=|==|<|>)\s*(?P<limit>[\d.]+\s*(?:%|[a-z]+)?))?"
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A figure (`subject.metric` in `phase`) and its limit; `run` is the whole judged run.

    `aspect` says what the subject is: it is found once, when the file is read.
    `limit` is in seconds, a share from 0 to 1, or a count, as `unit` says; a flag has limit 1.
    """

    phase: str
    subject: str
    metric: str
    comparison: Comparison
    limit: float
    unit: Unit
    text: str
    aspect: str

    @property
    def kind(self) -> Metric:
        """What kind of figure it is."""
        return metric_of(self.aspect, self.metric)

    @property
    def is_about_victim(self) -> bool:
        """Whether it is about the part that a fault broke, or about those that none did."""
        return self.metric in (VICTIM, OTHERS)

    @property
    def id(self) -> str:
        """`fault.create.recovery_time`: where the figure stands in findings and reports."""
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


def parse_expectation(phase: str, subject: str, clause: str, operations: set[str]) -> Expectation:
    """The expectation in a clause such as `p95 < 200ms`, `lost == 0` or `healthy`.

    ValueError says what is wrong and lists what would be right.
    """
    match = _CLAUSE.fullmatch(clause.strip())
    if match is None:
        raise ValueError(f"{clause!r} is not an expectation; write it like p95 < 200ms")
    metric, limit = match["metric"], match["limit"]
    comparison: Comparison | None = match["op"]  # type: ignore[assignment]  # by the pattern
    aspect = aspect_of(subject, operations)
    kind = metric_of(aspect, metric)
    if kind.scope == "run" and phase != "run":
        raise ValueError(f"{subject}.{metric} is a figure of the whole run: put it under `run`")
    if (kind.unit == "flag") != (comparison is None):
        right = metric if kind.unit == "flag" else f"{metric} < ..."
        raise ValueError(f"{clause!r}: write it as `{right}`")
    value = 1.0 if kind.unit == "flag" else _parse_limit(limit, kind.unit)
    text = clause.strip()
    return Expectation(phase, subject, metric, comparison or "==", value, kind.unit, text, aspect)


def _parse_limit(text: str, unit: Unit) -> float:
    if unit == "s":
        return parse_duration(text)
    if unit == "share":
        return parse_share(text)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
