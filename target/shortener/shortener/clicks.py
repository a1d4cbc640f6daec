"""Clicks leave the request path at once: a bounded buffer, flushed to a Redis stream in batches."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

from redis.asyncio import Redis

from shortener.breaker import Breaker, BreakerOpen
from shortener.redis_cache import REDIS_ERRORS

STREAM, GROUP = "clicks", "worker"
CODES_MAX, STREAM_MAX, FLUSH_S = 10_000, 20_000, 1.0
BATCH_CODES_MAX = 1_000
"""What waited through an outage of Redis is handed over in parts, a second apart: all of it at once
(3 x 10,000 rows) kept the database so busy that users waited for 1.5 s and a breaker re-opened."""


class Clicks:
    """Counts by code; what does not fit, or is lost with Redis, is counted as dropped."""

    def __init__(self, client: Redis, breaker: Breaker) -> None:
        self._client, self._breaker = client, breaker
        self._counts: Counter[str] = Counter()
        self._on_its_way = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Clicks in memory: neither handed over nor dropped yet."""
        return self._counts.total() + self._on_its_way

    def add(self, code: str) -> None:
        """Count one click."""
        if code in self._counts or len(self._counts) < CODES_MAX:
            self._counts[code] += 1
        else:
            self.dropped += 1

    async def run(self, turned: Callable[[], None]) -> None:
        """Flush until cancelled; `turned` hears of every turn."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()
            turned()

    async def close(self) -> None:
        """Hand over all that waits, as far as Redis is to be had."""
        while self._counts and self._breaker.is_closed:
            await self.flush()

    async def flush(self) -> None:
        """Hand over one batch, the oldest codes first, unless the breaker holds Redis for sick."""
        if not self._counts or not self._breaker.is_closed:
            return
        counts = Counter(dict(islice(self._counts.items(), BATCH_CODES_MAX)))
        for code in counts:
            del self._counts[code]
        batch: dict[Any, Any] = {"id": uuid.uuid4().hex, "counts": json.dumps(counts)}
        self._on_its_way = counts.total()
        try:
            await self._breaker.call(
                lambda: self._client.xadd(STREAM, batch, maxlen=STREAM_MAX, approximate=True),
                REDIS_ERRORS,
            )
        except BreakerOpen:
            self._counts.update(counts)  # not sent; at most as many codes as just before
        except (*REDIS_ERRORS, asyncio.CancelledError) as error:
            # Whether the batch arrived is unknown: to count twice would be worse than to drop.
            self.dropped += counts.total()
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._on_its_way = 0
