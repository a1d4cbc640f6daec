"""A label names counters: where they are, and at which path of the document."""

from __future__ import annotations

import pytest

from harness.model.counter import counters_of, wrong_counters


@pytest.mark.parametrize(
    ("where", "counters"),
    [
        ("8080/stats#$.queue.depth", {"worker": "$.queue.depth"}),
        ("8080/stats#depth=$.queue.depth", {"depth": "$.queue.depth"}),
        ("8080/#depth=$.a[0]&oldest_s=$.b", {"depth": "$.a[0]", "oldest_s": "$.b"}),
        ("8080#$", {"worker": "$"}),
    ],
)
def test_each_counter_has_a_name_and_a_path(where: str, counters: dict[str, str]) -> None:
    assert counters_of("worker", where) == counters
    assert wrong_counters("worker", where) == ""


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("8080/stats", "'8080/stats' names no value; write PORT/PATH#NAME=$.json.path"),
        ("8080/stats#", "names no value"),
        ("#$.a", "names no value"),
        ("8080/s#depth", "'depth' is not a JSON path"),
        ("8080/s#depth=a.b", "'a.b' is not a JSON path"),
        ("8080/s#a=$.a&a=$.b", "'a' is not a name of a counter of its own"),
        ("8080/s#a b=$.a", "'a b' is not a name"),
        ("8080/s#=$.a", "'' is not a name"),
    ],
)
def test_what_names_none(where: str, why: str) -> None:
    assert why in wrong_counters("worker", where)
