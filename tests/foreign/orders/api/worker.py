"""Ships what is in the queue, one order after the other."""

from __future__ import annotations

import asyncio
import os
import sys

import psycopg
import redis.asyncio
import redis.exceptions
from database import Database

PAUSE_S = 0.5


async def main() -> None:
    database = Database()
    queue = redis.asyncio.from_url(os.environ["REDIS_URL"], socket_timeout=5)
    while True:
        try:
            await ship(database, queue)
        except (psycopg.Error, redis.exceptions.RedisError, OSError) as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            await asyncio.sleep(PAUSE_S)


async def ship(database: Database, queue: redis.asyncio.Redis) -> None:
    """The next order; it leaves the queue only when it is shipped."""
    token = await queue.lindex("orders", 0)
    if token is None:
        await asyncio.sleep(0.05)
        return
    await database.execute("update orders set shipped = true where token = %s", (token.decode(),))
    await queue.lpop("orders")


if __name__ == "__main__":
    asyncio.run(main())
