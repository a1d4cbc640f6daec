"""What can be expected of a run, one file or folder for each aspect, and the registry of them.

An aspect says all of one subject: its metrics, how they are measured out of the record, how they
are judged, what two sets of runs are compared by, and what the report shows. A new aspect is a
file and its entry in ASPECTS; a new metric changes its aspect's file alone.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from harness.aspects import (
    alerts,
    breakers,
    checks,
    clicks,
    counters,
    dns,
    lag,
    operations,
    reads,
    recovery,
    regions,
    restarts,
    restore,
    rotation,
    settings,
    shares,
    target,
    writes,
)
from harness.aspects.base import Aspect, Findings
from harness.model.expectation import Expectation
from harness.model.metric import (
    ANY,
    BREAKER,
    CHECK,
    NAMED,
    OPERATION,
    Metric,
)

__all__ = ["ASPECTS", "METRICS", "RESERVED", "Aspect", "Findings"]

ASPECTS: tuple[Aspect[Any], ...] = (  # in the order of a report
    restarts.ASPECT,
    checks.ASPECT,
    alerts.ASPECT,
    recovery.ASPECT,
    restore.ASPECT,
    writes.ASPECT,
    reads.ASPECT,
    clicks.ASPECT,
    breakers.ASPECT,
    rotation.ASPECT,
    operations.ASPECT,
    dns.ASPECT,
    regions.ASPECT,
    lag.ASPECT,
    shares.ASPECT,
    counters.ASPECT,
    target.ASPECT,
    settings.ASPECT,
)

METRICS: Mapping[str, Mapping[str, Metric]] = {
    subject: ChainMap(*(dict(a.metrics[subject]) for a in ASPECTS if subject in a.metrics))
    for subject in dict.fromkeys(subject for aspect in ASPECTS for subject in aspect.metrics)
}
"""By subject; `operation` stands for any operation, `breaker` for `breaker.NAME`, and so on."""

RESERVED = (METRICS.keys() - {OPERATION, *NAMED}) | {BREAKER, "run"}
"""Names that an operation may not have, because expectations use them for aspects."""


def subject_kind(subject: str, operations: set[str]) -> str:
    """What an expectation's subject is, a key of METRICS; ValueError lists what would be right."""
    if subject in operations and subject not in RESERVED:
        return OPERATION
    if kind := _reserved(subject):
        return kind
    named = {f"{one}.NAME" for one in NAMED if one != CHECK}  # checks are not written there
    known = sorted(operations | named | (RESERVED - {*NAMED, "run"}))
    raise ValueError(f"unknown subject {subject!r}; known: {', '.join(known)}")


def metric_named(kind: str, name: str) -> Metric:
    """The metric called `name`; ValueError lists the subject's metrics."""
    metrics = METRICS[kind]
    found = metrics.get(name) or metrics.get(ANY)
    if found is None:
        what = "an operation" if kind == OPERATION else kind
        raise ValueError(f"{what} has no metric {name!r}; known: {', '.join(sorted(metrics))}")
    return found


def metric_of(item: Expectation) -> Metric:
    """What kind of figure is expected."""
    return metric_named(_kind_of(item), item.metric)


def aspect_of(item: Expectation) -> Aspect[Any]:
    """Whose figure is expected."""
    kind = _kind_of(item)
    mine = [aspect for aspect in ASPECTS if kind in aspect.metrics]
    return next(a for a in mine if item.metric in a.metrics[kind] or ANY in a.metrics[kind])


def _kind_of(item: Expectation) -> str:
    """Plans of older versions do not say it."""
    return item.aspect or _reserved(item.subject) or OPERATION


def _reserved(subject: str) -> str:
    """The subject's kind if it is no operation, else ""."""
    head, dot, name = subject.partition(".")
    is_one = head in METRICS.keys() - {OPERATION} and (head in NAMED) == bool(dot and name)
    return head if is_one else ""
