"""The click buffer's bound: nothing waits, and what is lost is counted."""

from __future__ import annotations

import asyncio
import json

from redis.exceptions import ConnectionError as RedisConnectionError
from shortener.breaker import Breaker, TransitionLog
from shortener.clicks import BATCH_CODES_MAX, CODES_MAX, STREAM, Clicks
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
    asyncio.run(clicks.close())
    assert clicks.dropped == 5
    handed_over = [json.loads(batch["counts"]) for batch in stream.batches]
    assert sum(sum(counts.values()) for counts in handed_over) == CODES_MAX + 1
    assert clicks.waiting == 0


def test_a_long_queue_is_handed_over_in_parts_the_oldest_first():
    clicks, stream, _ = make()
    for number in range(BATCH_CODES_MAX + 5):
        clicks.add(str(number))
    asyncio.run(clicks.flush())
    assert list(json.loads(stream.batches[0]["counts"])) == [str(n) for n in range(BATCH_CODES_MAX)]
    assert clicks.waiting == 5


def test_closing_ends_though_redis_is_gone():
    clicks, stream, _ = make()
    stream.is_down = True
    for number in range(3 * BATCH_CODES_MAX):
        clicks.add(str(number))
    asyncio.run(clicks.close())  # the breaker opens at the first failure
    assert (clicks.dropped, clicks.waiting) == (BATCH_CODES_MAX, 2 * BATCH_CODES_MAX)


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


def test_what_is_on_its_way_to_the_stream_still_waits():
    clicks, stream, _ = make()
    seen = []
    add = stream.xadd

    async def look_and_add(*args, **more):
        clicks.add("b")  # comes in meanwhile
        seen.append(clicks.waiting)
        await add(*args, **more)

    stream.xadd = look_and_add
    clicks.add("a")
    clicks.add("a")
    assert clicks.waiting == 2
    asyncio.run(clicks.flush())
    assert (seen, clicks.waiting) == ([3], 1)


def test_what_was_dropped_waits_no_more():
    clicks, stream, _ = make()
    stream.is_down = True
    clicks.add("a")
    asyncio.run(clicks.flush())
    assert (clicks.waiting, clicks.dropped) == (0, 1)


def test_the_worker_reads_what_the_buffer_wrote():
    clicks, stream, _ = make()
    clicks.add("a")
    asyncio.run(clicks.flush())
    assert read_counts(stream.batches[0]) == {"a": 1}


def test_the_worker_skips_what_is_no_batch():
    for batch in (None, {}, {"counts": "["}, {"counts": "[1]"}, {"counts": '{"a": null}'}):
        assert read_counts(batch) == {}
