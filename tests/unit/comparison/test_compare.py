"""Planted differences are found, chance is not taken for one, and too little is called that."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up_runs import (
    EXPERIMENT,
    RECOVERY,
    TIMES_S,
    drawn,
    figure,
    made_up_run,
    row_of,
    side_of,
    with_values,
)

from harness.comparison import MinimumEffect, Side, compare, interval
from harness.comparison.sides import Run
from harness.model.compared import Compared

TOO_FEW, NO_CHANGE = "too few runs to tell", "no change that matters"
P95 = figure("fault", "redirect", "p95")
LOST = Compared("run", "writes", "lost", "never", "count")
ERRORS = figure("fault", "redirect", "error_rate")


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch):
    monkeypatch.setattr(interval, "DRAWS", 2000)


def changed(name: Compared, a: list[float], b: list[float], **minimum: float) -> dict:
    found = compare(with_values(name, a), with_values(name, b), MinimumEffect(**minimum))
    return row_of(found, name)


def test_a_p95_that_is_20_percent_higher_is_a_regression():
    found = compare(drawn(5, 0), drawn(5, 10, slower=1.2), MinimumEffect())
    row = row_of(found, P95)
    low, high = row["interval"]
    assert row["outcome"] == "regression"
    assert found["is_regression"]
    assert low < 0.2 * TIMES_S["p95"] < high
    assert row["relative"] == pytest.approx(0.2, abs=0.05)
    assert row_of(found, "baseline.redirect.p95")["outcome"] == NO_CHANGE


def test_a_recovery_that_takes_5_s_longer_is_a_regression():
    row = row_of(compare(drawn(5, 0), drawn(5, 10, later_s=5), MinimumEffect()), RECOVERY)
    low, high = row["interval"]
    assert row["outcome"] == "regression"
    assert low < 5 < high


def test_what_got_worse_from_a_to_b_got_better_from_b_to_a():
    found = compare(drawn(5, 0, slower=1.3, later_s=5), drawn(5, 10), MinimumEffect())
    assert row_of(found, P95)["outcome"] == "improvement"
    assert row_of(found, RECOVERY)["outcome"] == "improvement"
    assert not found["is_regression"]


def test_without_a_change_all_figures_are_without_a_change_that_matters():
    found = compare(drawn(8, 0, noise=0.01), drawn(8, 10, noise=0.01), MinimumEffect())
    assert {row["outcome"] for row in found["figures"]} == {NO_CHANGE}


@pytest.mark.parametrize(("runs", "share"), [(3, 0.85), (5, 0.92)])
def test_intervals_cover_the_true_change(runs, share):
    rng = np.random.default_rng(1)
    rows = [
        changed(RECOVERY, rng.normal(21, 1, runs).tolist(), rng.normal(24, 1, runs).tolist())
        for _ in range(200)
    ]
    covered = sum(row["interval"][0] < 3 < row["interval"][1] for row in rows)
    assert covered >= share * len(rows)


@pytest.mark.parametrize("runs", [1, 3, 5, 8])
def test_runs_of_one_target_are_a_regression_in_fewer_than_1_of_20_comparisons(runs):
    pairs = [
        [drawn(runs, seed, noise=0.4) for seed in (100 * at, 100 * at + 50)] for at in range(60)
    ]
    alarms = sum(compare(a, b, MinimumEffect())["is_regression"] for a, b in pairs)
    assert alarms < len(pairs) / 20


@pytest.mark.parametrize("runs", [(1, 1), (2, 5), (5, 2)])
def test_two_runs_on_a_side_tell_nothing_of_times(runs):
    a, b = drawn(runs[0], 0), drawn(runs[1], 10, slower=9, later_s=60)
    found = compare(a, b, MinimumEffect())
    assert not found["is_regression"]
    for name in (P95, RECOVERY, ERRORS):
        row = row_of(found, name)
        assert (row["outcome"], row["reason"]) == (TOO_FEW, "too_few_runs")
        assert row["interval"] is None


def test_three_runs_tell_only_what_lies_far_apart():
    a = [21.0, 20.2, 22.1]
    assert changed(RECOVERY, a, [29.0, 28.2, 30.1])["outcome"] == "regression"
    near = changed(RECOVERY, a, [23.0, 25.0, 26.1])
    assert (near["outcome"], near["reason"]) == (TOO_FEW, "may_be_chance")
    mixed = changed(RECOVERY, a, [21.5, 25.0, 30.1])
    assert (mixed["outcome"], mixed["reason"]) == (TOO_FEW, "interval_too_wide")


def test_a_sure_change_below_what_matters_is_none():
    a, b = [0.100, 0.101, 0.102, 0.101], [0.106, 0.107, 0.108, 0.107]
    row = changed(P95, a, b)
    assert row["interval"][0] > 0
    assert row["outcome"] == NO_CHANGE
    assert changed(P95, a, b, relative=0.05)["outcome"] == "regression"


def test_a_change_must_be_a_share_of_a_and_a_size():
    assert changed(P95, [0.001] * 4, [0.004] * 4)["outcome"] == NO_CHANGE
    assert changed(P95, [0.001] * 4, [0.007] * 4)["outcome"] == "regression"
    assert changed(RECOVERY, [50.0] * 4, [54.0] * 4)["outcome"] == NO_CHANGE
    assert changed(RECOVERY, [50.0] * 4, [56.0] * 4)["outcome"] == "regression"


def test_nothing_is_too_small_to_matter_if_so_asked():
    none = {"relative": 0.0, "response_time_s": 0.0}
    assert changed(P95, [0.1] * 4, [0.1] * 4, **none)["outcome"] == NO_CHANGE
    assert changed(P95, [0.1] * 4, [0.100001] * 4, **none)["outcome"] == "regression"


@pytest.mark.parametrize("runs", [1, 5])
def test_one_run_that_does_not_recover_is_enough(runs):
    row = changed(RECOVERY, [21.0] * runs, [21.0] * (runs - 1) + [math.inf])
    assert (row["outcome"], row["reason"]) == ("regression", "seen_in_b_alone")
    assert row["b"]["values"][-1] == "unbounded"


def test_what_did_not_recover_is_unbounded():
    row = changed(RECOVERY, [21.0] * 3, [math.inf] * 3)
    assert (row["b"]["median"], row["difference"]) == ("unbounded", "unbounded")
    assert row["relative"] is None
    back = changed(RECOVERY, [math.inf] * 3, [21.0] * 3)
    assert (back["outcome"], back["difference"]) == ("improvement", "-unbounded")
    assert changed(RECOVERY, [math.inf] * 3, [math.inf] * 3)["outcome"] == NO_CHANGE


def test_what_must_never_happen_needs_to_be_seen_once():
    there = changed(LOST, [0], [3])
    assert (there["outcome"], there["reason"]) == ("regression", "seen_in_b_alone")
    assert changed(LOST, [3], [0])["outcome"] == TOO_FEW
    assert changed(LOST, [0], [0])["outcome"] == NO_CHANGE


def test_what_happened_before_is_not_proven_gone_or_the_same():
    flag = Compared("run", "breaker.redis", "not_closed_at_end", "never", "flag")
    assert changed(flag, [1, 0, 0], [1, 1, 1])["outcome"] == TOO_FEW
    assert changed(flag, [1, 1, 1], [0, 0, 1])["outcome"] == TOO_FEW
    assert changed(flag, [1, 1, 1, 1], [0, 0, 0, 0])["outcome"] == "improvement"


def test_no_failure_in_few_requests_does_not_mean_that_none_fails():
    """The rule of three, two-sided: 3.69 / requests."""
    few, many = (
        row_of(compare(*[with_values(ERRORS, [0.0] * 3, requests)] * 2, MinimumEffect()), ERRORS)
        for requests in (1000, 10_000)
    )
    assert few["interval"] == pytest.approx([-3.689 / 3000, 3.689 / 3000], rel=0.01)
    assert few["outcome"] == TOO_FEW
    assert many["outcome"] == NO_CHANGE


def test_errors_that_were_not_there_are_a_regression():
    row = changed(ERRORS, [0.0] * 3, [0.02, 0.021, 0.019])
    assert row["outcome"] == "regression"
    assert row["interval"][0] < 0.02 < row["interval"][1]


def test_a_figure_that_one_side_lacks_is_named():
    a, b = with_values(P95, [0.1] * 3), with_values(RECOVERY, [21.0] * 3)
    found = compare(a, b, MinimumEffect())
    for name in (P95, RECOVERY):
        row = row_of(found, name)
        assert (row["outcome"], row["reason"]) == (TOO_FEW, "not_measured")
        assert row["difference"] is None


def test_a_run_that_is_no_evidence_is_left_out():
    bad = Run("bad", EXPERIMENT, made_up_run(1, slower=9).figures, "the load fell behind")
    found = compare(drawn(1, 0), side_of(bad), MinimumEffect())
    assert found["b"]["runs"] == []
    assert found["b"]["left_out"] == [{"run_id": "bad", "why": "the load fell behind"}]
    assert {row["outcome"] for row in found["figures"]} == {TOO_FEW}


def test_facts_in_which_the_sides_differ_are_listed():
    a, b = (
        Side(name, tuple(Run(name, EXPERIMENT, {}, facts=facts) for facts in all_facts))
        for name, all_facts in {
            "a": [{"cpu_count": 2, "git_commit": "abc"}],
            "b": [{"cpu_count": 2, "git_commit": "def"}, {"git_commit": "fed"}],
        }.items()
    )
    found = compare(a, b, MinimumEffect())
    assert found["environment"] == [{"fact": "git_commit", "a": ["abc"], "b": ["def", "fed"]}]


def test_the_same_runs_give_the_same_bytes():
    a, b = drawn(3, 0), drawn(3, 2)
    found = compare(a, b, MinimumEffect())
    assert found == compare(a, b, MinimumEffect())
    assert found["on_both_sides"] == ["run-2"]
    assert sum(found["counts"].values()) == len(found["figures"])
