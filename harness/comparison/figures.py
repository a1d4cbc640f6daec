"""What is compared: a list of figures out of the findings of a run. Less is always better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.model.aspect import Unit
from harness.model.expectation import Expectation
from harness.model.samples import P50_SAMPLES_MIN, P95_SAMPLES_MIN, P99_SAMPLES_MIN

Kind = Literal["response_time", "error_rate", "duration", "count", "never"]
"""How a figure is compared; `never` is what must not happen at all, such as a lost write."""

RESPONSE_TIMES = {"p50": P50_SAMPLES_MIN, "p95": P95_SAMPLES_MIN, "p99": P99_SAMPLES_MIN}
"""Each percentile, and how many requests it takes to know it."""

BREAKER_FIGURES: Mapping[str, tuple[Kind, Unit]] = {
    "opens_within": ("duration", "s"),
    "closes_within": ("duration", "s"),
    "fast_fail_p99": ("response_time", "s"),
    "failures_to_open": ("count", "count"),
    "failures_to_reopen": ("count", "count"),
    "probes_per_cooldown": ("count", "count"),
    "flaps": ("count", "count"),
}
BREAKER_FLAGS = ("closed_at_end", "opened_on_all", "reopened_on_all")
WRITES = ("lost", "phantom", "duplicates")
CLICKS = ("lost_beyond_memory", "double")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of a comparison; `subject` is an operation, `writes`, `clicks`, `reads`,
    `breaker.NAME` or `status`.
    """

    phase: str
    subject: str
    metric: str
    kind: Kind
    unit: Unit

    @property
    def id(self) -> str:
        """`fault.create.p95`, as in the findings."""
        return f"{self.phase}.{self.subject}.{self.metric}"

    @property
    def never(self) -> float | None:
        """The value that is bad news even in a single run; None if it takes more of them."""
        if self.metric == "recovery_time":
            return math.inf
        return 1.0 if self.kind == "never" else None


@dataclass(frozen=True, slots=True)
class Measured:
    """The value in one run, infinite for what did not recover; out of how many requests."""

    value: float
    requests: int = 0


def figures_of(
    findings: Mapping[str, Any], hypothesis: Iterable[Expectation]
) -> dict[Figure, Measured]:
    """Every figure that was measured, in the order of the run.

    Only the hypothesis knows whether a breaker should open at all.
    """
    return dict(_all(findings, {f"{item.subject}.{item.metric}" for item in hypothesis}))


def _all(findings: Mapping[str, Any], expected: set[str]) -> Iterator[tuple[Figure, Measured]]:
    phases = sorted(findings["phases"], key=lambda name: float(findings["phases"][name]["start_s"]))
    for phase in phases:
        for name, by_phase in findings["operations"].items():
            yield from _operation(phase, name, by_phase.get(phase) or {})
    for name, found in findings["recovery"].items():
        yield from _recovery(name, found)
    yield from _counts("writes", WRITES, findings["writes"], "checked")
    yield from _counts("clicks", CLICKS, findings.get("clicks") or {}, "checked")
    yield from _counts("reads", ("stale",), findings.get("reads") or {}, "answered")
    for name, found in (findings["breakers"].get("by_breaker") or {}).items():
        yield from _breaker(f"breaker.{name}", found, expected)
    aborted = float(findings["status"] == "aborted")
    yield Figure("run", "status", "aborted", "never", "flag"), Measured(aborted)


def _counts(
    subject: str, metrics: Iterable[str], found: Mapping[str, Any], known_by: str
) -> Iterator[tuple[Figure, Measured]]:
    """What must never happen; bad news counts even where not all could be checked."""
    for metric in metrics:
        count = found.get(metric)
        if count is not None and (found.get(known_by) or count):
            yield Figure("run", subject, metric, "never", "count"), Measured(float(count))


def _operation(
    phase: str, name: str, found: Mapping[str, Any]
) -> Iterator[tuple[Figure, Measured]]:
    requests = int(found.get("requests") or 0)
    if found.get("error_rate") is not None:
        rate = Measured(float(found["error_rate"]), requests)
        yield Figure(phase, name, "error_rate", "error_rate", "share"), rate
    for metric, needed in RESPONSE_TIMES.items():
        time_s = (found.get("response_time_s") or {}).get(metric)
        if time_s is not None and requests >= needed:
            figure = Figure(phase, name, metric, "response_time", "s")
            yield figure, Measured(float(time_s), requests)


def _recovery(name: str, found: Mapping[str, Any]) -> Iterator[tuple[Figure, Measured]]:
    parts = {"recovery_time": found, "degradation_time": found.get("degradation")}
    for metric, part in parts.items():
        if part and part["recovered"] is not None:
            time_s = float(part["recovery_time_s"]) if part["recovered"] else math.inf
            yield Figure("run", name, metric, "duration", "s"), Measured(time_s)


def _breaker(
    subject: str, found: Mapping[str, Any], expected: set[str]
) -> Iterator[tuple[Figure, Measured]]:
    if not found["servers"]:
        return
    for metric, (kind, unit) in BREAKER_FIGURES.items():
        if found.get(metric) is not None:
            yield Figure("run", subject, metric, kind, unit), Measured(float(found[metric]))
    for metric in BREAKER_FLAGS:
        if metric == "closed_at_end" or f"{subject}.{metric}" in expected:
            failed = Measured(float(not found[metric]))
            yield Figure("run", subject, f"not_{metric}", "never", "flag"), failed
