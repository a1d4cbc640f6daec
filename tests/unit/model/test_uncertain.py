"""Figures that may be off, and the largest of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.uncertain import largest, uncertainty_of


@pytest.mark.parametrize(
    ("record", "uncertainty_s"),
    [
        ({"uncertainty_s": 0.2}, 0.2),
        ({"uncertainty_s": {"opens_within": 0.2}}, 0.2),
        ({"uncertainty_s": {"closes_within": 0.2}}, 0.0),
        ({"uncertainty_s": {"opens_within": None}}, 0.0),
        ({"uncertainty_s": None}, 0.0),
        ({}, 0.0),
    ],
)
def test_how_far_a_figure_may_be_off(record: Mapping[str, Any], uncertainty_s: float) -> None:
    assert uncertainty_of(record, "opens_within") == uncertainty_s


def test_the_largest_is_as_uncertain_as_the_others_make_it() -> None:
    assert largest([(9.9, 0.1), (9.7, 0.5)]) == (9.9, pytest.approx(0.3))
    assert largest([(9.9, 0.1), (5.0, 0.5)]) == (9.9, pytest.approx(0.1))


@given(st.lists(st.tuples(st.floats(0, 99), st.floats(0, 9), st.floats(-1, 1)), min_size=1))
def test_the_true_largest_lies_within(rows: list[tuple[float, float, float]]) -> None:
    found = largest((value, half) for value, half, _ in rows)
    true = max(value + half * shift for value, half, shift in rows)
    assert abs(true - found[0]) <= found[1] + 1e-9
