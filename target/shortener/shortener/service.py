"""Create, look up, delete: the tiers in their order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from shortener.breaker import Breaker, TransitionLog
from shortener.clicks import Clicks
from shortener.database import AliasTaken, Database, Pool, Url
from shortener.local_cache import LocalCache
from shortener.redis_cache import RedisCache, connect_redis
from shortener.settings import BreakerSettings, Settings
from shortener.validation import NewUrl, new_code

CODE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A long URL, the tier that had it (local, redis or db), and the database node if it was db."""

    long_url: str
    tier: str
    node: str = ""


class Service:
    """One app server's parts, wired."""

    def __init__(self, settings: Settings) -> None:
        self.log = TransitionLog()
        self.redis_breaker = self._breaker("redis", settings.redis_breaker)
        rw, ro = (self._breaker(name, settings.db_breaker) for name in ("db-rw", "db-ro"))
        self.breakers = (self.redis_breaker, rw, ro)
        client = connect_redis(settings)
        self.local = LocalCache(settings.local_cache_size, settings.local_cache_ttl_s)
        self.redis = RedisCache(client, self.redis_breaker, settings)
        self.clicks = Clicks(client, self.redis_breaker)
        self.database = Database(
            Pool(settings.rw_dsn, rw, settings, settings.write_timeout_s),
            Pool(settings.ro_dsn, ro, settings, settings.read_timeout_s),
            settings.nodes,
        )

    async def find(self, code: str) -> Found | None:
        """Where the code leads, from the nearest tier that knows; None if it is unknown or expired."""
        if (url := self.local.get(code)) is not None:
            return Found(url, "local")
        if (url := await self.redis.get(code)) is not None:
            self.local.put(code, url)
            return Found(url, "redis")
        row = await self.database.find(code)
        if row is None:
            return None
        left_s = _seconds_left(row)
        if left_s is not None and left_s <= 0:
            return None
        self.local.put(code, row.long_url, left_s)
        self.redis.fill(code, row.long_url, left_s)
        return Found(row.long_url, "db", row.node)

    async def add(self, new: NewUrl) -> tuple[Url, bool]:
        """The stored row, and whether it is new. Caches are filled by reads only: a write is
        acknowledged by the database alone."""
        for _ in range(CODE_TRIES):
            code = new.alias or new_code()
            try:
                return await self.database.add(code, new.url, new.idempotency_key, new.ttl_s)
            except AliasTaken:
                if new.alias:
                    raise
        raise AliasTaken(code)

    async def remove(self, code: str) -> bool:
        """Delete the row and what this server and Redis hold of it; other servers' own caches
        forget it within their time to live."""
        was_there = await self.database.remove(code)
        self.local.drop(code)
        await self.redis.drop(code)
        return was_there

    def _breaker(self, name: str, settings: BreakerSettings) -> Breaker:
        return Breaker(
            name, settings.failures, settings.cooldown_s, self.log, enabled=settings.enabled
        )


def _seconds_left(row: Url) -> float | None:
    if row.expires_at is None:
        return None
    return (row.expires_at - datetime.now(UTC)).total_seconds()
