"""Moves click batches from the Redis stream to the database, each exactly once."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from typing import Any

from redis.exceptions import ResponseError

from shortener.breaker import Breaker, TransitionLog
from shortener.clicks import GROUP, STREAM
from shortener.database import Pool, Unavailable
from shortener.redis_cache import REDIS_ERRORS, connect_redis
from shortener.settings import read_settings

RETRY_S, READ_COUNT = 1.0, 50
Batches = list[tuple[str, dict[str, str]]]


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


async def work(name: str, client: Any, database: Pool) -> None:
    """Read, store, acknowledge, for ever; what is not acknowledged is read again."""
    position = "0"  # first what this worker had read but not acknowledged
    while True:
        try:
            await _ensure_group(client)
            found = await client.xreadgroup(GROUP, name, {STREAM: position}, READ_COUNT, 100)
            batches: Batches = found[0][1] if found else []
            for entry_id, batch in batches:
                counts = json.loads(batch["counts"]) if batch else {}
                await database.run(lambda c, b=batch, n=counts: store(c, b.get("id", ""), n))
                await client.xack(STREAM, GROUP, entry_id)
            if not batches:
                position = ">"
                await asyncio.sleep(RETRY_S)
        except (Unavailable, *REDIS_ERRORS) as error:
            logging.warning("clicks wait: %s", error)
            position = "0"
            await asyncio.sleep(RETRY_S)


async def _ensure_group(client: Any) -> None:
    try:
        await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def main() -> None:
    """Work until SIGTERM."""
    settings = read_settings()
    breaker = Breaker("db-rw", 5, 1, TransitionLog())
    database = Pool(settings.rw_dsn, breaker, settings, settings.write_timeout_s)
    task = asyncio.create_task(work(settings.server, connect_redis(settings), database))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
