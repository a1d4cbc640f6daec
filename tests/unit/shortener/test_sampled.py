"""Which requests are traced: a look at a header, and nothing of OpenTelemetry for the others."""

from __future__ import annotations

import asyncio

import pytest
from shortener.breaker import BreakerOpen
from shortener.database import Unavailable
from shortener.lag import OutOfPatience
from shortener.sampled import CURRENT, call_begins, is_sampled, outcome_of, traceparent

IDS = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"00-" + IDS + b"-01", True),
        (b"00-" + IDS + b"-03", True),
        (b"00-" + IDS + b"-00", False),
        (b"00-" + IDS + b"-02", False),
        (b"00-" + IDS.upper() + b"-01", False),
        (b"01-" + IDS + b"-01", False),
        (b"00-" + IDS + b"-01-x", False),
        (b"00_" + IDS + b"-01", False),
        (b"00-" + b"0" * 32 + IDS[32:] + b"-01", False),
        (b"00-" + IDS[:33] + b"0" * 16 + b"-01", False),
        (b"00-" + IDS[:-1] + b"g-01", False),
        (b"00-" + IDS + b"-g1", False),
        (b"", False),
        (b"\xff" * 55, False),
    ],
)
def test_the_flag_of_a_traceparent(value, expected):
    assert is_sampled(value) is expected


def test_the_header_is_found_among_others():
    header = (b"traceparent", b"x")
    assert traceparent([(b"host", b"a"), header, (b"traceparent", b"second")]) is header
    assert traceparent([(b"host", b"a")]) is None


def test_a_call_of_a_request_that_is_not_traced_is_noted_nowhere():
    assert CURRENT.get() is None
    assert call_begins("redis get", route="redis") is None


def caused(cause):
    error = Unavailable(attempted=False, reason="x")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (BreakerOpen("redis"), "breaker open"),
        (caused(BreakerOpen("db-rw")), "breaker open"),
        (OutOfPatience(), "timeout"),
        (caused(TimeoutError()), "timeout"),
        (caused(ConnectionRefusedError()), "ConnectionRefusedError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
def test_what_went_wrong_in_a_word_or_two(error, outcome):
    assert outcome_of(error) == outcome
