"""The click buffer's bound: nothing waits, and what is lost is counted."""

from __future__ import annotations

import asyncio
import json

from redis.exceptions import ConnectionError as RedisConnectionError
from shortener.breaker import Breaker, TransitionLog
from shortener.clicks import CODES_MAX, STREAM, Clicks
from shortener.settings import BreakerSettings
from shortener.worker import read_counts


class Stream:
    """Keeps what is added, unless it is down."""

    def __init__(self) -> None:
        self.batches: list[dict[str, str]] = []
        self.is_down = False

    async def xadd(self, name, batch, maxlen, approximate):
        assert name == STREAM
        if self.is_down:
            raise RedisConnectionError
        self.batches.append(batch)


def make():
    stream = Stream()
    breaker = Breaker("redis", BreakerSettings(True, 1, 60.0), TransitionLog())
    return Clicks(stream, breaker), stream, breaker


def test_clicks_of_a_code_add_up_to_one_batch_with_an_id_of_its_own():
    clicks, stream, _ = make()
    for code in ("a", "b", "a"):
        clicks.add(code)
    asyncio.run(clicks.flush())
    clicks.add("a")
    asyncio.run(clicks.flush())
    assert [json.loads(batch["counts"]) for batch in stream.batches] == [{"a": 2, "b": 1}, {"a": 1}]
    assert len({batch["id"] for batch in stream.batches}) == 2


def test_nothing_is_sent_when_there_is_nothing():
    clicks, stream, _ = make()
    asyncio.run(clicks.flush())
    assert stream.batches == []


def test_a_full_buffer_drops_new_codes_and_counts_them():
    clicks, stream, _ = make()
    for number in range(CODES_MAX + 5):
        clicks.add(str(number))
    clicks.add("0")  # a code that is there already still fits
    asyncio.run(clicks.flush())
    assert clicks.dropped == 5
    assert sum(json.loads(stream.batches[0]["counts"]).values()) == CODES_MAX + 1


def test_a_batch_of_unknown_outcome_is_dropped_rather_than_counted_twice():
    clicks, stream, _ = make()
    stream.is_down = True
    clicks.add("a")
    asyncio.run(clicks.flush())
    stream.is_down = False
    assert (clicks.dropped, stream.batches) == (1, [])


def test_clicks_wait_in_the_buffer_while_the_breaker_is_open():
    clicks, stream, breaker = make()
    breaker.failed(breaker.permit(), "ConnectionError")
    clicks.add("a")
    asyncio.run(clicks.flush())
    assert (clicks.dropped, stream.batches, breaker.fast_fails) == (0, [], 0)


def test_the_worker_reads_what_the_buffer_wrote():
    clicks, stream, _ = make()
    clicks.add("a")
    asyncio.run(clicks.flush())
    assert read_counts(stream.batches[0]) == {"a": 1}


def test_the_worker_skips_what_is_no_batch():
    for batch in (None, {}, {"counts": "["}, {"counts": "[1]"}, {"counts": '{"a": null}'}):
        assert read_counts(batch) == {}
