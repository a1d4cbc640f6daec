"""The headers of a target say who answered, in words of its own."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.model.answer_headers import Header, headers_by_column
from harness.model.http import WHO_ANSWERED

CACHE = Header(name="X-Cache-Status", values={"HIT*": "cache", "stale": "cache", "*": "origin"})


@pytest.mark.parametrize(
    ("value", "means"),
    [("HIT", "cache"), ("hit from edge-3", "cache"), ("STALE", "cache"), ("MISS", "origin"),
     ("miss, HIT", "origin"), ("", "")],
)  # fmt: skip
def test_the_first_pattern_that_fits_says_what_a_value_means(value: str, means: str) -> None:
    assert CACHE.means(value) == means


def test_what_fits_no_pattern_stands_for_itself() -> None:
    assert Header(name="X", values={"HIT": "cache"}).means("MISS") == "MISS"
    assert Header(name="X").means("web-1") == "web-1"


def test_all_names_are_known_only_where_each_value_has_one() -> None:
    assert CACHE.names == {"cache", "origin"}
    assert Header(name="X", values={"HIT": "cache"}).names == frozenset()


def test_what_a_target_does_not_say_is_in_the_usual_headers() -> None:
    found = headers_by_column({"server": {"name": "X-Backend"}, "cache": CACHE})
    assert {column: header.name for column, header in found.items()} == {
        "served_by": "X-Backend", "cache": "X-Cache-Status", "db_node": "X-Db-Node",
    }  # fmt: skip
    assert list(found) == list(WHO_ANSWERED)  # the order of the recorder's columns


@pytest.mark.parametrize("name", ["", "X Cache", "X-Cache:", "X\r\nA"])
def test_a_name_is_a_name(name: str) -> None:
    with pytest.raises(ValidationError, match="is not the name of a header"):
        Header(name=name)


def test_numbers_are_words_too() -> None:
    assert Header.model_validate({"name": "X", "values": {1: 2}}).means("1") == "2"
