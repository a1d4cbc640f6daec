"""What can be expected of a run: each metric with its unit, its scope and what excuses a miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["s", "share", "count", "flag"]
Scope = Literal["phase", "fault", "run"]
OPERATION, BREAKER = "operation", "breaker"
ANY = "*"
"""The metric of an aspect whose metrics are names of parts, and `min` and `max` over them."""
VICTIM, OTHERS = "victim", "others"
"""Names of parts, too: the one that a fault of the phase broke, and each of all others."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`code` is the stable reason of a missed limit.

    `scope` says where it may stand: `phase` in every judged phase and in `run`; `fault` in a phase
    in which a fault starts (it is about those faults) and in `run`; `run` nowhere else.
    `needs_load`: no figure without a healthy load generator.
    `is_invariant`: no load and no busy machine excuses a miss.
    """

    unit: Unit
    code: str
    scope: Scope = "run"
    needs_load: bool = False
    is_invariant: bool = False


def _share(code: str) -> Metric:
    return Metric("share", code, "phase", needs_load=True)


def _figure(unit: Unit, code: str, scope: Scope = "phase") -> Metric:
    return Metric(unit, code, scope, needs_load=True)


def _never(code: str) -> Metric:
    return Metric("count", code, is_invariant=True)


def _setting(code: str) -> Metric:
    return Metric("flag", code, is_invariant=True)


ASPECTS: dict[str, dict[str, Metric]] = {
    OPERATION: {  # percentiles are response times of successes and failures alike
        "p50": _figure("s", "response_time_exceeded"),
        "p95": _figure("s", "response_time_exceeded"),
        "p99": _figure("s", "response_time_exceeded"),
        "error_rate": _figure("share", "error_rate_exceeded"),
        "failed_requests": _figure("count", "requests_failed"),
        "requests": _figure("count", "too_few_requests"),
        "recovery_time": _figure("s", "recovery_time_exceeded", "fault"),
        "degradation_time": _figure("s", "degradation_time_exceeded", "fault"),
    },
    "cache": {
        f"{tier}_share": _share("cache_share_off") for tier in ("edge", "local", "redis", "db")
    },
    "traffic_share": {ANY: _share("traffic_share_off")},
    "replica_share": {ANY: _share("replica_share_off")},
    "rotation": {
        "leaves_rotation": Metric("s", "leaves_rotation_late", "fault"),
        "returns_to_rotation": Metric("s", "returns_to_rotation_late", "fault"),
    },
    BREAKER: {
        "opened_on_all": Metric("flag", "breaker_never_opened"),
        "failures_to_open": Metric("count", "breaker_opened_late"),
        "opens_within": Metric("s", "breaker_opened_late"),
        "probes_per_cooldown": Metric("count", "breaker_probes"),
        "cooldown": Metric("s", "breaker_probes"),
        "failures_to_reopen": Metric("count", "breaker_not_reopened"),
        "reopened_on_all": Metric("flag", "breaker_not_reopened"),
        "fast_fail_p99": Metric("s", "breaker_fast_fail_slow"),
        "closes_within": Metric("s", "breaker_closed_late"),
        "closed_at_end": Metric("flag", "breaker_never_closed", "phase"),
        "flaps": Metric("count", "breaker_flaps", "phase"),
    },
    "writes": {
        "acknowledged": Metric("count", "too_few_writes"),
        "lost": _never("writes_lost"),
        "phantom": _never("writes_phantom"),
        "duplicates": _never("writes_duplicated"),
        "unknown": Metric("count", "writes_unknown"),
    },
    "reads": {
        "stale": Metric("count", "reads_stale", "phase"),
        "stale_for": Metric("s", "reads_stale", "phase"),
    },
    "clicks": {
        "acknowledged": Metric("count", "too_few_clicks"),
        "counted": Metric("count", "too_few_clicks"),
        "dropped": Metric("count", "clicks_dropped"),
        "dropped_share": Metric("share", "clicks_dropped"),
        "lost": Metric("count", "clicks_lost"),
        "lost_beyond_memory": Metric("count", "clicks_lost"),
        "double": Metric("count", "clicks_double"),
    },
    "target": {
        "healthy": Metric("flag", "target_unhealthy"),
        "old_primary_rejoined": Metric("flag", "old_primary_not_rejoined"),
        "restarted_by_itself": Metric("flag", "not_restarted_by_itself"),
        "killed_for_memory": Metric("flag", "not_killed_for_memory"),
        "new_replica_built": Metric("flag", "new_replica_not_built"),
    },
    "settings": {
        "durable": _setting("not_durable"),
        "restarts": _setting("no_restart_policy"),
        "cache_expires": _setting("cache_without_expiry"),
        "cache_bounded": _setting("cache_unbounded"),
        "time_limits": _setting("no_time_limit"),
    },
}
"""By aspect; `breaker` takes the breaker's name: `breaker.redis`."""

RESERVED = (ASPECTS.keys() - {OPERATION}) | {"run"}
"""Names that no operation may have: an expectation on them is one on the aspect."""


def aspect_of(subject: str, operations: set[str]) -> str:
    """The aspect that an expectation's subject names; ValueError lists what would be right."""
    head, dot, name = subject.partition(".")
    if subject in operations and subject not in RESERVED:
        return OPERATION
    if head in RESERVED - {"run"} and (head == BREAKER) == bool(dot and name):
        return head
    known = sorted(operations | (RESERVED - {BREAKER, "run"}) | {"breaker.NAME"})
    raise ValueError(f"unknown subject {subject!r}; known: {', '.join(known)}")


def metric_of(aspect: str, name: str) -> Metric:
    """The metric called `name`; ValueError lists the aspect's metrics."""
    metrics = ASPECTS[aspect]
    found = metrics.get(name) or metrics.get(ANY)
    if found is None:
        what = "an operation" if aspect == OPERATION else aspect
        raise ValueError(f"{what} has no {name!r}; known: {', '.join(sorted(metrics))}")
    return found
