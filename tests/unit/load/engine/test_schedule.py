"""The schedule is pure: the same seed gives the same arrivals, operations and keys."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.engine.schedule import (
    CHUNK,
    RateProfile,
    Schedule,
    by_weight,
    drawn,
    every_nth,
    in_turn,
    sequential_keys,
    unit_gaps,
    zipf_keys,
)

STAGES = [(100.0, 10.0, 10.0), (30.0, 0.0, 5.0)]
Arrival = tuple[float, int, int]


def schedule(kind: str = "constant", seed: int = 1, worker: int = 0, workers: int = 1) -> Schedule:
    chunks = drawn(
        unit_gaps(kind, seed),
        by_weight([3, 1], seed),
        zipf_keys(1000, 1, seed),
        [True, False],
    )
    return Schedule(every_nth(chunks, worker, workers))


def take(arrivals: Schedule, count: int) -> list[Arrival]:
    taken = []
    for _ in range(count):
        taken.append((arrivals.due_s, arrivals.op, arrivals.key))
        arrivals.advance()
    return taken


def due_times(arrivals: Schedule, count: int) -> list[float]:
    return [due_s for due_s, _, _ in take(arrivals, count)]


def test_constant_arrivals_are_evenly_spaced() -> None:
    arrivals = schedule()
    arrivals.follow(RateProfile(10.0, 200))
    assert due_times(arrivals, 4) == pytest.approx([10.0, 10.005, 10.01, 10.015])


def test_constant_arrivals_do_not_drift_over_many_chunks() -> None:
    arrivals = schedule()
    arrivals.follow(RateProfile(0, 300))
    times = due_times(arrivals, 5 * CHUNK)
    assert times == pytest.approx([index / 300 for index in range(5 * CHUNK)], abs=1e-9)


def test_poisson_arrivals_repeat_from_the_seed_and_are_exponential() -> None:
    first, second = schedule("poisson", 7), schedule("poisson", 7)
    first.follow(RateProfile(0, 100))
    second.follow(RateProfile(0, 100))
    arrivals = take(first, 20_000)
    assert arrivals == take(second, 20_000)
    gaps_s = np.diff([due_s for due_s, _, _ in arrivals])
    assert gaps_s.mean() == pytest.approx(0.01, rel=0.03)
    assert gaps_s.std() == pytest.approx(0.01, rel=0.03)
    assert (gaps_s > 0.01).mean() == pytest.approx(math.exp(-1), abs=0.02)


def test_nothing_is_due_before_a_profile_is_followed_nor_at_rate_zero() -> None:
    arrivals = schedule()
    assert math.isinf(arrivals.due_s)
    arrivals.follow(RateProfile(0, 10))
    take(arrivals, 6)
    arrivals.follow(arrivals.profile.changed(0.55, 0))
    assert math.isinf(arrivals.due_s)
    arrivals.follow(arrivals.profile.changed(5, 10))
    assert due_times(arrivals, 2) == pytest.approx([5.05, 5.15])


def test_a_new_rate_scales_what_is_left_of_the_gap() -> None:
    arrivals = schedule()
    arrivals.follow(RateProfile(0, 1))
    arrivals.advance()
    arrivals.follow(arrivals.profile.changed(0.5, 5))
    assert due_times(arrivals, 2) == pytest.approx([0.6, 0.8])


def test_a_new_rate_changes_neither_operations_nor_keys_nor_what_was_due() -> None:
    plain, edited = schedule(), schedule()
    plain.follow(RateProfile(0, 100))
    edited.follow(RateProfile(0, 100))
    expected = take(plain, 3000)
    found = take(edited, 1500)
    edited.follow(edited.profile.changed(20, 700))
    found += take(edited, 1500)
    assert [arrival[1:] for arrival in found] == [arrival[1:] for arrival in expected]
    assert [a[0] for a in found[:2000]] == pytest.approx([a[0] for a in expected[:2000]])
    assert found[2001][0] == pytest.approx(20 + 1 / 700)


def test_an_arrival_without_a_key_has_its_own_number() -> None:
    arrivals = take(schedule(), 3000)
    numbers = [index for index, (_, op, _) in enumerate(arrivals) if op == 1]
    assert [key for _, op, key in arrivals if op == 1] == numbers
    assert max(key for _, op, key in arrivals if op == 0) < 1000


@given(
    workers=st.integers(1, 9),
    lengths=st.lists(st.integers(0, 20), max_size=8),
)
def test_the_shares_of_all_workers_are_the_whole_and_have_nothing_in_common(
    workers: int, lengths: list[int]
) -> None:
    """For chunks of any length, also such that are shorter than there are workers."""
    whole = list(range(sum(lengths)))
    ends = np.cumsum([0, *lengths])
    parts = [whole[first:last] for first, last in pairwise(ends)]
    shares = []
    for worker in range(workers):
        chunks = every_nth(((np.array(p), p, p) for p in parts), worker, workers)
        share = [(float(unit), op, key) for units, ops, keys in chunks
                 for unit, op, key in zip(units, ops, keys, strict=True)]  # fmt: skip
        assert [op for _, op, _ in share] == whole[worker::workers]
        assert all(unit == op == key for unit, op, key in share)
        shares += share
    assert sorted(shares) == [(float(n), n, n) for n in whole]


@pytest.mark.parametrize("kind", ["constant", "poisson"])
@pytest.mark.parametrize("workers", [2, 3, 4])
def test_the_same_seed_gives_the_same_requests_for_any_number_of_workers(
    kind: str, workers: int
) -> None:
    """Due times through a ramp, operations, keys and numbers: all as one alone would send them."""
    profile = RateProfile.of_stages(5.0, 50.0, STAGES)
    alone = schedule(kind, 7)
    alone.follow(profile)
    count = 2 * CHUNK + 5
    expected = take(alone, workers * count)
    for worker in range(workers):
        share = schedule(kind, 7, worker, workers)
        share.follow(profile)
        assert take(share, count) == expected[worker::workers]


def test_operations_come_in_proportion_to_their_weights() -> None:
    chosen = Counter(by_weight([96, 4], 3)(10_000).tolist())
    assert chosen[1] == pytest.approx(400, abs=80)
    assert Counter(in_turn(3)(9000).tolist()) == {0: 3000, 1: 3000, 2: 3000}


def test_zipf_keys_are_popular_by_rank_and_within_the_population() -> None:
    counts = Counter(zipf_keys(1000, 1.0, 5)(50_000).tolist())
    expected = 50_000 / sum(1 / rank for rank in range(1, 1001))
    assert counts[0] == pytest.approx(expected, rel=0.05)
    assert counts[1] == pytest.approx(expected / 2, rel=0.08)
    assert max(counts) < 1000


def test_exponent_zero_draws_all_keys_alike() -> None:
    counts = Counter(zipf_keys(10, 0, 5)(50_000).tolist())
    assert min(counts.values()) > 4500


def test_sequential_keys_start_at_the_offset_and_go_around() -> None:
    keys = sequential_keys(3, 5)
    assert [*keys(1).tolist(), *keys(3).tolist()] == [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("at_s", "rate"), [(-1, 10), (0, 10), (5, 55), (10, 100), (19, 100), (20, 30), (99, 30)]
)
def test_stages_ramp_then_hold_and_the_last_is_kept(at_s: float, rate: float) -> None:
    assert RateProfile.of_stages(0, 10, STAGES).rate_at(at_s) == pytest.approx(rate)


def test_arrivals_follow_the_stages_exactly() -> None:
    """A ramp from 10/s to 100/s in 10 s holds 550 arrivals, the next 10 s hold 1000."""
    arrivals = schedule()
    arrivals.follow(RateProfile.of_stages(50, 10, STAGES))
    times = np.array(due_times(arrivals, 2000))
    counts = [((times >= a) & (times < b)).sum() for a, b in pairwise([50, 60, 70, 75])]
    assert counts == pytest.approx([550, 1000, 150], abs=1)


def test_a_ramp_from_and_to_nothing() -> None:
    arrivals = schedule()
    arrivals.follow(RateProfile.of_stages(0, 0, [(100, 2, 0), (0, 2, 0)]))
    times = due_times(arrivals, 201)
    assert times[:2] == pytest.approx([0, 0.2])
    assert times[100] == pytest.approx(2)
    assert times[199] < 4
    assert math.isinf(times[200]) or times[200] == pytest.approx(4)


def arrivals_by(at_s: float, rate: float, stages: list[tuple[int, int, int]]) -> float:
    """The integral of the rate from 0 to `at_s`, one trapezium after the other."""
    total, began_s = 0.0, 0.0
    for target, ramp_s, hold_s in [*stages, (stages[-1][0] if stages else rate, 0, 10**9)]:
        in_ramp_s = min(max(at_s - began_s, 0), ramp_s)
        reached = rate + (target - rate) * (in_ramp_s / ramp_s if ramp_s else 1)
        total += in_ramp_s * (rate + reached) / 2
        total += min(max(at_s - began_s - ramp_s, 0), hold_s) * target
        began_s, rate = began_s + ramp_s + hold_s, target
    return total


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 20), st.integers(0, 20)), max_size=5),
    st.integers(0, 500),
)
def test_the_nth_arrival_is_due_when_the_rate_has_added_up_to_n(
    stages: list[tuple[int, int, int]], rate_per_s: int
) -> None:
    profile = RateProfile.of_stages(0, rate_per_s, stages)
    units = np.linspace(0, 3000, 31)
    due_s = profile.times_of(units)
    finite = due_s[np.isfinite(due_s)]
    assert (np.diff(finite) >= -1e-9).all()
    assert [arrivals_by(at_s, rate_per_s, stages) for at_s in finite] == pytest.approx(
        units[: len(finite)].tolist(), abs=1e-3
    )
    if len(finite) < len(units):
        assert arrivals_by(1e6, rate_per_s, stages) <= units[len(finite)]
