"""The schedule is pure: the same seed gives the same arrivals, operations and keys."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice

import pytest

from harness.load.schedule import (
    Arrivals,
    operation_choices,
    sequential_keys,
    stage_rate,
    zipf_keys,
)


def due_times(arrivals: Arrivals, count: int) -> list[float]:
    times = []
    for _ in range(count):
        times.append(arrivals.due_s)
        arrivals.advance()
    return times


def test_constant_arrivals_are_evenly_spaced() -> None:
    arrivals = Arrivals("constant", 1)
    arrivals.set_rate(10.0, 200)
    assert due_times(arrivals, 4) == pytest.approx([10.0, 10.005, 10.01, 10.015])


def test_poisson_arrivals_repeat_from_the_seed_and_have_the_rate() -> None:
    first, second = Arrivals("poisson", 7), Arrivals("poisson", 7)
    first.set_rate(0, 100)
    second.set_rate(0, 100)
    times = due_times(first, 20_000)
    assert times == due_times(second, 20_000)
    assert times[-1] == pytest.approx(200, rel=0.03)


def test_nothing_is_due_before_a_rate_is_set_nor_at_rate_zero() -> None:
    arrivals = Arrivals("constant", 1)
    assert math.isinf(arrivals.due_s)
    arrivals.set_rate(0, 10)
    arrivals.set_rate(1, 0)
    assert math.isinf(arrivals.due_s)
    arrivals.set_rate(5, 10)
    assert arrivals.due_s == 5


def test_a_new_rate_scales_what_is_left_of_the_gap() -> None:
    arrivals = Arrivals("constant", 1)
    arrivals.set_rate(0, 1)
    arrivals.advance()
    arrivals.set_rate(0.5, 5)
    assert arrivals.due_s == pytest.approx(0.6)


@pytest.mark.parametrize("evenly", [True, False])
def test_operations_come_in_proportion_to_their_weights(evenly: bool) -> None:
    chosen = Counter(islice(operation_choices([96, 4], 3, evenly=evenly), 10_000))
    assert chosen[1] == pytest.approx(400, abs=1 if evenly else 80)


def test_zipf_keys_are_popular_by_rank_and_within_the_population() -> None:
    counts = Counter(islice(zipf_keys(1000, 1.0, 5), 50_000))
    expected = 50_000 / sum(1 / rank for rank in range(1, 1001))
    assert counts[0] == pytest.approx(expected, rel=0.05)
    assert counts[1] == pytest.approx(expected / 2, rel=0.08)
    assert max(counts) < 1000


def test_exponent_zero_draws_all_keys_alike() -> None:
    counts = Counter(islice(zipf_keys(10, 0, 5), 50_000))
    assert min(counts.values()) > 4500


def test_sequential_keys_start_at_the_offset_and_go_around() -> None:
    assert list(islice(sequential_keys(3, 5), 4)) == [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("at_s", "rate"), [(-1, 10), (0, 10), (5, 55), (10, 100), (19, 100), (20, 30), (99, 30)]
)
def test_stages_ramp_then_hold_and_the_last_is_kept(at_s: float, rate: float) -> None:
    assert stage_rate(10, [(100, 10, 10), (30, 0, 5)], at_s) == pytest.approx(rate)
