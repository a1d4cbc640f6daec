"""Clauses such as `p95 < 200ms`, `lost == 0` or `healthy`, as in an experiment file."""

from __future__ import annotations

import re

from harness.aspects import metric_named, subject_kind
from harness.model.expectation import Comparison, Expectation
from harness.model.metric import Unit
from harness.model.quantity import parse_duration, parse_share

_CLAUSE = re.compile(
    r"(?P<metric>[A-Za-z0-9_.-]+)\s*(?:(?P<op><=|>=|==|<|>)\s*(?P<limit>[\d.]+\s*(?:%|[a-z]+)?))?"
)


SPELLINGS = {"p99.9": "p999"}
"""Names of figures as people write them, too: a name with a dot would be two parts of an id."""


def parse_expectation(phase: str, subject: str, clause: str, operations: set[str]) -> Expectation:
    """The expectation in a clause such as `p95 < 200ms`, `lost == 0` or `healthy`.

    ValueError says what is wrong and lists what would be right.
    """
    match = _CLAUSE.fullmatch(clause.strip())
    if match is None:
        raise ValueError(f"{clause!r} is not a valid expectation; write it like p95 < 200ms")
    metric, limit = SPELLINGS.get(match["metric"], match["metric"]), match["limit"]
    comparison: Comparison | None = match["op"]  # type: ignore[assignment]  # by the pattern
    aspect = subject_kind(subject, operations)
    kind = metric_named(aspect, metric)
    if kind.scope == "run" and phase != "run":
        raise ValueError(f"{subject}.{metric} is a figure of the whole run; put it under `run`")
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
