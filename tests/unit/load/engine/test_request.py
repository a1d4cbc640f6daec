"""Requests are rendered from operations; answers are judged by status, content and time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.bundled.traffic import OPERATIONS
from harness.load.engine.request import Places, Request, Values
from harness.load.engine.response import BEGIN_MAX, BODY_KEPT_MAX, Head, Heads, Response
from harness.model.load import Operation, percent_format
from harness.model.request_line import METHODS

VALUES: Values = (7, 5, 0, b"")
PLACES = Places("h{index:06d}", "run-m", "00000000000003" + "6d")


def request(name: str, operation: Operation) -> Request:
    return Request(name, operation, "127.0.0.1:80", PLACES)


NOT_DONE, FIRST_TRY = "X-Write-Attempted: no\r\n", "X-Attempt: 1\r\n"
REDIRECT = request("redirect", OPERATIONS["redirect"])
CREATE = request("create", OPERATIONS["create"])


def answer(status: int, headers: str = "") -> Head:
    return Head(f"HTTP/1.1 {status} X\r\n{headers}Content-Length: 0".encode())


def with_body(head: Head, body: bytes = b"") -> Response:
    response = Response(Heads())
    response.head, response.body = head, body
    return response


def test_a_read_is_rendered_with_its_key_and_trace() -> None:
    head = REDIRECT.render(VALUES).decode()
    assert head.startswith("GET /h000007 HTTP/1.1\r\n")
    trace = "00-00000000000003" + "6d" + "0000000000000005"
    assert f"traceparent: {trace}-1000000000000005-01\r\n" in head
    assert head.endswith("\r\n\r\n")
    assert REDIRECT.draws_key


def test_each_hundredth_request_of_the_load_asks_to_be_traced() -> None:
    """By its number alone, so that a run with the same seed traces the same requests."""
    operation = Operation(method="POST", path="/?t={trace}", body="{trace}", returns="(x)")
    load = Request("create", operation, "h:80", replace(PLACES, sampled_every=100))
    for number, flag in ((0, "01"), (1, "00"), (99, "00"), (100, "01"), (3 * 10**15 + 100, "01")):
        values: Values = (7, number, 0, b"")
        written = f"{PLACES.trace_start}{number:016x}-1{number:015x}-{flag}"
        text = load.render(values).decode()
        assert text.startswith(f"POST /?t=00-{written} HTTP/1.1\r\n")
        assert f"\r\ntraceparent: 00-{written}\r\n" in text
        assert text.endswith(f"\r\n\r\n00-{written}")
        assert load.is_sampled(values) is (flag == "01")


def test_a_canary_asks_for_all_of_its_requests_to_be_traced() -> None:
    assert all(REDIRECT.is_sampled((7, number, 0, b"")) for number in (0, 1, 99))
    assert b"-01\r\n" in REDIRECT.render((7, 99, 0, b""))


def test_a_write_carries_its_token_in_body_and_header() -> None:
    head, _, body = CREATE.render(VALUES).decode().partition("\r\n\r\n")
    assert body == '{"url": "https://example.com/new/run-m5"}'
    assert f"Content-Length: {len(body)}" in head
    assert "Idempotency-Key: run-m5" in head
    assert not CREATE.draws_key


def test_a_read_back_asks_for_the_write_that_it_is_given() -> None:
    operation = Operation(path="/{written}?me={token}", reads="create")
    head = request("read_back", operation).render((3, 9, 0, b"")).decode()
    assert head.startswith("GET /run-m3?me=run-m9 HTTP/1.1")


def test_what_a_write_returned_is_asked_for_by_what_reads_it() -> None:
    body = b'{"code": "Ab-9_", "url": "https://example.com/new/run-m5"}'
    assert CREATE.error_of(with_body(answer(201), body), VALUES, 0.1) == ""
    assert CREATE.kept(VALUES, body) == (5, b"Ab-9_")
    follow = request("follow", OPERATIONS["follow"])
    values: Values = (5, 9, 0, b"Ab-9_")
    assert follow.render(values).startswith(b"GET /Ab-9_ HTTP/1.1")
    right, wrong = (answer(302, f"Location: https://example.com/new/run-m{n}\r\n") for n in (5, 9))
    assert follow.error_of(with_body(right, b""), values, 0.1) == ""
    assert follow.error_of(with_body(wrong, b""), values, 0.1) == "wrong_content"


def test_what_reads_a_read_is_about_the_same_write() -> None:
    delete = request("delete", Operation(method="DELETE", path="/{returned}", reads="create"))
    assert delete.kept((5, 9, 0, b"Ab-9_"), b"") == (5, b"Ab-9_")


@pytest.mark.parametrize("code", [b"", b"a b", b"a\r\nX-Evil: 1", b"a" * 1001, b"\xff"])
def test_an_answer_that_returns_no_word_is_wrong_and_never_put_into_a_request(code: bytes) -> None:
    loose = OPERATIONS["create"].model_copy(update={"returns": '(?s)"code": "(.*?)"'})
    create = request("create", loose)
    body = b'{"code": "' + code + b'", "url": "https://example.com/new/run-m5"}'
    assert create.error_of(with_body(answer(201), body), VALUES, 0.1) == "wrong_content"
    assert create.kept(VALUES, body) == (5, b"")


@pytest.mark.parametrize("pattern", ["(", "code", "(a)(b)"])
def test_returns_is_a_regular_expression_with_one_group(pattern: str) -> None:
    with pytest.raises(ValueError, match="returns"):
        Operation(path="/", returns=pattern)


def test_percent_signs_format_nothing() -> None:
    operation = Operation(path="/a%20b/{key}%d", headers={"X": "100%"})
    head = request("odd", operation).render(VALUES).decode()
    assert head.startswith("GET /a%20b/h000007%25d HTTP/1.1")
    assert "X: 100%\r\n" in head


@pytest.mark.parametrize(
    ("key_format", "key"),
    [("h{index:06d}", "h000042"), ("{index}-x", "42-x"), ("%{index:3d}", "% 42")],
)
def test_a_key_is_made_as_its_format_says(key_format: str, key: str) -> None:
    assert percent_format(key_format) % 42 == key == key_format.format(index=42)


@pytest.mark.parametrize("key_format", ["", "x", "{}", "{index}{index}", "{index:x}", "{index}}"])
def test_a_key_format_without_one_index_is_refused(key_format: str) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        percent_format(key_format)


@pytest.mark.parametrize(
    ("head", "took_s", "error"),
    [
        (answer(302, "Location: https://example.com/h000007\r\n"), 0.1, ""),
        (answer(302, "Location: https://example.com/h000007\r\n"), 5.1, "too_slow"),
        (answer(302, "Location: https://wrong.com/h000007\r\n"), 0.1, "wrong_content"),
        (answer(302), 0.1, "wrong_content"),
        (answer(200, "Location: https://example.com/h000007\r\n"), 0.1, "wrong_status"),
        (answer(503), 9.0, "wrong_status"),
    ],
)
def test_success_is_status_and_content_in_time(head: Head, took_s: float, error: str) -> None:
    assert REDIRECT.error_of(with_body(head, b""), VALUES, took_s) == error


def test_the_body_must_contain_what_the_operation_says() -> None:
    good = b'a https://example.com/new/run-m5 b "code": "x"'
    assert CREATE.error_of(with_body(answer(201), good), VALUES, 0.1) == ""
    assert CREATE.error_of(with_body(answer(201), b"run-m6"), VALUES, 0.1) == "wrong_content"


@pytest.mark.parametrize(
    ("head", "error", "outcome"),
    [
        (answer(201), "", "ok"),
        (answer(201), "too_slow", "ok"),
        (answer(201), "wrong_content", "unknown"),
        (answer(422), "wrong_status", "failed"),
        (answer(408), "wrong_status", "unknown"),
        (answer(500), "wrong_status", "unknown"),
        (answer(503), "wrong_status", "unknown"),
        (answer(503, "X-Write-Attempted: maybe\r\n"), "wrong_status", "unknown"),
        (answer(503, NOT_DONE + FIRST_TRY), "wrong_status", "failed"),
        (answer(504, NOT_DONE + FIRST_TRY), "wrong_status", "unknown"),
        (answer(503, FIRST_TRY), "wrong_status", "unknown"),
        (answer(409, FIRST_TRY), "wrong_status", "failed"),
        (answer(429, FIRST_TRY), "wrong_status", "unknown"),
        (None, "timeout", "unknown"),
        (None, "refused", "unknown"),
        (None, "closed", "unknown"),
        (None, "dropped", "failed"),
    ],
)
def test_a_write_failed_only_where_it_was_surely_not_attempted(
    head: Head | None, error: str, outcome: str
) -> None:
    assert CREATE.write_outcome(head, error) == outcome
    assert REDIRECT.write_outcome(head, error) == ""


@pytest.mark.parametrize("repeated", ["", "X-Attempt: 2\r\n", "X-Attempt: unknown\r\n"])
@pytest.mark.parametrize(
    "refusal", [answer(503, NOT_DONE), answer(409), answer(404), answer(410), answer(412)]
)
def test_a_server_speaks_for_itself_alone_where_the_request_may_have_been_repeated(
    refusal: Head, repeated: str
) -> None:
    """One that was asked before may have done it; that may even be why this one refuses."""
    head = answer(refusal.status, NOT_DONE + repeated)
    assert CREATE.write_outcome(head, "wrong_status") == "unknown"


def test_what_the_request_itself_is_refused_for_it_was_refused_for_before() -> None:
    assert CREATE.write_outcome(answer(400), "wrong_status") == "failed"
    assert CREATE.write_outcome(answer(400, "X-Attempt: 2\r\n"), "wrong_status") == "unknown"


def lines_of(operation: Operation) -> list[str]:
    return request("x", operation).render(VALUES).decode().split("\r\n")


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a b?q=c d", "/a%20b?q=c%20d"),
        ("/straße", "/stra%C3%9Fe"),
        ("/already%20so", "/already%20so"),
        ("/50%", "/50%25"),
        ("/{key}?t={token}", "/h000007?t=run-m5"),
        ('/"<>\\^`|', "/%22%3C%3E%5C%5E%60%7C"),
    ],
)
def test_what_a_path_may_not_hold_is_sent_as_escapes(path: str, sent: str) -> None:
    assert lines_of(Operation(path=path))[0] == f"GET {sent} HTTP/1.1"


def test_a_key_is_escaped_in_the_path_and_nowhere_else() -> None:
    places = Places("ü {index}", "run-m", "0" * 16)
    operation = Operation(method="PUT", path="/{key}", body="{key}")
    sent = Request("x", operation, "127.0.0.1:80", places).render(VALUES)
    assert sent.startswith(b"PUT /%C3%BC%207 HTTP/1.1\r\n")
    assert sent.endswith("\r\n\r\nü 7".encode())


def test_the_operations_own_headers_win_whatever_their_case() -> None:
    operation = Operation(path="/", headers={"host": "shop.test", "Traceparent": "mine"})
    assert lines_of(operation) == ["GET / HTTP/1.1", "host: shop.test", "Traceparent: mine", "", ""]


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", "", "0"), ("PUT", "", "0"), ("PATCH", "", "0"), ("post", "ü", "2"),
        ("GET", "", None), ("DELETE", "", None), ("DELETE", "x", "1"),
    ],
)  # fmt: skip
def test_a_request_says_how_long_its_body_is(method: str, body: str, length: str | None) -> None:
    lines = lines_of(Operation(method=method, path="/", body=body))
    assert [line for line in lines if line.startswith("Content-Length")] == (
        [] if length is None else [f"Content-Length: {length}"]
    )


def test_what_is_not_in_the_kept_part_of_a_body_is_not_called_wrong() -> None:
    operation = Operation(path="/", body_contains="needle")
    searched = request("x", operation)
    for body, error in (
        (b"x" * BODY_KEPT_MAX + b"needle", "too_long"),
        (b"needle" + b"x" * BODY_KEPT_MAX, ""),
        (b"x" * BODY_KEPT_MAX, "wrong_content"),
    ):
        response = Response(Heads())
        response.begin(has_body=searched.has_body, reads_body=searched.reads_body)
        response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 65_536):
            response.feed(body[start : start + 65_536])
        assert response.is_complete
        assert searched.error_of(response, VALUES, 0.1) == error


def test_a_body_that_nobody_reads_is_not_kept() -> None:
    ignored = request("x", Operation(path="/"))
    response = Response(Heads())
    response.begin(has_body=ignored.has_body, reads_body=ignored.reads_body)
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert (response.is_complete, response.body) == (True, b"")
    assert ignored.error_of(response, VALUES, 0.1) == ""


@pytest.mark.parametrize(
    ("status", "body", "kept"),
    [
        (200, b"x" * 9000, b""),
        (404, b"x" * 9000, b""),  # expected as well
        (500, b"no redis", b"no redis"),
        (500, b"x" * 9000, b"x" * BEGIN_MAX),
    ],
)
def test_the_beginning_of_an_unread_body_is_kept_if_its_status_was_not_expected(
    status: int, body: bytes, kept: bytes
) -> None:
    response = Response(Heads())
    for _ in range(2):  # the next answer on the connection is treated alike
        response.begin(has_body=True, reads_body=False, expected=(200, 404))
        response.feed(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
        for start in range(0, len(body), 3000):
            response.feed(body[start : start + 3000])
        assert (response.is_complete, response.body) == (True, kept)


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(
    st.fixed_dictionaries(
        {"method": st.sampled_from([*METHODS, "post", "TRACE", ""]) | TEXT},
        optional={
            "path": TEXT.map("/".__add__) | TEXT,
            "body": TEXT,
            "headers": st.dictionaries(TEXT | st.sampled_from(["Host", "host", "X-A"]), TEXT),
        },
    )
)
def test_whatever_a_file_may_say_a_strict_server_understands(values: dict[str, Any]) -> None:
    try:
        operation = Operation.model_validate({"path": "/", **values})
    except ValidationError:
        return
    sent = request("x", operation).render(VALUES)
    server = h11.Connection(h11.SERVER)
    server.receive_data(sent)
    head = server.next_event()
    assert isinstance(head, h11.Request)
    assert head.method == operation.method.encode()
    if operation.body:
        data = server.next_event()
        assert isinstance(data, h11.Data)
        assert data.data.decode() == operation.body
    assert isinstance(server.next_event(), h11.EndOfMessage)


@pytest.mark.parametrize(
    ("writes", "body", "token"),
    [
        ("$.id", b'{"id": "a-1"}', "a-1"),
        ("$.id", b'{"id": 17}', "17"),
        ("$.items[0].id", b'{"items": [{"id": "x"}]}', "x"),
        ("$", b'"x"', "x"),
        ("$.id", b'{"id": "' + b"a" * 200 + b'"}', "a" * 100),  # too long to be looked up
        ("$.id", b'{"id": "x y"}', "x y"),  # nothing that is looked up, but what it returned
        ("$.id", b'{"id": 1.5}', ""),
        ("$.id", b'{"id": true}', ""),
        ("$.id", b'{"id": null}', ""),
        ("$.id", b'{"ids": 1}', ""),
        ("$.id", b"not JSON", ""),
        ("$.id", b"[" * 100_000, ""),
        ("$.id", b"\xff\xfe", ""),
        ("returned", b"id=abc;", "abc"),
        ("returned", b"nothing", ""),
    ],
)
def test_by_what_a_write_is_read_back_is_in_its_answer(
    writes: str, body: bytes, token: str
) -> None:
    returns = "id=([a-z]+)" if writes == "returned" else ""
    operation = Operation(path="/", method="POST", writes=writes, returns=returns)
    made = request("make", operation)
    assert made.reads_body
    assert made.token_in(body) == token
    error = made.error_of(with_body(answer(200), body), VALUES, 0.1)
    assert error == ("" if token else "wrong_content")
    assert made.write_outcome(answer(200), error) == ("ok" if token else "unknown")


def test_a_token_that_was_sent_is_not_looked_for_in_the_answer() -> None:
    made = request("make", Operation(path="/{token}", method="PUT", writes="token"))
    assert (made.returns_token, made.reads_body) == (False, False)
