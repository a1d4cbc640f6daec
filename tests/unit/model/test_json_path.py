"""Values of a document by their path; what is not there is None, what is no path an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.json_path import JsonPath, path_of_one, value_at

DOCUMENT = {"id": 7, "queue": {"depth": 3, "a-b": {"c d": True}}, "jobs": [{"id": "x"}, None]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DOCUMENT),
        ("$.id", 7),
        ("$.queue.depth", 3),
        ("$['queue'].depth", 3),
        ("$.queue['a-b'][\"c d\"]", True),
        ("$.jobs[0].id", "x"),
        ("$.jobs[-2].id", "x"),
        ("$.jobs[1]", None),
        ("$.jobs[1].id", None),
        ("$.jobs[2]", None),
        ("$.jobs.id", None),
        ("$.queue[0]", None),
        ("$.gone.further", None),
    ],
)
def test_the_value_at_a_path(path: str, value: object) -> None:
    assert value_at(DOCUMENT, path) == value


def test_a_place_is_one_of_a_list_and_a_name_one_of_an_object() -> None:
    assert value_at({"0": 1}, "$[0]") is None
    assert value_at("text", "$[0]") is None
    assert value_at([[5, 6]], "$[0][1]") == 6


@pytest.mark.parametrize(
    "path", ["", "id", ".id", "$id", "$.", "$.a.", "$[x]", "$ .id ", "$['a", "$.a b", "["]
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match=r"is not a JSON path: \S"):
        JsonPath(path)


@pytest.mark.parametrize("path", ["$[*]", "$.*", "$..id", "$.jobs[0, 1]", "$.jobs[0:1]", "$[?@.a]"])
def test_what_may_find_several_is_no_path_of_one(path: str) -> None:
    assert not JsonPath(path).is_of_one
    with pytest.raises(ValueError, match=r"may find several values; write it like \$\.jobs\[0\]"):
        path_of_one(path)


def test_all_values_come_in_their_order() -> None:
    assert JsonPath("$.jobs[*].id").values({"jobs": [{"id": 2}, {}, {"id": 1}]}) == [2, 1]


def test_a_document_too_deep_to_walk_is_an_error_of_ours() -> None:
    document: Any = 1
    for _ in range(3_000):
        document = [document]
    with pytest.raises(ValueError, match=r"\$\.\.a cannot be applied"):
        JsonPath("$..a").values(document)


KEYS = st.text("aZ0 .-$*@é漢", min_size=1, max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def everything(document: Any, path: str) -> list[tuple[str, Any]]:
    """Each value with the path that leads to it."""
    found = [(path, document)]
    if isinstance(document, dict):
        for key, value in document.items():
            found += everything(value, f"{path}['{key}']")
    if isinstance(document, list):
        for place, value in enumerate(document):
            found += everything(value, f"{path}[{place}]")
    return found


@given(DOCUMENTS)
def test_each_value_is_at_its_path(document: Any) -> None:
    for path, value in everything(document, "$"):
        assert value_at(document, path) is value


@given(DOCUMENTS, DOCUMENTS)
def test_where_a_document_has_nothing_there_is_none(document: Any, other: Any) -> None:
    there = {path for path, _ in everything(document, "$")}
    for path, _ in everything(other, "$"):
        if path not in there:
            assert value_at(document, path) is None
