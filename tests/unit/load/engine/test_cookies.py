"""A chain keeps cookies as a browser does; a target writes nothing else into its requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.engine.cookies import COOKIES_MAX, Jar, cookie_of


def header(*lines: bytes, path: bytes = b"/", to: bytes = b"/") -> bytes:
    jar = Jar()
    for line in lines:
        jar.take([line], path)
    return jar.header(to)


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        ([b"a=1"], b"a=1"),
        ([b"a=1; Path=/; HttpOnly; Secure; SameSite=Lax"], b"a=1"),
        ([b" a = 1 ;Path=/"], b"a=1"),
        ([b"a=1", b"b=x=y"], b"a=1; b=x=y"),
        ([b"a=1", b"a=2"], b"a=2"),
        ([b'a="q"'], b'a="q"'),
        ([b"a="], b"a="),
        ([b"a=1; Max-Age=60"], b"a=1"),
        ([b"a=1; Expires=Wed, 09 Jun 2199 10:18:14 GMT"], b"a=1"),
        ([b"a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], b"a=1"),
        ([b"a=1; Expires=never"], b"a=1"),
        ([b"a=1; Path=relative"], b"a=1"),
    ],
)
def test_a_cookie_that_is_set_is_sent(lines: list[bytes], sent: bytes) -> None:
    assert header(*lines) == b"Cookie: " + sent + b"\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"no pair"],
        [b"=1"],
        [b"a b=1"],
        [b"a=1\rX: y"],
        [b"a=1\nX: y"],
        [b"a=" + b"x" * 5000],
        [b"a=1", b"a=2; Max-Age=0"],
        [b"a=1", b"a=; Max-Age=-1"],
        [b"a=1", b"a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
        [b"a=1; Path=/shop"],
    ],
)
def test_what_is_no_cookie_or_taken_back_is_not_sent(lines: list[bytes]) -> None:
    assert header(*lines) == b""


@pytest.mark.parametrize(
    ("at", "to", "is_sent"),
    [
        (b"/shop", b"/shop", True),
        (b"/shop", b"/shop/cart?x=1", True),
        (b"/shop/", b"/shop/cart", True),
        (b"/shop", b"/shop?x=1", True),
        (b"/shop", b"/shopping", False),
        (b"/shop", b"/", False),
    ],
)
def test_a_cookie_is_sent_below_its_path(at: bytes, to: bytes, is_sent: bool) -> None:
    assert bool(header(b"a=1; Path=" + at, to=to)) is is_sent


def test_without_a_path_it_is_that_of_the_request_and_longer_ones_come_first() -> None:
    assert header(b"a=1", path=b"/shop/login?next=/x", to=b"/shop/cart")
    assert not header(b"a=1", path=b"/shop/login", to=b"/other")
    both = header(b"a=short; Path=/", b"a=long; Path=/shop", to=b"/shop")
    assert both == b"Cookie: a=long; a=short\r\n"


def test_a_jar_has_a_bound_and_still_takes_what_replaces_a_cookie() -> None:
    many = [b"c%d=1" % number for number in range(COOKIES_MAX + 20)]
    assert header(*many).count(b"=1") == COOKIES_MAX
    assert b"c0=2" in header(*many[:COOKIES_MAX], b"c0=2")


def test_one_cookie_can_be_looked_up() -> None:
    lines = [b"csrf=abc; Path=/", b"session=x"]
    assert cookie_of(lines, b"csrf") == b"abc"
    assert cookie_of(lines, b"session") == b"x"
    assert cookie_of(lines, b"gone") == b""


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_answer_can_write_a_line_into_a_request(lines: list[bytes]) -> None:
    sent = header(*lines)
    assert sent == b"" or (sent.endswith(b"\r\n") and sent.isascii())
    assert not set(sent.removesuffix(b"\r\n")) & set(b"\r\n\x00")
