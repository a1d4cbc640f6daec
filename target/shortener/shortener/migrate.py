"""Applies the migrations in order, each once, then seeds an empty table; one-shot."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from time import monotonic

import asyncpg

MIGRATIONS = Path(__file__).parents[1] / "migrations"
DEADLINE_S = 90


async def connect(dsn: str) -> asyncpg.Connection:
    """A connection to a primary that takes writes; waits for it until the deadline."""
    deadline_s, last = monotonic() + DEADLINE_S, "nothing"
    while monotonic() < deadline_s:
        try:
            connection = await asyncpg.connect(dsn, timeout=2, command_timeout=60)
            if not await connection.fetchval("SELECT pg_is_in_recovery()"):
                return connection
            last = "a replica"
            await connection.close()
        except (OSError, asyncio.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            last = f"{type(error).__name__}: {error}"
        await asyncio.sleep(0.3)
    sys.exit(f"migrate: no primary within {DEADLINE_S} s; saw last: {last}")


async def main() -> None:
    """Migrate and seed, and say how long it took."""
    started_s = monotonic()
    password = os.environ["APP_PASSWORD"]
    dsn = os.environ.get("MIGRATE_DSN", f"postgresql://app:{password}@db-lb:5000/app")
    connection = await connect(dsn)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for path in sorted(MIGRATIONS.glob("*.sql")):
        async with connection.transaction():
            status = await connection.execute(
                "INSERT INTO schema_migrations (name) VALUES ($1) ON CONFLICT DO NOTHING", path.name
            )
            if status.endswith(" 1"):
                await connection.execute(path.read_text())
                print(f"applied {path.name}")
    print(f"ready after {monotonic() - started_s:.1f} s")
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
