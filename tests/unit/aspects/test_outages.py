"""Total and partial outages and scattered failures, on streams whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_outages import plain_outages

from harness.aspects.recovery.outages import Outage, find_outages

RATE = 100


def stream(*stretches: tuple[float, float], seed: int = 0, rate: float = RATE):
    """Probes over stretches of (seconds, share that fails), answered after 1 ms."""
    chance = np.random.default_rng(seed)
    parts = [chance.random(round(length_s * rate)) >= share for length_s, share in stretches]
    ok = np.concatenate(parts)
    sent_s = np.arange(len(ok)) / rate
    return sent_s, sent_s + 0.001, ok


def kinds(found: list[Outage]) -> list[str]:
    return [outage.kind for outage in found]


lengths = st.floats(0.02, 12)
shares = st.sampled_from([0.0, 0.0, 0.0, 0.002, 0.01, 0.02, 0.1, 1 / 3, 0.9, 0.99, 1.0])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(lengths, shares), min_size=1, max_size=8),
    st.integers(0, 2**32),
    st.sampled_from([10, 40, 100, 300]),
    st.sampled_from([0.005, 0.01, 0.05, 0.5]),
)
def test_found_is_what_the_plainest_reading_of_the_method_finds(
    stretches: list[tuple[float, float]], seed: int, rate: float, budget: float
) -> None:
    sent_s, done_s, ok = stream(*stretches, seed=seed, rate=rate)
    found = find_outages(sent_s, done_s, ok, budget)
    expected = plain_outages(sent_s.tolist(), ok.tolist(), budget)
    assert [(o.kind, o.failed_from_s, o.failed_to_s, o.end_s is not None) for o in found] == [
        (kind, sent_s[first], sent_s[last], is_over) for kind, first, last, is_over in expected
    ]
    for outage in found:
        assert outage.start_s <= outage.failed_from_s
        assert outage.end_s is None or outage.end_s >= outage.failed_to_s


@pytest.mark.parametrize(
    ("share", "least"), [(0.02, 75), (0.03, 90), (0.1, 95), (1 / 3, 95), (0.7, 95)]
)
def test_a_share_that_fails_is_one_partial_outage_with_honest_ends(
    share: float, least: int
) -> None:
    """20 s in the middle; in so many of 100 runs both ends are within the stated uncertainty."""
    within = 0
    for seed in range(100):
        (outage, *more) = find_outages(*stream((20, 0), (20, share), (20, 0), seed=seed))
        assert len(more) <= 1  # at 2 % a quiet stretch of 6 s may look like an end
        last = [outage, *more][-1]
        assert outage.kind == "partial"
        assert last.end_s is not None
        half_s = max(outage.uncertainty_s, last.uncertainty_s) + 2 / RATE
        within += abs(outage.start_s - 20) <= half_s and abs(last.end_s - 40) <= half_s
        if not more:
            assert outage.failed / outage.probes == pytest.approx(share, rel=0.6)
    assert within >= least


@pytest.mark.parametrize(("budget", "runs_with_any"), [(0.005, 1), (0.05, 0)])
def test_one_failure_in_500_is_no_outage_however_long(budget: float, runs_with_any: int) -> None:
    """Half an hour in all; nothing of it is found twice."""
    found = [find_outages(*stream((300, 0.002), seed=seed), budget) for seed in range(6)]
    assert sum(bool(outages) for outages in found) <= runs_with_any


def test_one_failure_in_500_moves_no_end_of_an_outage() -> None:
    for seed in range(20):
        sent_s, done_s, ok = stream((30, 0.002), (10, 1), (60, 0.002), seed=seed)
        ok[2900:3000] = ok[4000:4100] = True  # quiet for 1 s on both sides
        (outage,) = [o for o in find_outages(sent_s, done_s, ok) if o.failed > 100]
        assert outage.kind == "total"
        assert outage.start_s == pytest.approx(30, abs=0.01)
        assert outage.end_s == pytest.approx(40, abs=0.01)


def test_a_total_outage_among_partial_ones_stands_alone() -> None:
    found = find_outages(*stream((10, 0), (10, 0.3), (3, 0), (5, 1), (3, 0), (10, 0.3), (10, 0)))
    assert kinds(found) == ["partial", "total", "partial"]
    assert [o.end_s for o in found] == pytest.approx([20, 28, 41], abs=0.2)


def test_single_failures_are_no_outage_and_three_in_a_row_are() -> None:
    sent_s, done_s, ok = stream((20, 0))
    ok[[300, 900, 1500]] = False
    assert find_outages(sent_s, done_s, ok) == []
    ok[1501:1503] = False
    (outage,) = find_outages(sent_s, done_s, ok)
    assert (outage.kind, outage.failed, outage.probes) == ("total", 3, 3)


def test_a_larger_budget_needs_more_failures_in_a_row() -> None:
    sent_s, done_s, ok = stream((20, 0))
    ok[1500:1504] = False
    assert kinds(find_outages(sent_s, done_s, ok, 0.05)) == []
    ok[1504] = False
    assert kinds(find_outages(sent_s, done_s, ok, 0.05)) == ["total"]


def test_a_partial_outage_that_goes_on_at_the_end_has_no_end() -> None:
    (outage,) = find_outages(*stream((20, 0), (20, 0.1)))
    assert (outage.kind, outage.end_s) == ("partial", None)


def test_what_fails_within_the_budget_is_no_outage() -> None:
    assert find_outages(*stream((120, 0.03)), 0.05) == []
    assert kinds(find_outages(*stream((20, 0.03), (20, 0.4), (20, 0.03)), 0.05)) == ["partial"]
