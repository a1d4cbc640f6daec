"""Which clicks the balancers' own retries can have counted twice."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.aspects.clicks.repeats import explained, overlaps, retries
from harness.record.run import Record


def retried(at_s: float, count: int, server: str = "app-1", **facts: Any) -> dict[str, Any]:
    return {"event": "lb.retries", "t_s": at_s, "server": server, "retries": count, **facts}


def retries_of(*events: dict[str, Any]) -> tuple[int, list[list[float]]]:
    record = Record(cast(Any, None), list(events), pd.DataFrame(), pd.DataFrame())
    total, spans = retries(record, ["app-1", "app-2"])
    assert spans.shape == (len(spans), 2)
    return total, spans.tolist()


def test_a_retry_lies_between_two_looks_at_the_counter_each_off_by_50_ms() -> None:
    events = [
        *(retried(9.0, 3, "app-2", span_s=0.25), retried(5.0, 1), retried(7.0, 2, span_s=4)),
        *(retried(6.0, 0, span_s=0.25), retried(6.5, 9, "db-1", span_s=0.25)),
        {"event": "lb.server", "t_s": 1.0, "server": "app-1", "retries": 50},
    ]
    total, spans = retries_of(*events)
    assert total == 6
    assert spans == [
        pytest.approx([2.95, 7.05]), pytest.approx([4.95, 5.05]), pytest.approx([8.7, 9.05]),
    ]  # fmt: skip


def test_no_retry_has_no_span() -> None:
    assert retries_of(retried(5.0, 0), retried(5.0, 7, "db-1")) == (0, [])
    nothing = np.array([]).reshape(-1, 2)
    found = overlaps(np.array([1.0, 2.0]), np.array([1.5, 2.5]), nothing)
    assert (found.dtype, found.tolist()) == (bool, [False, False])


def stretches(first: int, last: int) -> st.SearchStrategy[list[int]]:
    times = st.integers(first, last)
    return st.tuples(times, times).map(sorted)


@given(st.lists(stretches(0, 12), min_size=4, max_size=12), st.lists(stretches(4, 9), max_size=4))
@example([[0, 3], [0, 4], [1, 9], [7, 7], [9, 12], [10, 12]], [[4, 9], [5, 6]])
def test_a_request_overlaps_a_span_if_it_began_before_its_end_and_ended_after_its_start(
    requests: list[list[int]], spans: list[list[int]]
) -> None:
    """At the same moment counts; spans may lie in each other."""
    sent_s, done_s = np.array(requests, float).reshape(-1, 2).T
    found = overlaps(sent_s, done_s, np.array(sorted(spans), float).reshape(-1, 2))
    assert found.dtype == bool
    assert found.tolist() == [
        any(sent <= end and done >= start for start, end in spans) for sent, done in requests
    ]


@pytest.mark.parametrize(
    ("surplus", "eligible", "total", "expected"),
    [
        ({}, {}, 9, 0),
        ({"a": 2, "b": 3}, {"a": 5, "b": 5}, 9, 5),
        ({"a": 2, "b": 3}, {"a": 1, "b": 2, "c": 9}, 9, 3),
        ({"a": 2, "b": 3}, {"b": 2}, 9, 2),
        ({"a": 2, "b": 3}, {"a": 5, "b": 5}, 4, 4),
        ({"a": 2}, {"a": 5}, 0, 0),
    ],
)
def test_retries_explain_no_more_than_fits_each_code_and_all(
    surplus: dict[str, int], eligible: dict[str, int], total: int, expected: int
) -> None:
    assert explained(surplus, eligible, total) == expected
