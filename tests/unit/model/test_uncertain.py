"""Figures that may be off, and the largest of several."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.uncertain import Uncertainty, largest, uncertainty_of


@pytest.mark.parametrize(
    ("found", "uncertainty_s"),
    [
        (0.2, 0.2),
        ({"opens_within": 0.2}, 0.2),
        ({"closes_within": 0.2}, 0.0),
        ({"opens_within": None}, 0.0),
        (None, 0.0),
        ({}, 0.0),
    ],
)
def test_how_far_a_figure_may_be_off(found: Uncertainty, uncertainty_s: float) -> None:
    assert uncertainty_of(found, "opens_within") == uncertainty_s


def test_the_largest_is_as_uncertain_as_the_others_make_it() -> None:
    assert largest([(9.9, 0.1), (9.7, 0.5)]) == (9.9, pytest.approx(0.3))
    assert largest([(9.9, 0.1), (5.0, 0.5)]) == (9.9, pytest.approx(0.1))


@given(st.lists(st.tuples(st.floats(0, 99), st.floats(0, 9), st.floats(-1, 1)), min_size=1))
def test_the_true_largest_lies_within(rows: list[tuple[float, float, float]]) -> None:
    found = largest((value, half) for value, half, _ in rows)
    true = max(value + half * shift for value, half, shift in rows)
    assert abs(true - found[0]) <= found[1] + 1e-9
