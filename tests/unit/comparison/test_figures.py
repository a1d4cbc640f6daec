"""Which findings are compared, and which are not."""

from __future__ import annotations

import math

import pytest
from made_up_runs import EXPERIMENT, TIMES_S, breaker, findings, times

from harness.aspects.findings_json import findings_from_json
from harness.comparison import figures


def by_id(**changes):
    found = figures_of(findings(**changes), EXPERIMENT.hypothesis)
    return {figure.id: measured.value for figure, measured in found.items()}


def test_every_measured_figure_is_there():
    found = by_id()
    assert found["fault.redirect.p95"] == 0.100
    assert found["run.redirect.recovery_time"] == 21.0
    assert found["run.writes.lost"] == 0
    assert found["run.breaker.redis.closes_within"] == 40.0
    assert found["run.breaker.redis.not_opened_on_all"] == 0
    assert found["run.status.aborted"] == 0


@pytest.mark.parametrize(
    ("requests", "known"),
    [
        (10_000, {"p50", "p95", "p99", "p999"}),
        (9999, {"p50", "p95", "p99"}),
        (1000, {"p50", "p95", "p99"}),
        (999, {"p50", "p95"}),
        (0, set()),
    ],
)
def test_a_percentile_of_too_few_requests_is_not_compared(requests, known):
    found = by_id(operations={"redirect": {"fault": times(requests)}})
    assert {name for name in TIMES_S if f"fault.redirect.{name}" in found} == known


def test_what_did_not_recover_is_infinite():
    lost = {"recovered": False, "recovery_time_s": None}
    degradation = {**lost, "metric": "p95", "limit_s": 0.2}
    found = by_id(recovery={"redirect": {**lost, "degradation": degradation}})
    assert found["run.redirect.recovery_time"] == math.inf
    assert found["run.redirect.degradation_time"] == math.inf


def test_without_a_fault_there_is_no_recovery():
    none = {"recovered": None, "recovery_time_s": None}
    found = by_id(recovery={"redirect": {**none, "degradation": None}})
    assert not any("time" in name for name in found)


def test_writes_that_were_not_read_back_are_not_compared():
    found = by_id(writes={"checked": False, "lost": 0, "phantom": None, "duplicates": 2})
    assert "run.writes.lost" not in found
    assert found["run.writes.duplicates"] == 2


def test_lost_clicks_and_stale_reads_must_never_happen():
    found = figures_of(
        findings(
            clicks={"checked": True, "lost_beyond_memory": 3, "double": 0, "lost": 5},
            reads={"answered": 900, "stale": 2},
        ),
        (),
    )
    by_name = {figure.id: (figure.kind, measured.value) for figure, measured in found.items()}
    assert by_name["run.clicks.lost_beyond_memory"] == ("never", 3)
    assert by_name["run.clicks.double"] == ("never", 0)
    assert "run.clicks.lost" not in by_name
    assert by_name["run.reads.stale"] == ("never", 2)


def test_clicks_and_reads_that_were_not_checked_are_not_compared():
    found = by_id(
        clicks={"checked": False, "lost_beyond_memory": None, "double": None},
        reads={"answered": None, "stale": None},
    )
    assert not any(".clicks." in name or ".reads." in name for name in found)


def test_only_a_breaker_that_should_open_can_fail_to():
    closed = {"by_breaker": {"redis": breaker(opened_on_all=False, opens_within=None)}}
    assert by_id(breakers=closed)["run.breaker.redis.not_opened_on_all"] == 1
    assert "run.breaker.redis.opens_within" not in by_id(breakers=closed)
    quiet = figures_of(findings(breakers=closed), ())
    assert not any("opened" in figure.metric for figure in quiet)
    nowhere = {"by_breaker": {"redis": breaker(servers={})}}
    assert not any("breaker" in name for name in by_id(breakers=nowhere))


def test_an_aborted_run_is_bad_news():
    assert by_id(status="aborted")["run.status.aborted"] == 1


def figures_of(value, hypothesis):
    return figures.figures_of(findings_from_json(value), hypothesis)
