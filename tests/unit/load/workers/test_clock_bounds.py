"""How far two clocks are apart: always within the bounds, whatever the network does."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.load.workers.clock_bounds import DRIFT_MAX, ClockBounds

WAYS_S = st.floats(0, 0.5, allow_nan=False)


def test_before_the_first_answer_nothing_is_known() -> None:
    bounds = ClockBounds()
    assert (bounds.offset_s, bounds.uncertainty_s) == (0.0, inf)
    assert bounds.is_within(1e9)


def test_one_answer_is_as_uncertain_as_half_its_way() -> None:
    bounds = ClockBounds()
    bounds.add(10.0, 112.0, 10.4)
    assert bounds.offset_s == pytest.approx(101.8)
    assert bounds.uncertainty_s == pytest.approx(0.2)
    assert bounds.is_within(101.61)
    assert not bounds.is_within(101.59)


def test_answers_that_took_long_one_way_and_the_other_together_say_more_than_either() -> None:
    """Offset 100: the first answer was long on its way there, the second on its way back."""
    bounds = ClockBounds(at_s=10.0)
    bounds.add(10.0, 110.4, 10.4)
    assert bounds.uncertainty_s == pytest.approx(0.2)
    bounds.add(10.4, 110.4, 10.8)
    assert bounds.offset_s == pytest.approx(100.0, abs=0.001)
    assert bounds.uncertainty_s == pytest.approx(DRIFT_MAX * 0.4, abs=1e-4)


@example(offset_s=0.0, drift=DRIFT_MAX, ways=[(0.0, 0.0, 0.0), (0.375, 0.0, 0.0)])
@given(
    offset_s=st.floats(-1e6, 1e6),
    drift=st.floats(-DRIFT_MAX, DRIFT_MAX),
    ways=st.lists(st.tuples(WAYS_S, WAYS_S, st.floats(0, 30)), min_size=1, max_size=30),
)
def test_the_true_offset_is_always_within_the_bounds(
    offset_s: float, drift: float, ways: list[tuple[float, float, float]]
) -> None:
    bounds, now_s = ClockBounds(), 0.0
    for there_s, back_s, pause_s in ways:
        seen_s = now_s + there_s
        received_s = seen_s + back_s
        bounds.add(now_s, seen_s + offset_s + drift * seen_s, received_s)
        true_s = offset_s + drift * received_s
        assert bounds.jumps == 0
        slack_s = DRIFT_MAX * back_s + 1e-6
        assert abs(bounds.offset_s - true_s) <= bounds.uncertainty_s + slack_s
        now_s = received_s + pause_s
    assert bounds.answers == len(ways)


def test_a_clock_that_jumps_is_noticed_and_the_newest_answer_counts() -> None:
    bounds = ClockBounds()
    bounds.add(0.0, 100.0, 0.01)
    bounds.add(1.0, 106.0, 1.02)
    assert bounds.jumps == 1
    assert bounds.offset_s == pytest.approx(104.99)
    assert bounds.uncertainty_s == pytest.approx(0.01)


@pytest.mark.parametrize("answer", [(2.0, 5.0, 1.0), (0.0, nan, 1.0), (0.0, inf, 1.0)])
def test_what_can_be_no_answer_is_refused(answer: tuple[float, float, float]) -> None:
    bounds = ClockBounds()
    with pytest.raises(ValueError, match="not the time of an answer"):
        bounds.add(*answer)
    assert bounds == ClockBounds()
