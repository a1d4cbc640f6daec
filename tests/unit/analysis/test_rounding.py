"""Figures as they are written: plain JSON data, rounded, and nothing that is not a number."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.rounding import rounded


@dataclass
class Part:
    """As findings have them."""

    share: float
    names: tuple[str, ...] = ()
    note: str | None = None

    LEFT_OUT: ClassVar[tuple[str, ...]] = ("note",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.23456749, 1.234567),
        (2 / 3, 0.666667),
        (math.nan, None),
        (-math.inf, None),
        (np.float64("nan"), None),
        (np.float64(0.1234567), 0.123457),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (12345678901, 12345678901),
        (True, True),
        (None, None),
        ("text", "text"),
        ({1: (1.00000049, [math.inf])}, {"1": [1.0, [None]]}),
        ([Part(0.1234565, ("a", "b"))], [{"share": 0.123456, "names": ["a", "b"]}]),
        ({"x": Part(math.nan, note="n")}, {"x": {"share": None, "names": [], "note": "n"}}),
    ],
)
def test_each_kind_of_value(value: Any, expected: Any) -> None:
    found = rounded(value)
    assert found == expected
    assert type(found) is type(expected)


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.floats(0, 1).map(Part)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner)
    ),
    max_leaves=8,
)


@settings(max_examples=40)
@given(TREES)
def test_whatever_it_is_it_can_be_written_and_is_then_as_it_was_read(value: Any) -> None:
    found = rounded(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert rounded(found) == found
