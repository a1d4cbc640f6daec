"""How a file says what is taken out of answers, what is expected of them, and who asks."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.model.answer import Auth, Take
from harness.model.load import Operation


@pytest.mark.parametrize(
    ("said", "kind", "source", "regex"),
    [
        ("$.a.b[0]", "json", "$.a.b[0]", ""),
        ({"json": "$.id"}, "json", "$.id", ""),
        ({"header": "location"}, "header", "location", ""),
        ({"header": "location", "regex": "/(.+)"}, "header", "location", "/(.+)"),
        ({"cookie": "csrf"}, "cookie", "csrf", ""),
        ({"regex": "id=(.+)"}, "regex", "", "id=(.+)"),
    ],
)
def test_each_way_to_take_a_value(said: Any, kind: str, source: str, regex: str) -> None:
    take = Take.model_validate(said)
    assert (take.kind, take.source, take.regex) == (kind, source, regex)
    assert Take.model_validate(take.model_dump(mode="json")) == take


@pytest.mark.parametrize(
    "said",
    [7, None, [], {}, "", "id", "$.a[", {"json": "$.a", "regex": "(x)"}, {"regex": "x"},
     {"regex": "(a)(b)"}, {"regex": "("}, {"header": ""}, {"header": 7}, {"path": "$.a"},
     {"json": "$.a", "more": "x"}],
)  # fmt: skip
def test_what_does_not_say_what_to_take(said: Any) -> None:
    with pytest.raises(ValidationError) as found:
        Take.model_validate(said)
    assert all(problem["type"] == "value_error" for problem in found.value.errors())


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ({"basic": {"user": "ann", "password_from": "SHOP"}}, ("ann", "{secret:SHOP}")),
        ({"basic": {"user": "{mail}", "password": "{pw}"}}, ("{mail}", "{pw}")),
        ({"bearer": {"token_from": "HARNESS_SECRET_API"}}, ("", "{secret:API}")),
        ({"bearer": {"token": "{session}"}}, ("", "{session}")),
    ],
)
def test_each_way_to_say_who_sends(said: Any, texts: tuple[str, str]) -> None:
    auth = Auth.model_validate(said)
    assert auth.texts == texts
    assert Auth.model_validate(auth.model_dump(mode="json")) == auth


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({}, "not a kind of authentication"),
        ("basic", "not a kind of authentication"),
        ({"digest": {}}, "not a kind of authentication"),
        ({"basic": {"user": "a"}}, "basic is not complete"),
        ({"basic": {"password_from": "A"}}, "basic is not complete"),
        ({"basic": None}, "basic is not complete"),
        ({"basic": {"user": "a", "password_from": "A", "password": "{b}"}}, "is not complete"),
        ({"basic": {"user": 7, "password_from": "A"}}, "its values must be text"),
        ({"basic": {"user": "a:b", "password_from": "A"}}, "cannot hold a colon"),
        ({"basic": {"user": "a", "password": "hunter2"}}, "a password does not belong in a file"),
        ({"bearer": {"token": "hunter2"}}, "a token does not belong in a file"),
        ({"bearer": {"token_from": "A B"}}, "is not the name of a variable"),
    ],
)
def test_what_does_not_say_who_sends(said: Any, wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Auth.model_validate(said)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"take": {"token": "$.a"}}, r"\{token\} is filled by the load itself"),
        ({"take": {"a-b": "$.a"}}, "cannot be a place"),
        ({"expect_json": {"state": "ok"}}, "is not a JSON path"),
        ({"expect_headers": {"a b": "x"}}, "is not a valid header name"),
        (
            {"auth": {"bearer": {"token": "{s}"}}, "headers": {"Authorization": "x"}},
            "leave out one of them",
        ),
    ],
)
def test_what_an_operation_cannot_say(said: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Operation.model_validate({"path": "/", **said})


def test_a_value_that_is_no_json_is_refused() -> None:
    import datetime

    with pytest.raises(ValidationError, match="is not a JSON value; put it in quotes"):
        Operation(path="/", expect_json={"$.day": datetime.date(2026, 1, 1)})


def test_what_is_not_said_is_not_in_a_plan() -> None:
    later = {"entry", "auth", "take", "expect_json", "expect_headers"}
    assert not later & Operation(path="/").model_dump().keys()
    said = Operation.model_validate({"path": "/", "entry": "api", "take": {"id": "$.id"}})
    assert {"entry", "take"} == later & said.model_dump().keys()
    assert Operation.model_validate(said.model_dump(mode="json")) == said


def test_the_length_of_an_answer_can_be_expected() -> None:
    operation = Operation(path="/", expect_headers={"Content-Length": "5"})
    assert operation.expect_headers == {"Content-Length": "5"}


def test_all_texts_are_searched_for_places() -> None:
    operation = Operation.model_validate(
        {
            "path": "/{a}", "body": "{b}", "method": "POST", "headers": {"x": "{c}"},
            "location": "{d}", "body_contains": "{e}", "expect_headers": {"y": "{f}"},
            "expect_json": {"$.z": "{g}", "$.n": 1}, "auth": {"bearer": {"token": "{h}{key}"}},
        }
    )  # fmt: skip
    assert operation.named == frozenset("abcdefgh")
