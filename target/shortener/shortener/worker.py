"""Moves click batches from the Redis stream to the database, each exactly once."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from functools import partial
from time import monotonic
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from redis.exceptions import ResponseError

from shortener.breaker import Breaker, TransitionLog
from shortener.clicks import GROUP, STREAM
from shortener.database import Pool, Unavailable
from shortener.redis_cache import REDIS_ERRORS, connect_redis
from shortener.settings import read_settings

RETRY_S, READ_COUNT, BLOCK_MS = 1.0, 50, 100
TIDY_EVERY_S = 3600.0
ERRORS = (Unavailable, asyncpg.PostgresError, *REDIS_ERRORS)
Batch = dict[str, str]


class Worker:
    """Reads, stores, acknowledges; what is not acknowledged is read again."""

    def __init__(self, name: str, client: Any, database: Pool) -> None:
        self._name, self._client, self._database = name, client, database
        self._tidied_s = -TIDY_EVERY_S

    async def run(self) -> None:
        """Work until cancelled; an outage is waited out."""
        while True:
            try:
                await ensure_group(self._client)
                # First what this worker had read and not acknowledged ("0"), then the new.
                while await self.move("0"):
                    pass
                while True:
                    if not await self.move(">"):
                        await self._tidy()
                        await asyncio.sleep(RETRY_S)
            except ERRORS as error:
                logging.warning("clicks wait: %s: %s", type(error).__name__, error)
                await asyncio.sleep(RETRY_S)

    async def move(self, position: str) -> int:
        """How many batches were moved from `position` of the stream to the database."""
        found = await self._client.xreadgroup(
            GROUP, self._name, {STREAM: position}, READ_COUNT, BLOCK_MS
        )
        batches = found[0][1] if found else []
        for entry_id, batch in batches:
            counts = read_counts(batch)
            if counts:
                work = partial(store, batch_id=batch.get("id", entry_id), counts=counts)
                await self._database.run(work)
            await self._client.xack(STREAM, GROUP, entry_id)
        return len(batches)

    async def _tidy(self) -> None:
        """Forget the ids of batches that are too old to be delivered again."""
        if monotonic() - self._tidied_s < TIDY_EVERY_S:
            return
        self._tidied_s = monotonic()
        await self._database.run(
            lambda connection: connection.execute(
                "DELETE FROM click_batches WHERE stored_at < now() - interval '1 day'"
            )
        )


def read_counts(batch: Batch | None) -> dict[str, int]:
    """The clicks by code in a batch; empty for one that the stream trimmed or that is no batch."""
    try:
        counts = json.loads((batch or {}).get("counts", "{}"))
        return {str(code): int(clicks) for code, clicks in counts.items()}
    except (ValueError, TypeError, AttributeError):
        logging.warning("not a batch of clicks, skipped: %.200r", batch)
        return {}


async def store(connection: Any, batch_id: str, counts: dict[str, int]) -> None:
    """Add one batch; a batch that was stored before changes nothing."""
    async with connection.transaction():
        status = await connection.execute(
            "INSERT INTO click_batches (id) VALUES ($1) ON CONFLICT DO NOTHING", batch_id
        )
        if status.endswith(" 1"):
            await connection.execute(
                "INSERT INTO click_counts (code, clicks)"
                " SELECT * FROM unnest($1::text[], $2::bigint[]) ORDER BY 1"
                " ON CONFLICT (code) DO UPDATE SET clicks = click_counts.clicks + EXCLUDED.clicks",
                list(counts),
                list(counts.values()),
            )


async def ensure_group(client: Any) -> None:
    """Make the stream and its consumer group unless they are there (Redis may have lost them)."""
    try:
        await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def main() -> None:
    """Work until SIGTERM."""
    settings = read_settings()
    breaker = Breaker("db-rw", settings.db_breaker, TransitionLog())
    database = Pool(settings.rw_dsn, breaker, settings, settings.db_timeout_s)
    task = asyncio.create_task(Worker(settings.server, connect_redis(settings), database).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
