"""One expectation: a figure of the run held against a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from harness.model.quantity import parse_duration, parse_share

Comparison = Literal["<", "<=", "==", ">=", ">"]
Unit = Literal["s", "share", "count", "flag"]

OPERATION_METRICS: dict[str, Unit] = {
    "p50": "s",
    "p95": "s",
    "p99": "s",
    "error_rate": "share",
    "failed_requests": "count",
    "requests": "count",
    "recovery_time": "s",
    "degradation_time": "s",
}
"""Metrics of an operation; p50, p95 and p99 are response times of successes and failures alike."""

SUBJECT_METRICS: dict[str, dict[str, Unit]] = {
    "cache": {
        "edge_share": "share",
        "local_share": "share",
        "redis_share": "share",
        "db_share": "share",
    },
    "traffic_share": {"*": "share"},  # any server name, or min and max over the servers
    "replica_share": {"*": "share"},
    "rotation": {"leaves_rotation": "s", "returns_to_rotation": "s"},
    "breaker": {
        "opened_on_all": "flag",
        "failures_to_open": "count",
        "opens_within": "s",
        "probes_per_cooldown": "count",
        "cooldown": "s",
        "failures_to_reopen": "count",
        "reopened_on_all": "flag",
        "fast_fail_p99": "s",
        "closes_within": "s",
        "closed_at_end": "flag",
        "flaps": "count",
    },
    "writes": {
        "acknowledged": "count",
        "lost": "count",
        "phantom": "count",
        "duplicates": "count",
        "unknown": "count",
    },
    "reads": {"stale": "count", "stale_for": "s"},
    "clicks": {
        "acknowledged": "count",
        "counted": "count",
        "dropped": "count",
        "lost": "count",
        "lost_beyond_memory": "count",
        "double": "count",
    },
    "target": {
        "healthy": "flag",
        "old_primary_rejoined": "flag",
        "restarted_by_itself": "flag",
        "killed_for_memory": "flag",
        "new_replica_built": "flag",
    },
}
"""Everything else that can be expected; `breaker` takes the breaker's name: `breaker.redis`."""

_CLAUSE = re.compile(
    r"(?P<metric>[A-Za-z0-9_-]+)\s*(?:(?P<op><=|>=|==|<|>)\s*(?P<limit>[\d.]+\s*(?:%|[a-z]+)?))?"
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A figure (`subject.metric` in `phase`) and its limit; `run` is the whole judged run.

    `limit` is in seconds, a share from 0 to 1, or a count, as `unit` says; a flag has limit 1.
    """

    phase: str
    subject: str
    metric: str
    comparison: Comparison
    limit: float
    unit: Unit
    text: str

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
    unit = _unit_of(subject, metric, operations)
    if (unit == "flag") != (comparison is None):
        right = metric if unit == "flag" else f"{metric} < ..."
        raise ValueError(f"{clause!r}: write it as `{right}`")
    value = 1.0 if unit == "flag" else _parse_limit(limit, unit)
    return Expectation(phase, subject, metric, comparison or "==", value, unit, clause.strip())


def _unit_of(subject: str, metric: str, operations: set[str]) -> Unit:
    if subject in operations:
        metrics = OPERATION_METRICS
    else:
        head = subject.partition(".")[0]
        if head not in SUBJECT_METRICS or (head == "breaker") != ("." in subject):
            known = sorted(operations | (SUBJECT_METRICS.keys() - {"breaker"}) | {"breaker.NAME"})
            raise ValueError(f"unknown subject {subject!r}; known: {', '.join(known)}")
        metrics = SUBJECT_METRICS[head]
    if metric in metrics:
        return metrics[metric]
    if "*" in metrics:
        return metrics["*"]
    raise ValueError(f"{subject} has no {metric!r}; known: {', '.join(sorted(metrics))}")


def _parse_limit(text: str, unit: Unit) -> float:
    if unit == "s":
        return parse_duration(text)
    if unit == "share":
        return parse_share(text)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
