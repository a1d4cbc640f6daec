"""The shared cache tier: Redis behind a breaker, filled after the answer has been sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import time
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shortener.breaker import Breaker, BreakerOpen
from shortener.lag import LagMeter, within
from shortener.link import Link
from shortener.sampled import UNTRACED, call_begins
from shortener.settings import Settings

REDIS_ERRORS = (RedisError, OSError, asyncio.TimeoutError)
FILLS_MAX = 200
CHANGES, CHANGES_MAX, CHANGES_READ = "changes", 10_000, 1_000
GONE, GONE_S = "gone", 60
"""What stands in Redis for a deleted link, and how long: a replica that still has the row must not
bring it back."""
# Enough for 200 requests/s while each call takes 0.15 s. What comes on top of that waits for a
# free one, within its limit: each connection costs Toxiproxy about 150 KiB, and one for each call
# would be opened when Redis or its network is slow, the wrong moment.
CONNECTIONS_MAX = 32


class BoundedRedis(Redis):
    """Every call has one limit as a whole: for a free connection, for connecting, for its answer.

    A call without an answer in time raises OutOfPatience, and its connection is closed.
    """

    def __init__(self, pool: BlockingConnectionPool, limit_s: float, meter: LagMeter) -> None:
        super().__init__(connection_pool=pool)
        self._limit_s, self._meter = limit_s, meter

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        """The answer to one command; nothing is ever sent twice."""
        call = super().execute_command(*words, **options)
        return await within(self._limit_s, self._meter, call)


def connect_redis(settings: Settings, meter: LagMeter) -> BoundedRedis:
    """A client with a limit, a bounded pool and no retries: the breaker counts real failures."""
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=CONNECTIONS_MAX,
        timeout=None,  # all three waits are part of the call's own limit
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        protocol=2,
        driver_info=None,  # no CLIENT SETINFO: two round trips for each new connection
    )
    return BoundedRedis(pool, settings.redis_timeout_s, meter)


class RedisCache:
    """Links by code. A sick Redis costs one failed call or none, never an error."""

    def __init__(self, client: Redis, breaker: Breaker, settings: Settings) -> None:
        self._client, self.breaker = client, breaker
        self._ttl_s = settings.redis_ttl_s
        self._fills: set[asyncio.Task[None]] = set()

    async def get(self, code: str) -> Link | None:
        """The link, or None: not there, or Redis is not to be had. A deleted one leads to ""."""
        try:
            text = await self._call("get", lambda: self._client.get(f"link:{code}"))
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
            self._quietly(
                "fill",
                lambda: self._client.set(f"link:{code}", link.to_text(), ex=lifetime_s, nx=True),
            )
        )
        self._fills.add(task)
        task.add_done_callback(self._fills.discard)

    async def drop(self, code: str) -> None:
        """Forget the code, as far as Redis is to be had."""
        await self._quietly("delete", lambda: self._client.delete(f"link:{code}"))

    async def replace(self, code: str, link: Link | None) -> bool:
        """Have Redis answer with `link` (None: gone), and tell all servers; False if it cannot."""
        text, life_s = (GONE, GONE_S) if link is None else (link.to_text(), self._life_s(link))
        try:
            await self._call("set", lambda: self._client.set(f"link:{code}", text, ex=life_s))
            await self._call(
                "tell",
                lambda: self._client.xadd(
                    CHANGES, {"code": code}, maxlen=CHANGES_MAX, approximate=True
                ),
            )
        except (BreakerOpen, *REDIS_ERRORS):
            return False
        return True

    async def changes_after(self, position: str) -> list[tuple[str, str]]:
        """Position and code of each change after that, oldest first; none without Redis."""
        try:
            found = await self._call(
                "changes",
                lambda: self._client.xrange(CHANGES, f"({position}", count=CHANGES_READ),
            )
        except (BreakerOpen, *REDIS_ERRORS):
            return []
        return [(str(at), str(fields["code"])) for at, fields in found]

    async def ping(self) -> None:
        """Ask Redis whether it is there, past the breaker; one of REDIS_ERRORS if it is not."""
        await self._client.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.connection_pool.disconnect()

    def _life_s(self, link: Link) -> int:
        left_s = link.left_s(time())
        return self._ttl_s if left_s is None else max(1, min(int(left_s), self._ttl_s))

    async def _quietly(self, name: str, command: Callable[[], Awaitable[Any]]) -> None:
        try:
            await self._call(name, command)
        except (BreakerOpen, *REDIS_ERRORS):
            pass  # counted by the breaker

    async def _call(self, name: str, command: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to a command; `name` is what its span is called, if it has one."""
        with call_begins(f"redis {name}", route="redis") or UNTRACED:
            return await self.breaker.call(command, REDIS_ERRORS)
