"""What is counted of the reports of one engine, and of those of several workers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from harness.load.generator_process import STALE_S, Totals
from harness.model.load import WorkerState


def report(engine: int | None = None, failures: int = 0, **changes: Any) -> dict[str, Any]:
    op = {
        "name": "look", "num_requests": 10, "num_none_requests": 1, "num_failures": failures,
        "response_times": [[20, 9]],
    }  # fmt: skip
    mine = {} if engine is None else {"engine": engine}
    values = {"cpu_s": 0.2, "stalls": 2, "stall_max_s": 0.03, "window_s": 0.5, "ops": [op]}
    return {**values, **mine, **changes}


def test_counts_are_those_of_all_engines_and_the_longest_stall_is_of_any() -> None:
    totals = Totals()
    for engine, cpu_s, stall_max_s in ((0, 0.2, 0.03), (1, 0.3, 0.07), (0, 0.5, 0.04)):
        found = report(engine, 2, cpu_s=cpu_s, stall_max_s=stall_max_s, not_reached=engine + 3)
        totals.take(found, 10.0)
    assert (totals.sent, totals.failed, totals.dropped) == (27, 6, 3)
    assert totals.cpu_s == pytest.approx(0.8)
    assert (totals.stalls, totals.stall_max_s, totals.not_reached) == (4, 0.07, 7)


def test_the_rate_now_is_that_of_all_engines_together() -> None:
    """Each engine reports 10 requests each half second."""
    totals = Totals()
    for _ in range(3):
        totals.take(report(), 10.0)
    assert totals.window(10.5).rate_per_s == pytest.approx(20)
    for engine in (1, 2, 3):
        for _ in range(3):
            totals.take(report(engine), 10.0)
    assert totals.window(10.5).rate_per_s == pytest.approx(80)


def test_what_a_lost_worker_said_last_does_not_count_for_ever() -> None:
    """Or its errors would let a safeguard trip long after it was lost."""
    totals = Totals()
    totals.take(report(1, failures=10), 10.0)
    for at_s in (10.0, 10.5, 10.0 + STALE_S):
        totals.take(report(0), at_s)
    assert totals.window(10.5).error_rate == {"look": pytest.approx(1 / 3)}
    found = totals.window(10.0 + STALE_S)
    assert (found.error_rate, found.rate_per_s) == ({"look": 0.0}, pytest.approx(20))


def test_without_reports_nothing_is_known() -> None:
    found = Totals().window(1.0)
    assert (found.rate_per_s, found.error_rate, found.p95_s) == (0.0, {}, 0.0)


def test_a_users_own_class_reports_no_stalls() -> None:
    totals = Totals()
    own = report()
    del own["stalls"], own["stall_max_s"]
    totals.take(own, 1.0)
    assert (totals.stalls, totals.stall_max_s, totals.cpu_s) == (0, 0.0, 0.2)


def test_workers_refusals_and_errors_are_kept_until_something_newer_is_said() -> None:
    totals, state = Totals(), WorkerState(number=2, host="far", problem="silent", lost_s=3.5)
    totals.take({"workers": [asdict(state)], "error": "disk full"}, 1.0)
    totals.take({"refused": "far: not allowed", "is_own": False}, 1.0)
    totals.take(report(0), 1.0)
    assert totals.workers == (state,)
    assert (totals.error, totals.refused) == ("disk full", "far: not allowed")
    totals.take({"workers": [], "error": ""}, 2.0)
    assert (totals.workers, totals.error) == ((), "")
