"""Moves click batches from the Redis stream to the database, each exactly once."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import monotonic
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, start_http_server
from redis.exceptions import ResponseError

from shortener.breaker import Breaker, TransitionLog
from shortener.clicks import BATCH_CODES_MAX, GROUP, STREAM
from shortener.container import Container
from shortener.database import Pool, Unavailable
from shortener.lag import TICK_S, LagMeter
from shortener.log import log_as_json
from shortener.redis_cache import REDIS_ERRORS, connect_redis
from shortener.settings import read_settings
from shortener.supervisor import Supervisor

RETRY_S, READ_COUNT = 1.0, 50
TURNS_WITHIN_S = 30.0  # a turn is bounded by the limits of its calls; this is far above them
LOOK_S, STOP_S = 5.0, 5.0
TIDY_EVERY_S = 3600.0
METRICS_PORT = 9100
ERRORS = (Unavailable, asyncpg.PostgresError, *REDIS_ERRORS)
Batch = dict[str, str]
Batches = dict[str, dict[str, int]]
"""Clicks by code, by the id of their batch."""


class Worker:
    """Reads, stores, acknowledges; what is not acknowledged is read again.

    Whenever it ends, no batch is lost: one that was read is delivered again, one that was stored
    but not acknowledged is known by its id.
    """

    def __init__(self, name: str, client: Any, database: Pool) -> None:
        self._name, self._client, self._database = name, client, database
        self._tidied_s = -TIDY_EVERY_S
        self._stops = asyncio.Event()

    async def run(self, turned: Callable[[], None]) -> None:
        """Work until `stop`; an outage is waited out. `turned` hears of every turn."""
        while not self._stops.is_set():
            try:
                await ensure_group(self._client)
                # First what this worker had read and not acknowledged ("0"), then the new.
                while await self.move("0"):
                    turned()
                while not self._stops.is_set():
                    if not await self.move(">"):
                        await self._tidy()
                        await self._rest()
                    turned()
            except ERRORS as error:
                logging.warning("clicks wait: %s: %s", type(error).__name__, error)
                turned()
                await self._rest()

    def stop(self) -> None:
        """End after the batches that are under way."""
        self._stops.set()

    async def move(self, position: str) -> int:
        """How many batches were moved from `position` of the stream to the database."""
        found = await self._client.xreadgroup(GROUP, self._name, {STREAM: position}, READ_COUNT)
        entries = found[0][1] if found else []
        for ids, batches in in_parts(entries):
            if batches:
                work = partial(store, batches=batches)
                await self._database.run(work)
            await self._client.xack(STREAM, GROUP, *ids)
        return len(entries)

    async def _rest(self) -> None:
        """Wait for a second, or until it is told to stop."""
        try:
            async with asyncio.timeout(RETRY_S):
                await self._stops.wait()
        except TimeoutError:
            pass

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


def in_parts(entries: Iterable[tuple[str, Batch | None]]) -> Iterator[tuple[list[str], Batches]]:
    """What is stored at once: batches of so many codes in all, or one; with the ids of entries.

    To another region's database it is a round trip for each part: with one for each batch a worker
    300 ms away could store three batches a second.
    """
    ids: list[str] = []
    batches: Batches = {}
    codes = 0
    for entry_id, batch in entries:
        counts = read_counts(batch)
        if ids and codes + len(counts) > BATCH_CODES_MAX:
            yield ids, batches
            ids, batches, codes = [], {}, 0
        ids.append(entry_id)
        codes += len(counts)
        if batch and counts:
            batches[batch.get("id", entry_id)] = counts
    if ids:
        yield ids, batches


def read_counts(batch: Batch | None) -> dict[str, int]:
    """The clicks by code in a batch; empty for one that the stream trimmed or that is no batch."""
    try:
        counts = json.loads((batch or {}).get("counts", "{}"))
        return {str(code): int(clicks) for code, clicks in counts.items()}
    except (ValueError, TypeError, AttributeError):
        logging.warning("not a batch of clicks, skipped: %.200r", batch)
        return {}


async def store(connection: Any, batches: Batches) -> None:
    """Add batches, by their ids; one that was stored before changes nothing."""
    rows = [(of, code, n) for of, counts in batches.items() for code, n in counts.items()]
    # One statement: a transaction of several waits in its ROLLBACK for a cut connection. In order
    # of codes: workers that add to the same ones wait for each other, never in a circle. Numbers
    # as texts: of an array of numbers asyncpg asks the database what it is, on each connection.
    await connection.execute(
        "WITH batch AS ("
        "  INSERT INTO click_batches (id) SELECT unnest($1::text[])"
        "  ON CONFLICT DO NOTHING RETURNING id)"
        " INSERT INTO click_counts (code, clicks)"
        " SELECT counted.code, sum(counted.clicks)::bigint FROM batch"
        " JOIN unnest($2::text[], $3::text[], $4::text[]::bigint[]) AS counted (id, code, clicks)"
        " USING (id) GROUP BY 1 ORDER BY 1"
        " ON CONFLICT (code) DO UPDATE SET clicks = click_counts.clicks + EXCLUDED.clicks",
        list(batches),
        [of for of, _, _ in rows],
        [code for _, code, _ in rows],
        [str(n) for _, _, n in rows],
    )


async def ensure_group(client: Any) -> None:
    """Make the stream and its consumer group unless they are there (Redis may have lost them)."""
    try:
        await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def main() -> None:
    """Work until SIGTERM; exits with an error, so that it is started again, if it hangs."""
    settings = read_settings()
    registry = CollectorRegistry()
    registry.register(Container())
    start_http_server(METRICS_PORT, registry=registry)
    lag, supervisor = LagMeter(), Supervisor()
    breaker = Breaker("db-rw", settings.db_breaker, TransitionLog(), meter=lag)
    database = Pool(settings.rw_dsn, breaker, settings, settings.db_timeout_s)
    worker = Worker(settings.server, connect_redis(settings, lag), database)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    supervisor.start("lag meter", lag.run, TICK_S + TURNS_WITHIN_S)
    supervisor.start("worker", worker.run, TURNS_WITHIN_S)
    while not told.is_set():
        try:
            async with asyncio.timeout(LOOK_S):
                await told.wait()
        except TimeoutError:
            if sick := supervisor.sick():
                logging.critical("worker: %s; it starts again", sick)
                raise SystemExit(1) from None
    worker.stop()
    await supervisor.finish("worker", STOP_S)
    await supervisor.stop()
    await database.close()


if __name__ == "__main__":
    log_as_json(read_settings().server)
    asyncio.run(main())
