"""What is expected of an answer beyond its status, and what is taken out of it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.load.engine.request import Places, Request, Values
from harness.load.engine.response import BODY_KEPT_MAX, Heads, Response
from harness.model.load import Operation

PLACES = Places("{index}", "run-m", "0" * 16, ("id", "state"))
VALUES: Values = (7, 5, 0, b"", b"", b"17", b"ok")


def answered(body: bytes = b"", *headers: bytes) -> Response:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    response = Response(Heads())
    response.feed(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    return response


def request(**said: Any) -> Request:
    operation = Operation.model_validate({"path": "/", **said})
    return Request("x", operation, "127.0.0.1:80", PLACES)


def error(response: Response, **said: Any) -> str:
    return request(**said).error_of(response, VALUES, 0.1)


BODY = (
    b'{"id": 17, "state": "ok", "paid": true, "price": 1.5, "note": null, "items": [{"sku": "a"}]}'
)


@pytest.mark.parametrize(
    ("path", "expected", "is_right"),
    [
        ("$.state", "ok", True),
        ("$.state", "o", False),
        ("$.id", 17, True),
        ("$.id", 17.0, True),
        ("$.id", "17", False),
        ("$.id", "{id}", True),
        ("$.state", "{state}", True),
        ("$.state", "{id}", False),
        ("$.paid", True, True),
        ("$.paid", 1, False),
        ("$.id", True, False),
        ("$.price", 1.5, True),
        ("$.note", None, True),
        ("$.gone", None, True),
        ("$.gone", "x", False),
        ("$.items[0].sku", "a", True),
        ("$.items[0]", {"sku": "a"}, True),
        ("$.items[1].sku", "a", False),
    ],
)
def test_a_value_of_the_body_is_as_expected_or_the_content_is_wrong(
    path: str, expected: Any, is_right: bool
) -> None:
    found = error(answered(BODY), expect_json={path: expected})
    assert found == ("" if is_right else "wrong_content")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b'{"state": "ok"'])
def test_a_body_that_is_no_json_is_wrong_where_json_is_expected(body: bytes) -> None:
    assert error(answered(body), expect_json={"$.state": "ok"}) == "wrong_content"
    assert error(answered(body)) == ""


def test_a_body_that_is_too_long_to_be_kept_is_not_wrong() -> None:
    body = b'{"state": "ok", "more": "' + b"x" * BODY_KEPT_MAX + b'"}'
    assert error(answered(body), expect_json={"$.state": "ok"}) == "too_long"
    assert error(answered(body), take={"state": "$.state"}) == "too_long"


@pytest.mark.parametrize(
    ("expected", "is_right"),
    [
        ({"content-type": "application/json"}, True),
        ({"Content-Type": "application/json; charset=utf-8"}, True),
        ({"content-type": "application/jso"}, False),
        ({"content-type": "text/html"}, False),
        ({"x-order": "{id}"}, True),
        ({"x-order": "{state}"}, False),
        ({"x-gone": "1"}, False),
    ],
)
def test_a_header_is_as_expected_or_the_content_is_wrong(
    expected: dict[str, str], is_right: bool
) -> None:
    headers = (b"Content-Type: application/json; charset=utf-8", b"X-Order: 17")
    found = error(answered(b"", *headers), expect_headers=expected)
    assert found == ("" if is_right else "wrong_content")


@pytest.mark.parametrize(
    ("take", "value"),
    [
        ("$.id", b"17"),
        ("$.state", b"ok"),
        ("$.paid", b"true"),
        ("$.price", b"1.5"),
        ({"json": "$.items[0].sku"}, b"a"),
        ({"regex": r'"sku": "(\w+)"'}, b"a"),
        ({"header": "location"}, b"/orders/17"),
        ({"header": "Location", "regex": r"/(\d+)$"}, b"17"),
        ({"cookie": "csrf"}, b"abc"),
    ],
)
def test_a_value_is_taken(take: Any, value: bytes) -> None:
    headers = (b"Location: /orders/17", b"Set-Cookie: s=1; Path=/", b"Set-Cookie: csrf=abc")
    made, response = request(take={"it": take}), answered(BODY, *headers)
    assert made.error_of(response, VALUES, 0.1) == ""
    assert made.content.taken(response) == {"it": value}


@pytest.mark.parametrize(
    "take",
    ["$.gone", "$.note", "$.items", "$", {"regex": "nothing (.)"}, {"header": "x-gone"},
     {"cookie": "gone"}, {"header": "location", "regex": "x(y)"}, {"regex": "(z)|17"}],
)  # fmt: skip
def test_an_answer_without_what_is_to_be_taken_is_wrong(take: Any) -> None:
    response = answered(BODY, b"Location: /orders/17")
    assert error(response, take={"it": take}) == "wrong_content"


@pytest.mark.parametrize("value", ["a\\r\\nX: y", "a\\u0000b", "x" * 9000, ""])
def test_what_could_not_be_sent_is_not_taken(value: str) -> None:
    body = b'{"id": "' + value.encode() + b'"}'
    assert error(answered(body), take={"it": "$.id"}) == "wrong_content"


def test_one_answer_is_read_once_and_the_next_one_anew() -> None:
    made = request(take={"it": "$.id"})
    for number in (1, 2):
        response = answered(b'{"id": %d}' % number)
        assert made.error_of(response, VALUES, 0.1) == ""
        assert made.content.taken(response) == {"it": b"%d" % number}


def test_nothing_is_looked_for_where_nobody_asks() -> None:
    made = request()
    assert not made.reads_body
    assert not made.content.of_head
