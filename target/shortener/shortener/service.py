"""Create, look up, delete: the tiers in their order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic, time

from shortener.breaker import Breaker, TransitionLog
from shortener.changes import HEARD_S, POLL_S, Changes
from shortener.clicks import FLUSH_S, Clicks
from shortener.database import AliasTaken, Database, Pool, Unavailable, Url
from shortener.lag import TICK_S, LagMeter
from shortener.link import Link
from shortener.local_cache import LocalCache
from shortener.redis_cache import REDIS_ERRORS, RedisCache, connect_redis
from shortener.settings import Settings
from shortener.supervisor import Supervisor
from shortener.validation import NewUrl, new_code

CODE_TRIES = 3
TURNS_LATE_S = 5.0  # a background task that stands still for longer hangs


class Expired(Exception):
    """The code led somewhere, and no longer does."""


@dataclass(frozen=True, slots=True)
class Found:
    """A link, the tier that had it (local, redis or db), and the database node if it was db.

    `left_s` is how long it still leads there, None for always; `age_s` as of a Url.
    """

    long_url: str
    tier: str
    left_s: float | None = None
    node: str = ""
    age_s: float | None = None


class Service:
    """One app server's parts, wired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.log = TransitionLog()
        self.lag = LagMeter()
        self.supervisor = Supervisor()
        self.redis_breaker = Breaker("redis", settings.redis_breaker, self.log, meter=self.lag)
        rw, ro = (
            Breaker(name, settings.db_breaker, self.log, meter=self.lag)
            for name in ("db-rw", "db-ro")
        )
        self.breakers = (self.redis_breaker, rw, ro)
        client = connect_redis(settings, self.lag)
        self.local: LocalCache[Link] = LocalCache(
            settings.local_cache_size, settings.local_cache_ttl_s
        )
        self.redis = RedisCache(client, self.redis_breaker, settings)
        self.changes = Changes(self.redis, self.local.drop)
        self.clicks = Clicks(client, self.redis_breaker)
        self.database = Database(
            Pool(settings.rw_dsn, rw, settings, settings.db_timeout_s),
            Pool(settings.ro_dsn, ro, settings, settings.db_timeout_s, settings.db_ro_lifetime_s),
            settings,
        )

    def start(self) -> None:
        """Start the background tasks; needs the event loop."""
        self.supervisor.start("lag meter", self.lag.run, TICK_S + TURNS_LATE_S)
        self.supervisor.start("clicks", self.clicks.run, FLUSH_S + TURNS_LATE_S)
        self.supervisor.start("changes", self.changes.run, POLL_S + TURNS_LATE_S)

    def find_local(self, code: str) -> Found | None:
        """Where the code leads if this server remembers it."""
        link = self.local.get(code)
        if link is not None:
            return Found(link.long_url, "local", link.left_s(time()))
        return None

    async def find(self, code: str) -> Found | None:
        """Where the code leads, from the nearest tier that knows; None if it is unknown.

        Raises Expired, and Unavailable within the read deadline if no tier can tell.
        """
        deadline_s = monotonic() + self._settings.read_deadline_s
        link = self.local.get(code)
        if link is not None:
            return Found(link.long_url, "local", link.left_s(time()))
        link = await self.redis.get(code)
        if link is not None and not link.long_url:
            return None
        left_s = None if link is None else link.left_s(time())
        if link is not None and (left_s is None or left_s > 0):
            self.local.put(code, link, left_s)
            return Found(link.long_url, "redis", left_s)
        return await self._find_in_database(code, deadline_s)

    async def show(self, code: str) -> Url | None:
        """The row as the database has it, expired or not."""
        deadline_s = monotonic() + self._settings.read_deadline_s
        return await self.database.find(code, deadline_s, self._settings.db_read_timeout_s)

    async def add(self, new: NewUrl) -> tuple[Url, bool]:
        """The stored row, and whether it is new.

        Caches are filled by reads only: a write is acknowledged by the database alone, and a
        read of it shows what the database kept, not what this process remembers.
        """
        for tries_left in reversed(range(CODE_TRIES)):
            code = new.alias or new_code()
            try:
                added = await self.database.add(code, new.url, new.idempotency_key, new.ttl_s)
                if new.alias:
                    await self.redis.drop(code)  # a link of that name may have been deleted
                return added  # noqa: TRY300
            except AliasTaken:
                if new.alias or not tries_left:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def remove(self, code: str) -> bool:
        """Delete the row, and have every cache forget it."""
        was_there = await self.database.remove(code)
        await self._tell(code, None)
        return was_there

    async def change(self, code: str, url: str) -> Url | None:
        """Have the code lead to `url`, and every cache forget where it led; None if unknown."""
        row = await self.database.change(code, url)
        if row is not None:
            await self._tell(code, _link(row))
        return row

    async def _tell(self, code: str, link: Link | None) -> None:
        """Returns when every server had the time to hear of it.

        Unavailable if Redis cannot be told: what other caches hold would outlive the change, so it
        is not acknowledged, and may be asked for again.
        """
        self.local.drop(code)
        if not await self.redis.replace(code, link):
            raise Unavailable(attempted=True, reason="the caches cannot be told")
        await asyncio.sleep(HEARD_S)

    async def readiness(self) -> dict[str, bool]:
        """Asks every dependency once, whether it answers, and every background task."""
        parts: dict[str, bool] = {"tasks": not self.supervisor.sick()}
        for pool in (self.database.primary, self.database.replicas):
            try:
                await pool.run(lambda connection: connection.execute("SELECT 1"), 1.0)
                parts[pool.breaker.name] = True
            except Unavailable:
                parts[pool.breaker.name] = False
        try:
            await self.redis.ping()
            parts["redis"] = True
        except REDIS_ERRORS:
            parts["redis"] = False
        return parts

    async def close(self) -> None:
        """Hand over the clicks, as far as Redis is to be had, and close all connections."""
        await self.supervisor.stop()
        await self.clicks.close()
        await self.redis.close()
        await self.database.primary.close()
        await self.database.replicas.close()

    async def _find_in_database(self, code: str, deadline_s: float) -> Found | None:
        row = await self.database.find(code, deadline_s, self._settings.db_read_timeout_s)
        if row is None:
            return None
        link = _link(row)
        left_s = link.left_s(time())
        if left_s is not None and left_s <= 0:
            raise Expired(code)
        self.local.put(code, link, left_s)
        self.redis.fill(code, link)
        return Found(link.long_url, "db", left_s, row.node, row.age_s)


def _link(row: Url) -> Link:
    return Link(row.long_url, row.expires_at.timestamp() if row.expires_at else None)
