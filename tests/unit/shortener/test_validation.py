"""What a create accepts, and that everything else is one clear message."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shortener.validation import CODE, Invalid, new_code, parse_new_url

URL = "https://example.com/new/t1"


def body(**value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_whole_request():
    new = parse_new_url(body(url=URL, alias="my-alias", ttl_s=60), "t1")
    assert (new.url, new.alias, new.ttl_s, new.idempotency_key) == (URL, "my-alias", 60.0, "t1")


def test_only_the_url_is_needed():
    new = parse_new_url(body(url=URL), None)
    assert (new.alias, new.ttl_s, new.idempotency_key) == (None, None, None)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be an object"),
        (body(), "url must be"),
        (body(url=URL, extra=1), "must be an object with"),
        (body(url=1), "url must be"),
        (body(url="ftp://example.com"), "http://"),
        (body(url="javascript:alert(1)"), "http://"),
        (body(url="https://"), "name a host"),
        (body(url="https://[::1"), "not a URL"),
        (body(url="https://example.com:99999/"), "not a URL"),
        (body(url="https://example.com/a b"), "url must be"),
        (body(url="https://example.com/\r\nSet-Cookie: x"), "url must be"),
        (body(url="https://example.com/\x00"), "http://"),
        (body(url="https://example.com/\ud800"), "http://"),
        (body(url="https://example.com/" + "x" * 2048), "at most 2048"),
        (body(url=URL, alias="ab"), "alias must"),
        (body(url=URL, alias="x" * 65), "alias must"),
        (body(url=URL, alias="a/b"), "alias must"),
        (body(url=URL, alias="abc\n"), "alias must"),
        (body(url=URL, alias=7), "alias must"),
        (body(url=URL, ttl_s=0), "ttl_s must"),
        (body(url=URL, ttl_s=-1), "ttl_s must"),
        (body(url=URL, ttl_s=True), "ttl_s must"),
        (body(url=URL, ttl_s="60"), "ttl_s must"),
        (b'{"url": "https://example.com", "ttl_s": NaN}', "ttl_s must"),
        (b'{"url": "https://example.com", "ttl_s": Infinity}', "ttl_s must"),
    ],
)
def test_what_is_wrong_is_said(raw, message):
    with pytest.raises(Invalid, match=message):
        parse_new_url(raw, None)


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_an_idempotency_key_has_bounds(key):
    with pytest.raises(Invalid, match="Idempotency-Key"):
        parse_new_url(body(url=URL), key)


@given(st.binary(max_size=200))
def test_no_body_causes_any_other_error(raw):
    with suppress(Invalid):
        parse_new_url(raw, None)


def test_codes_are_valid_and_never_as_long_as_seeded_ones():
    codes = {new_code() for _ in range(2000)}
    assert len(codes) == 2000
    assert all(CODE.fullmatch(code) and len(code) == 8 for code in codes)
