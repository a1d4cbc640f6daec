"""The response parser: whole in any cutting, bounded, and never more than BadResponse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.engine.response import (
    BODY_KEPT_MAX,
    HEAD_MAX,
    HEADS_MAX,
    BadResponse,
    Heads,
    Response,
)

CASES = {
    b"HTTP/1.1 302 Found\r\nLocation: https://x/y\r\nContent-Length: 5\r\n\r\nhello": b"hello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n"
    b"Trailer: 1\r\n\r\n": b"abc0123456789",
    b"HTTP/1.1 204 No Content\r\n\r\n": b"",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n": b"",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok": b"ok",
}


def expecting(*, has_body: bool = True) -> Response:
    response = Response(Heads())
    response.begin(has_body=has_body)
    return response


@pytest.mark.parametrize("raw", CASES)
@pytest.mark.parametrize("step", [1, 2, 7, 10_000])
def test_a_response_is_whole_however_it_is_cut(raw: bytes, step: int) -> None:
    response = expecting()
    for start in range(0, len(raw), step):
        assert not response.is_complete
        response.feed(raw[start : start + step])
    assert response.is_complete
    assert response.body == CASES[raw]
    assert response.keeps_connection
    assert response.size == len(raw)


def test_headers_are_found_without_regard_to_case() -> None:
    response = expecting()
    response.feed(b"HTTP/1.1 302 Found\r\nLOCATION:  https://x/y \r\ncontent-length: 0\r\n\r\n")
    assert response.head is not None
    assert response.head.header(b"location") == b"https://x/y"
    assert response.head.header(b"x-cache") == b""


def test_without_a_length_the_body_ends_with_the_connection() -> None:
    response = expecting()
    response.feed(b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert not response.is_complete
    response.close()
    assert response.is_complete
    assert not response.keeps_connection


def test_a_body_cut_short_by_the_end_of_the_connection_is_not_complete() -> None:
    response = expecting()
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    response.close()
    assert not response.is_complete


def test_an_answer_to_head_has_no_body() -> None:
    response = expecting(has_body=False)
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    assert response.is_complete


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore than was said",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
    ],
)
def test_a_connection_that_cannot_be_trusted_again_is_not_kept(head: bytes) -> None:
    response = expecting()
    response.feed(head)
    assert response.is_complete
    assert not response.keeps_connection


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage",
        b"\x00\xff\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000,
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * (HEAD_MAX + 1),
    ],
)
def test_what_is_not_a_response_is_a_bad_one(raw: bytes) -> None:
    with pytest.raises(BadResponse):
        expecting().feed(raw)


def test_one_response_follows_another_on_the_same_connection() -> None:
    response = expecting()
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
    response.begin(has_body=True)
    assert not response.is_complete
    response.feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert response.is_complete
    assert response.body == b""
    assert response.head is not None
    assert response.head.status == 404


def test_equal_heads_are_parsed_once_and_never_too_many_are_kept() -> None:
    heads = Heads()
    first = heads.of(b"HTTP/1.1 200 OK\r\nX: 0")
    assert heads.of(b"HTTP/1.1 200 OK\r\nX: 0") is first
    for number in range(HEADS_MAX + 1):
        heads.of(b"HTTP/1.1 200 OK\r\nX: %d" % number)
    assert heads.of(b"HTTP/1.1 200 OK\r\nX: 0") is not first


def test_a_huge_body_is_counted_but_not_kept() -> None:
    response = expecting()
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    for _ in range(100):
        response.feed(b"x" * 100_000)
    assert response.is_complete
    assert len(response.body) == BODY_KEPT_MAX
    assert response.size > 10_000_000


@given(
    st.lists(st.binary(max_size=60), max_size=6), st.sampled_from([*CASES, b"", b"HTTP/1.1 200"])
)
def test_no_bytes_can_do_more_than_be_a_bad_response(parts: list[bytes], start: bytes) -> None:
    response = expecting()
    try:
        response.feed(start[:-3])
        for part in parts:
            response.feed(part)
    except BadResponse:
        pass
    response.close()
    assert len(response.body) <= BODY_KEPT_MAX
