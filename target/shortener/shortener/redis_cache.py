"""The shared cache tier: Redis behind a breaker, filled after the answer has been sent."""

from __future__ import annotations

import asyncio
from time import time
from typing import Any

from redis.exceptions import RedisError

from shortener.breaker import Breaker, BreakerOpen
from shortener.lag import LagMeter
from shortener.link import Link
from shortener.redis_client import RedisClient
from shortener.settings import Settings

REDIS_ERRORS = (RedisError, OSError, asyncio.TimeoutError)
FILLS_MAX = 200
CHANGES, CHANGES_MAX, CHANGES_READ = "changes", 10_000, 1_000
GONE, GONE_S = "gone", 60
"""What stands in Redis for a deleted link, and how long: a replica that still has the row must not
bring it back."""
# Well above 200 requests/s x 0.25 s: a burst must not look like a failure of Redis.
CALLS_MAX = 256


def connect_redis(settings: Settings, meter: LagMeter) -> RedisClient:
    """A client with a time-out, a bound and no retries: the breaker counts real failures."""
    return RedisClient(settings.redis_url, settings.redis_timeout_s, CALLS_MAX, meter)


class RedisCache:
    """Links by code. A sick Redis costs one failed call or none, never an error."""

    def __init__(self, client: RedisClient, breaker: Breaker, settings: Settings) -> None:
        self._client, self.breaker = client, breaker
        self._ttl_s = settings.redis_ttl_s
        self._fills: set[asyncio.Task[None]] = set()

    async def get(self, code: str) -> Link | None:
        """The link, or None: not there, or Redis is not to be had. A deleted one leads to ""."""
        try:
            text = await self._call("GET", f"link:{code}")
            if text == GONE:
                return Link("")
            return None if text is None else Link.from_text(text)
        except (BreakerOpen, ValueError, *REDIS_ERRORS):
            return None

    def fill(self, code: str, link: Link) -> None:
        """Keep the link in Redis, in the background; dropped while the breaker is not closed.

        What is there stays: it may be newer than what a replica said.
        """
        if not self.breaker.is_closed or len(self._fills) >= FILLS_MAX:
            return
        lifetime_s = self._life_s(link)
        task = asyncio.create_task(
            self._quietly("SET", f"link:{code}", link.to_text(), "EX", lifetime_s, "NX")
        )
        self._fills.add(task)
        task.add_done_callback(self._fills.discard)

    async def drop(self, code: str) -> None:
        """Forget the code, as far as Redis is to be had."""
        await self._quietly("DEL", f"link:{code}")

    async def replace(self, code: str, link: Link | None) -> bool:
        """Have Redis answer with `link` (None: gone), and tell all servers; False if it cannot."""
        text, life_s = (GONE, GONE_S) if link is None else (link.to_text(), self._life_s(link))
        try:
            await self._call("SET", f"link:{code}", text, "EX", life_s)
            await self._call("XADD", CHANGES, "MAXLEN", "~", CHANGES_MAX, "*", "code", code)
        except (BreakerOpen, *REDIS_ERRORS):
            return False
        return True

    async def changes_after(self, position: str) -> list[tuple[str, str]]:
        """Position and code of each change after that, oldest first; none without Redis."""
        try:
            found = await self._call("XRANGE", CHANGES, f"({position}", "+", "COUNT", CHANGES_READ)
        except (BreakerOpen, *REDIS_ERRORS):
            return []
        return [(str(at), str(fields[1])) for at, fields in found]

    async def ping(self) -> None:
        """Ask Redis whether it is there, past the breaker; one of REDIS_ERRORS if it is not."""
        await self._client.execute("PING")

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    def _life_s(self, link: Link) -> int:
        left_s = link.left_s(time())
        return self._ttl_s if left_s is None else max(1, min(int(left_s), self._ttl_s))

    async def _quietly(self, *words: str | int) -> None:
        try:
            await self._call(*words)
        except (BreakerOpen, *REDIS_ERRORS):
            pass  # counted by the breaker

    async def _call(self, *words: str | int) -> Any:
        return await self.breaker.call(lambda: self._client.execute(*words), REDIS_ERRORS)
