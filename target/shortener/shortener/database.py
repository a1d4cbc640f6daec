"""The source of truth: one pool to the primary (rw), one to the replicas (ro).

A read goes to a replica, once more if its connection was broken, then to the primary; a replica
that misses a key asks the primary too. A write says whether it was attempted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import asyncpg

from shortener.breaker import Breaker, BreakerOpen
from shortener.settings import Settings

Result = TypeVar("Result")
BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError)
UNAVAILABLE = (
    *BROKEN,
    asyncio.TimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


class Unavailable(Exception):
    """The database cannot be asked; `attempted` is False if a write surely was not tried."""

    def __init__(self, *, attempted: bool) -> None:
        super().__init__("database unavailable")
        self.attempted = attempted


class AliasTaken(Exception):
    """Another URL has this alias already."""


@dataclass(frozen=True, slots=True)
class Url:
    """A row of `urls`, and the node that answered."""

    code: str
    long_url: str
    created_at: datetime
    expires_at: datetime | None
    node: str


COLUMNS = "code, long_url, created_at, expires_at, host(inet_server_addr()) AS node"
SELECT = f"SELECT {COLUMNS} FROM urls WHERE code = $1"
INSERT = f"""
WITH added AS (
  INSERT INTO urls (code, long_url, idempotency_key, expires_at)
  VALUES ($1, $2, $3, now() + $4 * interval '1 second')
  ON CONFLICT (idempotency_key) DO NOTHING
  RETURNING code, long_url, created_at, expires_at)
SELECT {COLUMNS}, true AS is_new FROM added
UNION ALL
SELECT {COLUMNS}, false AS is_new FROM urls WHERE idempotency_key = $3
LIMIT 1"""


class Pool:
    """A bounded pool behind a breaker; it connects when first asked, and again when broken."""

    def __init__(self, dsn: str, breaker: Breaker, settings: Settings, timeout_s: float) -> None:
        self.breaker = breaker
        self._pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=settings.pool_max,
            timeout=settings.connect_timeout_s,
            command_timeout=timeout_s,
            max_inactive_connection_lifetime=60,
        )
        self._acquire_timeout_s = settings.connect_timeout_s + 0.1
        self._timeout_s = timeout_s

    async def run(self, work: Callable[[Any], Awaitable[Result]]) -> Result:
        """The result of `work(connection)`; Unavailable if there is no healthy connection."""
        attempted = False

        async def attempt() -> Result:
            nonlocal attempted
            pool = await self._pool
            async with pool.acquire(timeout=self._acquire_timeout_s) as connection:
                attempted = True
                try:
                    async with asyncio.timeout(self._timeout_s):
                        return await work(connection)
                except asyncpg.ReadOnlySQLTransactionError:
                    attempted = False  # a demoted primary: refused, and no use for this pool
                    await pool.expire_connections()
                    raise

        try:
            return await self.breaker.call(attempt, UNAVAILABLE)
        except BreakerOpen as error:
            raise Unavailable(attempted=False) from error
        except UNAVAILABLE as error:
            raise Unavailable(attempted=attempted) from error

    def usage(self) -> tuple[int, int]:
        """Connections in use, and the limit."""
        return self._pool.get_size() - self._pool.get_idle_size(), self._pool.get_max_size()

    async def close(self) -> None:
        """Close without waiting for anybody."""
        self._pool.terminate()


class Database:
    """The rows of `urls`."""

    def __init__(self, primary: Pool, replicas: Pool, nodes: dict[str, str]) -> None:
        self.primary, self.replicas = primary, replicas
        self._nodes = nodes

    async def find(self, code: str) -> Url | None:
        """The row from a replica, else from the primary; None if no row has this code."""

        async def select(connection: Any) -> Any:
            return await connection.fetchrow(SELECT, code)

        for _ in range(2):
            try:
                row = await self.replicas.run(select)
            except Unavailable as error:
                if isinstance(error.__cause__, BROKEN):
                    continue
                break
            if row is not None:
                return self._url(row)
            break
        row = await self.primary.run(select)
        return None if row is None else self._url(row)

    async def add(
        self, code: str, url: str, key: str | None, ttl_s: float | None
    ) -> tuple[Url, bool]:
        """The row, and whether it is new: a repeated idempotency key finds its first row."""

        async def insert(connection: Any) -> Any:
            arguments = (code, url, key, ttl_s)
            row = await connection.fetchrow(INSERT, *arguments)
            # Two requests with one key at the same time: the loser's snapshot lacks the row.
            return row if row is not None else await connection.fetchrow(INSERT, *arguments)

        try:
            row = await self.primary.run(insert)
        except asyncpg.UniqueViolationError as error:
            raise AliasTaken(code) from error
        return self._url(row), row["is_new"]

    async def remove(self, code: str) -> bool:
        """Whether there was a row to delete."""

        async def delete(connection: Any) -> str:
            status: str = await connection.execute("DELETE FROM urls WHERE code = $1", code)
            return status

        return (await self.primary.run(delete)).endswith(" 1")

    async def clicks(self, code: str) -> int:
        """Clicks counted so far."""

        async def count(connection: Any) -> int | None:
            found: int | None = await connection.fetchval(
                "SELECT clicks FROM click_counts WHERE code = $1", code
            )
            return found

        return await self.primary.run(count) or 0

    def _url(self, row: Any) -> Url:
        node = self._nodes.get(row["node"], row["node"])
        return Url(row["code"], row["long_url"], row["created_at"], row["expires_at"], node)
