"""Applies the migrations in order, each once, then seeds the table; one-shot."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from shortener.log import log_as_json
from shortener.settings import read_settings

ROOT = Path(__file__).parents[1]
MIGRATIONS, SEED = ROOT / "migrations", ROOT / "seed.sql"
PRIMARY_WITHIN_S, STATEMENT_TIMEOUT_S = 90, 60
SEEDED = "h000000"
LOCK = 20_817_723  # any number, the same for all: two migrations at once take turns
ERRORS = (OSError, asyncio.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def migrate(connection: Any) -> None:
    """Bring the schema up to date and seed it once; logs what it did."""
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for path in sorted(MIGRATIONS.glob("*.sql")):
        await _apply(connection, path)
    # A link that somebody made before a seed that was interrupted is no seed.
    if await connection.fetchval("SELECT NOT EXISTS (SELECT FROM urls WHERE code = $1)", SEEDED):
        started_s = monotonic()
        await connection.execute(SEED.read_text())
        _say(f"seeded in {monotonic() - started_s:.1f} s")


async def _apply(connection: Any, path: Path) -> None:
    async with connection.transaction():
        status = await connection.execute(
            "INSERT INTO schema_migrations (name) VALUES ($1) ON CONFLICT DO NOTHING", path.name
        )
        if status.endswith(" 1"):
            await connection.execute(path.read_text())
            _say(f"applied {path.name}")


async def connect(dsn: str) -> Any:
    """A connection to a primary that takes writes; waits for it until the deadline."""
    deadline_s, last = monotonic() + PRIMARY_WITHIN_S, "nothing"
    while monotonic() < deadline_s:
        try:
            connection = await asyncpg.connect(dsn, timeout=2, command_timeout=STATEMENT_TIMEOUT_S)
            if not await connection.fetchval("SELECT pg_is_in_recovery()"):
                return connection
            last = "a replica"
            await connection.close(timeout=1)
        except ERRORS as error:
            last = f"{type(error).__name__}: {error}"
        await asyncio.sleep(0.3)
    raise TimeoutError(f"no primary within {PRIMARY_WITHIN_S} s; saw last: {last}")


async def main() -> None:
    """Migrate and seed, and say how long it took; exits with 1 and logs one line if it cannot."""
    started_s = monotonic()
    try:
        connection = await connect(read_settings().rw_dsn)
        try:
            await migrate(connection)
        finally:
            connection.terminate()
    except ERRORS as error:
        what = f"{type(error).__name__}: {error}; look at db-lb and db-*, then run again"
        logging.critical("migrate: %s", what)
        sys.exit(1)
    _say(f"ready after {monotonic() - started_s:.1f} s")


def _say(what: str) -> None:
    logging.info("migrate: %s", what)


if __name__ == "__main__":
    log_as_json("migrate", logging.INFO)
    asyncio.run(main())
