"""Requests are rendered from operations; answers are judged by status, content and time."""

from __future__ import annotations

import pytest

from harness.load.http_parse import Response
from harness.load.request import Request
from harness.model.load import SHORTENER_OPERATIONS

VALUES = {"key": "h000007", "token": "run-m5", "trace": "00-1-2-01"}
REDIRECT = Request("redirect", SHORTENER_OPERATIONS["redirect"], "127.0.0.1:80")
CREATE = Request("create", SHORTENER_OPERATIONS["create"], "127.0.0.1:80")


def answer(status: int, headers: str = "", body: str = "") -> Response:
    response = Response("GET")
    head = f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    response.feed(f"{head}{body}".encode())
    return response


def test_a_read_is_rendered_with_its_key_and_trace() -> None:
    head = REDIRECT.render(VALUES).decode()
    assert head.startswith("GET /h000007 HTTP/1.1\r\n")
    assert "traceparent: 00-1-2-01\r\n" in head
    assert REDIRECT.draws_key


def test_a_write_carries_its_token_in_body_and_header() -> None:
    head, _, body = CREATE.render(VALUES).decode().partition("\r\n\r\n")
    assert body == '{"url": "https://example.com/new/run-m5"}'
    assert f"Content-Length: {len(body)}" in head
    assert "Idempotency-Key: run-m5" in head
    assert not CREATE.draws_key


@pytest.mark.parametrize(
    ("response", "took_s", "error"),
    [
        (answer(302, "Location: https://example.com/h000007\r\n"), 0.1, ""),
        (answer(302, "Location: https://example.com/h000007\r\n"), 5.1, "too_slow"),
        (answer(302, "Location: https://wrong.com/h000007\r\n"), 0.1, "wrong_content"),
        (answer(302), 0.1, "wrong_content"),
        (answer(200, "Location: https://example.com/h000007\r\n"), 0.1, "wrong_status"),
        (answer(503), 9.0, "wrong_status"),
    ],
)
def test_success_is_status_and_content_in_time(
    response: Response, took_s: float, error: str
) -> None:
    assert REDIRECT.error_of(response, VALUES, took_s) == error


def test_the_body_must_contain_what_the_operation_says() -> None:
    good = answer(201, body="a https://example.com/new/run-m5 b")
    assert CREATE.error_of(good, VALUES, 0.1) == ""
    assert CREATE.error_of(answer(201, body="run-m6"), VALUES, 0.1) == "wrong_content"


@pytest.mark.parametrize(
    ("response", "error", "outcome"),
    [
        (answer(201), "", "ok"),
        (answer(201), "too_slow", "ok"),
        (answer(201), "wrong_content", "unknown"),
        (answer(422), "wrong_status", "failed"),
        (answer(408), "wrong_status", "unknown"),
        (answer(500), "wrong_status", "unknown"),
        (answer(503), "wrong_status", "unknown"),
        (answer(503, "X-Write-Attempted: maybe\r\n"), "wrong_status", "unknown"),
        (answer(503, "X-Write-Attempted: no\r\n"), "wrong_status", "failed"),
        (answer(504, "X-Write-Attempted: no\r\n"), "wrong_status", "unknown"),
        (None, "timeout", "unknown"),
        (None, "refused", "unknown"),
        (None, "closed", "unknown"),
        (None, "dropped", "failed"),
    ],
)
def test_a_write_failed_only_where_it_was_surely_not_attempted(
    response: Response | None, error: str, outcome: str
) -> None:
    assert CREATE.write_outcome(response, error) == outcome
    assert REDIRECT.write_outcome(response, error) == ""
