"""Clauses of an experiment file, and the registry that says what their subject and metric are."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness import aspects
from harness.aspects import ASPECTS, METRICS, RESERVED, metric_of
from harness.aspects.clause import parse_expectation
from harness.model.expectation import Expectation
from harness.model.metric import Metric

OPERATIONS = {"redirect", "create"}


@pytest.mark.parametrize(
    ("phase", "subject", "clause", "expected"),
    [
        ("fault", "redirect", "p95 < 200ms", ("p95", "<", 0.2, "s", "operation")),
        ("run", "create", "error_rate<=0.1%", ("error_rate", "<=", 0.001, "share", "operation")),
        ("run", "create", "requests > 10.5", ("requests", ">", 10.5, "count", "operation")),
        ("fault", "redirect", "p999 >= 2 m", ("p999", ">=", 120.0, "s", "operation")),
        ("fault", "redirect", "p99.9 < 2s", ("p999", "<", 2.0, "s", "operation")),
        ("fault", "redirect", "max<=2s", ("max", "<=", 2.0, "s", "operation")),
        (
            "run",
            "create",
            "success_rate >= 99%",
            ("success_rate", ">=", 0.99, "share", "operation"),
        ),
        ("run", "writes", "lost == 0", ("lost", "==", 0.0, "count", "writes")),
        ("run", "target", "healthy", ("healthy", "==", 1.0, "flag", "target")),
        ("fault", "breaker.redis", "flaps < 2", ("flaps", "<", 2.0, "count", "breaker")),
        ("fault", "traffic_share", "app-2 <= 2 %", ("app-2", "<=", 0.02, "share", "traffic_share")),
        ("fault", "cache", "redis_share > 1%", ("redis_share", ">", 0.01, "share", "cache")),
    ],
)
def test_a_clause_is_read_with_the_unit_and_the_aspect_of_its_metric(
    phase: str, subject: str, clause: str, expected: tuple[Any, ...]
) -> None:
    metric, comparison, limit, unit, aspect = expected
    whole = Expectation(phase, subject, metric, comparison, limit, unit, clause, aspect)
    assert parse_expectation(phase, subject, f" {clause} ", OPERATIONS) == whole


@pytest.mark.parametrize(
    ("phase", "subject", "clause", "message"),
    [
        ("run", "create", "p95 <", "'p95 <' is not a valid expectation; write it like p95 < 200ms"),
        ("run", "create", "", "'' is not a valid expectation; write it like p95 < 200ms"),
        ("run", "create", "p95 != 2s", "'p95 != 2s' is not a valid expectation; write it like"),
        (
            "run", "nobody", "p95 < 1s",
            "unknown subject 'nobody'; known: alert.NAME, alerts, breaker.NAME, cache, clicks,"
            " counter.NAME, create, dns, lag.NAME, reads, redirect, region.NAME, replica_share,"
            " restarts, restore, rotation, settings, target, traffic_share, writes",
        ),
        ("run", "breaker", "flaps == 0", "unknown subject 'breaker'; known: "),
        ("run", "breaker.", "flaps == 0", "unknown subject 'breaker.'; known: "),
        ("run", "writes.x", "lost == 0", "unknown subject 'writes.x'; known: "),
        ("run", "run", "lost == 0", "unknown subject 'run'; known: "),
        ("run", "run.x", "lost == 0", "unknown subject 'run.x'; known: "),
        (
            "run", "create", "p96 < 1s",
            "an operation has no metric 'p96'; known: degradation_time, error_rate,"
            " failed_requests, max, p50, p90, p95, p99, p999, recovery_time, requests,"
            " success_rate",
        ),
        (
            "run", "writes", "gone == 0",
            "writes has no metric 'gone'; known: acknowledged, duplicates, lost, phantom, unknown",
        ),
        (
            "fault", "writes", "lost == 0",
            "writes.lost is a figure of the whole run; put it under `run`",
        ),
        ("run", "target", "healthy == 1", "'healthy == 1': write it as `healthy`"),
        ("run", "create", " p95", "' p95': write it as `p95 < ...`"),
        ("run", "create", "p95 < 1", "'1' is not a duration; write it like 250ms, 30s or 1m30s"),
        ("run", "create", "error_rate < 1", "'1' is not a percentage; write it like 0.1%"),
        ("run", "writes", "lost == 1.2.3", "'1.2.3' is not a number"),
        ("run", "writes", "lost == 1s", "'1s' is not a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_clause_is_said_with_what_would_be_right(
    phase: str, subject: str, clause: str, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse_expectation(phase, subject, clause, OPERATIONS)


def test_no_operation_can_take_the_name_of_an_aspect() -> None:
    followed = {"check", "counter", "alert", "region", "lag"}  # by a name
    assert {*METRICS, "run"} - RESERVED == {"operation", *followed}
    for name in sorted(RESERVED - {"run", "breaker"}):
        assert aspects.subject_kind(name, {name}) == name
    assert aspects.subject_kind("operation", {"operation"}) == "operation"
    with pytest.raises(ValueError, match="unknown subject 'breaker'"):
        aspects.subject_kind("breaker", {"breaker"})
    with pytest.raises(ValueError, match="unknown subject 'operation'"):
        aspects.subject_kind("operation", set())


@pytest.mark.parametrize(
    ("subject", "metric", "section", "code"),
    [
        ("redirect", "p95", "operations", "response_time_exceeded"),
        ("redirect", "recovery_time", "recovery", "recovery_time_exceeded"),
        ("breaker.redis", "flaps", "breakers", "breaker_flaps"),
        ("traffic_share", "app-7", "*", "traffic_share_off"),
        ("replica_share", "min", "*", "replica_share_off"),
        ("cache", "db_share", "*", "cache_share_off"),
        ("writes", "lost", "writes", "writes_lost"),
    ],
)
@pytest.mark.parametrize("is_old", [False, True])
def test_each_expectation_finds_its_aspect_also_in_a_plan_that_does_not_say_it(
    subject: str, metric: str, section: str, code: str, is_old: bool
) -> None:
    aspect = "" if is_old else aspects.subject_kind(subject, OPERATIONS)
    item = Expectation("run", subject, metric, "<", 1.0, "count", "", aspect)
    assert (aspects.aspect_of(item).section, metric_of(item).code) == (section, code)


def test_what_the_plan_says_the_subject_is_counts() -> None:
    """An operation of an older file may have a name that an aspect took later."""
    item = Expectation("run", "writes", "p95", "<", 1.0, "s", "p95 < 1s", "operation")
    assert metric_of(item) == Metric("s", "response_time_exceeded", "phase", needs_load=True)
    assert aspects.aspect_of(item).section == "operations"


@pytest.mark.parametrize(
    ("subject", "names", "unit", "scope", "needs_load", "is_invariant"),
    [
        ("operation", {"p50", "p90", "p95", "p99", "p999", "max"}, "s", "phase", True, False),
        ("operation", {"error_rate", "success_rate"}, "share", "phase", True, False),
        ("operation", {"requests", "failed_requests"}, "count", "phase", True, False),
        ("traffic_share", {"*"}, "share", "phase", True, False),
        ("replica_share", {"*"}, "share", "phase", True, False),
        ("cache", {"*"}, "share", "phase", True, False),
        ("counter", {"min", "max", "at_end"}, "count", "phase", False, False),
        ("rotation", {"leaves_rotation", "returns_to_rotation"}, "s", "fault", False, False),
        ("reads", {"stale"}, "count", "phase", False, False),
        ("reads", {"stale_for"}, "s", "phase", False, False),
        ("writes", {"lost", "phantom", "duplicates"}, "count", "run", False, True),
        ("writes", {"acknowledged", "unknown"}, "count", "run", False, False),
        ("settings", {"durable", "restarts", "cache_expires", "cache_bounded", "time_limits"},
         "flag", "run", False, True),
        ("target", {"healthy", "old_primary_rejoined", "restarted_by_itself", "killed_for_memory",
                    "new_replica_built"}, "flag", "run", False, False),
    ],
)  # fmt: skip
def test_where_a_metric_may_stand_and_what_excuses_it(
    subject: str, names: set[str], unit: Any, scope: Any, needs_load: bool, is_invariant: bool
) -> None:
    kinds = [METRICS[subject][name] for name in sorted(names)]
    assert kinds == [Metric(unit, kind.code, scope, needs_load, is_invariant) for kind in kinds]


def test_each_section_is_one_aspects_alone() -> None:
    sections = [aspect.section for aspect in ASPECTS]
    assert len(set(sections)) == len(sections)
