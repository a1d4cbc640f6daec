"""The shared cache tier: Redis behind a breaker, filled after the answer has been sent."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shortener.breaker import Breaker, BreakerOpen
from shortener.settings import Settings

REDIS_ERRORS = (RedisError, OSError, asyncio.TimeoutError)
FILLS_MAX = 200


def connect_redis(settings: Settings) -> Redis:
    """A client with time-outs, a bounded pool and no retries: the breaker counts real failures."""
    pool = ConnectionPool.from_url(
        settings.redis_url,
        max_connections=32,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
    return Redis(connection_pool=pool)


class RedisCache:
    """Long URLs by code. A sick Redis costs one failed call or none, never an error."""

    def __init__(self, client: Redis, breaker: Breaker, settings: Settings) -> None:
        self._client, self.breaker = client, breaker
        self._ttl_s, self._timeout_s = settings.redis_ttl_s, settings.redis_timeout_s
        self._fills: set[asyncio.Task[None]] = set()

    async def get(self, code: str) -> str | None:
        """The long URL, or None: not there, or Redis is not to be had."""
        try:
            return await self.breaker.call(lambda: self._bounded(self._client.get(f"url:{code}")))
        except (BreakerOpen, *REDIS_ERRORS):
            return None

    def fill(self, code: str, url: str, ttl_s: float | None) -> None:
        """Keep the URL in Redis, in the background; dropped while the breaker is not closed."""
        if not self.breaker.is_closed or len(self._fills) >= FILLS_MAX:
            return
        lifetime_s = self._ttl_s if ttl_s is None else max(1, min(int(ttl_s), self._ttl_s))
        self._spawn(self._quietly(self._client.set(f"url:{code}", url, ex=lifetime_s)))

    async def drop(self, code: str) -> None:
        """Forget the code, as far as Redis is to be had."""
        await self._quietly(self._client.delete(f"url:{code}"))

    async def ping(self) -> None:
        """Ask Redis whether it is there, past the breaker; one of REDIS_ERRORS if it is not."""
        await self._bounded(self._client.ping())

    async def _quietly(self, command: Any) -> None:
        try:
            await self.breaker.call(lambda: self._bounded(command))
        except BreakerOpen:
            command.close()
        except REDIS_ERRORS:
            pass  # counted by the breaker

    async def _bounded(self, command: Any) -> Any:
        async with asyncio.timeout(self._timeout_s):
            return await command

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._fills.add(task)
        task.add_done_callback(self._fills.discard)
