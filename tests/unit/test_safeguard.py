"""When a run is aborted: a limit exceeded for its whole time without a break."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.experiment import Safeguard
from harness.model.load import LoadSnapshot
from harness.safeguard import SafeguardWatch

READS = Safeguard(operation="redirect", error_rate=0.5, for_s=3)
WRITES = Safeguard(operation="create", error_rate=0.1, for_s=1)


def _snapshot(**rates: float) -> LoadSnapshot:
    return LoadSnapshot(0.0, window_error_rate=rates)


def _trips(watch: SafeguardWatch, rates: list[float]) -> list[bool]:
    """One look a second."""
    return [
        watch.tripped(float(second), _snapshot(redirect=rate)) is not None
        for second, rate in enumerate(rates)
    ]


def test_it_trips_when_the_limit_was_exceeded_for_the_whole_time() -> None:
    assert _trips(SafeguardWatch((READS,)), [0, 0.6, 0.6, 0.6, 0.6]) == [False] * 4 + [True]


def test_the_limit_itself_is_allowed() -> None:
    assert not any(_trips(SafeguardWatch((READS,)), [0.5] * 20))


def test_one_good_second_starts_the_count_again() -> None:
    rates = [0.6, 0.6, 0.6, 0.4, 0.6, 0.6, 0.6, 0.6]
    assert _trips(SafeguardWatch((READS,)), rates) == [False] * 7 + [True]


@pytest.mark.parametrize("nothing", [{}, {"redirect": math.nan}, {"create": 0.0}])
def test_a_second_without_requests_neither_exceeds_nor_clears(nothing: dict[str, float]) -> None:
    watch = SafeguardWatch((READS,))
    assert watch.tripped(0, _snapshot(**nothing)) is None
    assert watch.tripped(1, _snapshot(redirect=1.0)) is None
    assert watch.tripped(2, _snapshot(**nothing)) is None
    assert watch.tripped(4, _snapshot(redirect=1.0)) == READS


def test_each_safeguard_has_a_count_of_its_own() -> None:
    watch = SafeguardWatch((READS, WRITES))
    assert watch.tripped(0, _snapshot(redirect=0.9, create=0.05)) is None
    assert watch.tripped(1, _snapshot(redirect=0.9, create=0.9)) is None
    assert watch.tripped(2, _snapshot(redirect=0.9, create=0.9)) == WRITES
    assert watch.tripped(3, _snapshot(redirect=0.9, create=0.0)) == READS


@pytest.mark.parametrize("first", [{}, {"redirect": math.nan}, {"redirect": 0.1}])
def test_a_safeguard_that_is_kept_hides_none_behind_it(first: dict[str, float]) -> None:
    watch = SafeguardWatch((READS, WRITES))
    assert watch.tripped(0, _snapshot(create=0.9, **first)) is None
    assert watch.tripped(1, _snapshot(create=0.9, **first)) == WRITES


def test_without_a_time_it_trips_at_once() -> None:
    at_once = READS.model_copy(update={"for_s": 0})
    assert SafeguardWatch((at_once,)).tripped(0, _snapshot(redirect=0.6)) == at_once


def test_without_safeguards_nothing_trips() -> None:
    assert SafeguardWatch(()).tripped(0, _snapshot(redirect=1.0)) is None


@given(st.lists(st.sampled_from([0.0, 0.5, 0.51, 1.0]), max_size=30))
def test_it_trips_exactly_when_the_last_four_looks_all_exceeded(rates: list[float]) -> None:
    expected = [
        second >= 3 and all(rate > 0.5 for rate in rates[second - 3 : second + 1])
        for second in range(len(rates))
    ]
    assert _trips(SafeguardWatch((READS,)), rates) == expected
