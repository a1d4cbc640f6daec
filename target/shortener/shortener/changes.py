"""Codes that were changed or deleted, so that every server's own cache forgets them.

    the server that changes it --XADD--> stream in Redis --XRANGE, each 0.25 s--> every server

A server that could not ask for a while reads all that it missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shortener.redis_cache import RedisCache

POLL_S = 0.25
HEARD_S = 3 * POLL_S
"""A change is acknowledged so long after it was told: every server has asked by then, so that no
cache in front of them can be filled with what was there before."""


class Changes:
    """What the other servers changed."""

    def __init__(self, redis: RedisCache, forget: Callable[[str], None]) -> None:
        self._redis, self._forget = redis, forget
        self._position = "0-0"

    async def run(self, turned: Callable[[], None]) -> None:
        """Ask until cancelled; `turned` hears of every turn."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.poll()
            turned()

    async def poll(self) -> None:
        """Forget what was changed since the last time; the first time, all that is told."""
        while found := await self._redis.changes_after(self._position):
            for position, code in found:
                self._forget(code)
                self._position = position
