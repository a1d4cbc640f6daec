"""Total and partial outages and scattered failures, on streams whose truth is known."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_outages import plain_rows

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


lengths = st.one_of(st.integers(1, 40), st.integers(1, 300), st.integers(300, 900))
shares = st.sampled_from([0.0, 0.0, 0.0, 0.002, 0.01, 0.02, 0.1, 1 / 3, 0.9, 0.99, 1.0])


@settings(max_examples=120)
@given(
    st.lists(st.tuples(lengths, shares), min_size=1, max_size=6),
    st.integers(0, 2**32),
    st.sampled_from([10, 40, 100, 1000]),
    st.sampled_from([0.005, 0.01, 0.05, 0.5]),
)
def test_found_is_what_the_plainest_reading_of_the_method_finds(
    stretches: list[tuple[int, float]], seed: int, rate: float, budget: float
) -> None:
    """Probes at any distance, some at the same moment; failures told at once, or after hanging."""
    chance = np.random.default_rng(seed)
    ok = np.concatenate([chance.random(probes) >= share for probes, share in stretches])
    sent_s = np.cumsum(chance.choice([0, 0.5, 1, 1, 1, 2, 20], len(ok)) / rate)
    done_s = sent_s + np.where(chance.random(len(ok)) < 0.5, 0.001, np.where(ok, 0.2, 3.0))
    found = find_outages(sent_s, done_s, ok, budget)
    expected = plain_rows(sent_s.tolist(), done_s.tolist(), ok.tolist(), budget)
    assert [astuple(outage) for outage in found] == [pytest.approx(row) for row in expected]
    for outage in found:
        assert outage.last_good_s <= outage.start_s <= outage.failed_from_s
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


def around(rate: float, *runs: tuple[int, str]) -> tuple[Any, Any, Any]:
    """Probes at a steady rate, in runs of so many that fail (x) or succeed (o)."""
    ok = np.array([how == "o" for count, how in runs for _ in range(count)])
    sent_s = np.arange(len(ok)) / rate
    return sent_s, sent_s + 1 / 1024, ok


LONG = (200, "o")


@pytest.mark.parametrize(
    ("rate", "between", "outages"),
    [(16, 19, 1), (16, 20, 2), (64, 63, 1), (64, 64, 2), (1024, 600, 1), (2, 19, 1)],
)
def test_failures_belong_together_until_20_successes_and_1_s(
    rate: float, between: int, outages: int
) -> None:
    found = find_outages(*around(rate, LONG, (9, "x"), (between, "o"), (9, "x"), LONG, LONG))
    assert len(found) == outages
    assert outages == 1 or kinds(found) == ["total", "total"]


@pytest.mark.parametrize(
    ("rate", "after", "is_over"), [(16, 19, False), (16, 20, True), (64, 64, False), (64, 65, True)]
)
def test_a_total_outage_is_over_after_20_successes_in_a_row_that_last_1_s(
    rate: float, after: int, is_over: bool
) -> None:
    (outage,) = find_outages(*around(rate, LONG, (9, "x"), (after, "o")))
    assert (outage.end_s is not None) == is_over


def test_eight_successes_among_failures_are_no_end_though_they_are_slow_to_come() -> None:
    (outage,) = find_outages(*around(2, LONG, (90, "x"), (8, "o"), (90, "x"), LONG))
    assert (outage.kind, outage.probes) == ("total", 188)


@pytest.mark.parametrize(
    ("budget", "failures", "found"),
    [(0.005, 2, 0), (0.005, 3, 1), (0.01, 2, 0), (0.01, 3, 1), (0.05, 4, 0), (0.05, 5, 1)],
)
def test_a_chance_of_one_in_10_000_is_enough_for_a_total_outage(
    budget: float, failures: int, found: int
) -> None:
    """At 1 % the third failure in a row is exactly that unlikely."""
    assert len(find_outages(*around(16, LONG, (failures, "x"), LONG), budget)) == found


@pytest.mark.parametrize(("before", "kind"), [(4, "total"), (3, "partial")])
def test_nine_in_ten_that_fail_are_total(before: int, kind: str) -> None:
    (outage,) = find_outages(*around(16, LONG, (before, "x"), (1, "o"), (5, "x"), LONG))
    assert outage.kind == kind


def test_a_burst_in_which_all_fail_is_partial_where_a_lone_failure_is_near() -> None:
    """At 1,024 a second 300 successes are no stable run: the nine stand alone all the same."""
    found = find_outages(*around(1024, LONG, (1, "x"), (300, "o"), (9, "x"), (2000, "o")))
    (outage,) = found
    assert (outage.kind, outage.failed, outage.probes) == ("partial", 9, 9)
    assert outage.start_s == pytest.approx(500.5 / 1024)
    assert outage.end_s == pytest.approx(509.5 / 1024, abs=1 / 1024)


def unsteady(*probes: tuple[float, float, str]) -> tuple[Any, Any, Any]:
    """Four good probes before, those that are given as (sent, took, how), 40 good ones after."""
    last_s = probes[-1][0]
    before = [(at_s, 1 / 64, "o") for at_s in (0.0, 0.125, 0.25, 0.375)]
    after = [(last_s + n / 8, 1 / 64, "o") for n in range(1, 41)]
    sent_s, took_s, how = zip(*before, *probes, *after, strict=True)
    return np.array(sent_s), np.array(sent_s) + np.array(took_s), np.array(how) == "o"


AT_ONCE = 1 / 64


@pytest.mark.parametrize(
    ("probes", "start_s", "end_s", "uncertainty_s", "first_failed_s"),
    [
        pytest.param(  # sent at 0.75 s the last failed, answered at 0.890625 s the first good one
            [(0.5, AT_ONCE, "x"), (0.625, AT_ONCE, "x"), (0.75, AT_ONCE, "x")],
            0.4375, (0.75 + 0.890625) / 2, 0.140625 / 2, 0.515625, id="told at once",
        ),
        pytest.param(
            [(1.375, AT_ONCE, "x"), (1.5, AT_ONCE, "x"), (1.625, AT_ONCE, "x")],
            0.875, (1.625 + 1.765625) / 2, 0.5, 1.390625, id="a gap before the first",
        ),
        pytest.param(
            [(0.5, AT_ONCE, "x"), (0.625, AT_ONCE, "x"), (0.75, AT_ONCE, "x"), (1.75, 0.5, "o")],
            0.4375, (0.75 + 1.890625) / 2, 1.140625 / 2, 0.515625, id="the first good one is slow",
        ),
        pytest.param(  # the failure of 0.625 s waited until 0.875 s: half the gap is what is left
            [(0.5, AT_ONCE, "x"), (0.625, 0.25, "x"), (0.75, AT_ONCE, "x")],
            0.4375, (0.875 + 0.890625) / 2, 0.0625, 0.515625, id="one waited until it was over",
        ),
        pytest.param(  # as long as the gap: told at once; later than a success: no sign
            [(0.5, 0.75, "x"), (0.625, AT_ONCE, "x"), (0.75, 0.125, "x")],
            0.4375, (0.75 + 0.890625) / 2, 0.140625 / 2, 0.640625, id="waits that are no sign",
        ),
        pytest.param(  # the moment of the first answer still counts
            [(0.5, 0.390625, "x"), (0.625, AT_ONCE, "x"), (0.75, AT_ONCE, "x")],
            0.4375, 0.890625, 0.0625, 0.640625, id="failed as the first was answered",
        ),
        pytest.param(
            [(0.5, AT_ONCE, "x"), (0.625, 1 / 32, "x"), (0.75, AT_ONCE, "x"), (0.875, 0.0, "o")],
            0.4375, (0.75 + 0.875) / 2, 0.0625, 0.515625, id="answered in no time",
        ),
    ],
)  # fmt: skip
def test_the_times_of_a_total_outage(
    probes: list[tuple[float, float, str]],
    start_s: float,
    end_s: float,
    uncertainty_s: float,
    first_failed_s: float,
) -> None:
    (outage,) = find_outages(*unsteady(*probes))
    assert outage == Outage(
        "total", start_s, end_s, uncertainty_s, 3, 3, 2 * start_s - probes[0][0], first_failed_s,
        failed_from_s=probes[0][0], failed_to_s=0.25 + probes[0][0],
    )  # fmt: skip


def test_an_outage_begins_at_the_first_probe_or_after_the_one_before() -> None:
    found = find_outages(*around(16, (9, "x"), (40, "o"), (9, "x"), (9, "o")))
    assert [(o.last_good_s, o.start_s) for o in found] == [(0.0, 0.0), (3.0, (48 + 49) / 32)]
    assert found[1].end_s is None
    assert found[1].uncertainty_s == 1 / 32


def test_no_probe_or_none_that_succeeds() -> None:
    nothing = np.array([])
    assert find_outages(nothing, nothing, nothing.astype(bool)) == []
    (outage,) = find_outages(*around(16, (9, "x")))
    assert outage == Outage("total", 0.0, None, 0.0, 9, 9, 0.0, 1 / 1024, 0.0, 0.5)


def test_probes_of_one_moment_are_taken_in_the_order_of_the_record() -> None:
    """Twelve at a time, anywhere in the record. The last six of 20 s fail, and all until the first
    six of 30 s: so the outage begins and ends within a moment."""
    sent_s = np.random.default_rng(5).permutation(np.arange(3000) // 12 / 4)
    ok = (sent_s < 20) | (sent_s > 30)
    ok[np.flatnonzero(sent_s == 20)[:6]] = True
    ok[np.flatnonzero(sent_s == 30)[6:]] = True
    (outage,) = find_outages(sent_s, sent_s + 1 / 64, ok)
    assert (outage.failed, outage.probes, outage.last_good_s) == (480, 480, 20.0)


@pytest.mark.parametrize(("failures", "found"), [(6, []), (7, ["partial"])])
def test_so_many_of_every_other_one_are_a_partial_outage(failures: int, found: list[str]) -> None:
    """Each adds ln 4 = 1.39; 9.21 is needed, and what lies between takes little away."""
    pairs = [(1, "x"), (1, "o")] * failures
    assert kinds(find_outages(*around(16, LONG, *pairs, LONG))) == found


@pytest.mark.parametrize(("successes", "outages"), [(20, 1), (21, 2)])
def test_at_37_percent_21_successes_in_a_row_end_a_partial_outage(
    successes: int, outages: int
) -> None:
    """7 of 19 fail: ln(0.995 / 0.632) = 0.455, of which 21 make 9.21."""
    third = [*([(1, "x"), (2, "o")] * 6), (1, "x")]
    found = find_outages(*around(16, LONG, *third, (successes, "o"), *third, LONG))
    assert kinds(found) == ["partial"] * outages
    assert found[0].probes == (19 if outages == 2 else 58)


def test_where_the_budget_is_half_of_all_four_in_five_are_too_many() -> None:
    most = [(4, "x"), (1, "o")] * 40
    (outage,) = find_outages(*around(16, LONG, *most, LONG), 0.5)
    assert (outage.kind, outage.failed) == ("partial", 160)


def test_what_hung_from_long_before_says_nothing_of_the_end() -> None:
    sent_s, done_s, ok = around(16, (30, "o"), (1, "x"), (40, "o"), (9, "x"), LONG)
    done_s[30] = 5.0  # a scattered failure, sent at 1.875 s
    (outage,) = find_outages(sent_s, done_s, ok)
    assert outage.end_s == (sent_s[79] + 5.0 + 1 / 1024) / 2


@pytest.mark.parametrize(("slow", "answered_s"), [(18, 6.25), (19, 6.3125), (20, 15.0)])
def test_the_first_answer_is_that_of_one_of_the_next_20(slow: int, answered_s: float) -> None:
    """So many of those sent from 5.125 s on take 10 s."""
    sent_s, done_s, ok = around(16, (73, "o"), (9, "x"), LONG)
    done_s[82 : 82 + slow] += 10
    (outage,) = find_outages(sent_s, done_s, ok)
    assert outage.end_s == (sent_s[81] + answered_s + 0.125 * (slow == 20) + 1 / 1024) / 2


def test_the_end_of_a_weak_outage_is_as_uncertain_as_all_that_was_seen_since() -> None:
    """With 1.45 % that fail, 786 more probes might have belonged to it; 640 were seen."""
    weak = [(1, "x"), (69, "o")] * 59
    sent_s, done_s, ok = around(16, (900, "o"), *weak, (1, "x"), (640, "o"))
    (outage,) = find_outages(sent_s, done_s, ok)
    assert (outage.kind, outage.failed, outage.probes) == ("partial", 60, 4131)
    assert outage.end_s == (sent_s[-641] + sent_s[-1]) / 2
