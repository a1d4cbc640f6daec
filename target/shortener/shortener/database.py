"""The source of truth: one pool to the primary (rw), one to the replicas (ro).

A read goes to a replica, once more if its connection was broken, then to the primary; a replica
that misses a key asks the primary too. A write says whether it was attempted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from random import uniform
from time import monotonic
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
from prometheus_client import Histogram

from shortener.breaker import Breaker, BreakerOpen
from shortener.sampled import UNTRACED, call_begins
from shortener.settings import Settings

Result = TypeVar("Result")
QUERY_SECONDS = Histogram(
    "shortener_database_query_seconds",
    "Time of the work on one connection, whatever came of it",
    ["route"],
    registry=None,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5),
)
ASK_WITHIN_S = 0.02  # with less time left a question could only fail


class Demoted(Exception):
    """A connection of the rw pool leads to a node that is no primary (any more)."""


UNAVAILABLE = (
    OSError,  # TimeoutError is one
    Demoted,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


class Unavailable(Exception):
    """The database cannot be asked; `attempted` is False if a write surely was not tried."""

    def __init__(self, *, attempted: bool, reason: str) -> None:
        super().__init__(f"database unavailable ({reason})")
        self.attempted = attempted

    @property
    def is_broken_connection(self) -> bool:
        """Whether another connection may do better at once: no time-out, no open breaker."""
        cause = self.__cause__
        return cause is not None and not isinstance(cause, TimeoutError | BreakerOpen)


class AliasTaken(Exception):
    """Another URL has this code already."""


@dataclass(frozen=True, slots=True)
class Url:
    """A row of `urls`, and the node that answered.

    `age_s`: it was so at most as long ago, if a replica says how far behind it may be.
    """

    code: str
    long_url: str
    created_at: datetime
    expires_at: datetime | None
    node: str
    age_s: float | None = None


COLUMNS = "code, long_url, created_at, expires_at, host(inet_server_addr()) AS node"
SELECT = f"SELECT {COLUMNS} FROM urls WHERE code = $1"
SELECT_WITH_AGE = f"""
SELECT {COLUMNS}, CASE WHEN pg_is_in_recovery() THEN
  extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END AS age_s
FROM urls WHERE code = $1"""
# Always one row: a miss counts only if the node is still the primary.
SELECT_PRIMARY = f"""
SELECT {COLUMNS}, pg_is_in_recovery() AS is_replica
FROM (SELECT) AS one LEFT JOIN urls ON code = $1"""
SELECT_BY_KEY = f"SELECT {COLUMNS} FROM urls WHERE idempotency_key = $1"
INSERT = f"""
INSERT INTO urls (code, long_url, idempotency_key, expires_at)
VALUES ($1, $2, $3, now() + $4 * interval '1 second')
ON CONFLICT (idempotency_key) DO NOTHING
RETURNING {COLUMNS}"""

UPDATE = f"UPDATE urls SET long_url = $2 WHERE code = $1 RETURNING {COLUMNS}"


class Pool:
    """A bounded pool behind a breaker; it connects when first asked, and again when broken.

    No connection is given out that is older than about `lifetime_s`: the route behind it chooses a
    node for each new one, and a node that comes back gets its share only of those.
    """

    def __init__(
        self,
        dsn: str,
        breaker: Breaker,
        settings: Settings,
        timeout_s: float,
        lifetime_s: float = inf,
    ) -> None:
        self.breaker = breaker
        self.max_size = settings.pool_max
        self._nodes = settings.nodes
        self._seconds = QUERY_SECONDS.labels(breaker.name)
        self._pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=settings.pool_max,
            timeout=settings.connect_timeout_s,
            ssl=False,  # nobody offers it here: asking takes a round trip for each connection
            max_inactive_connection_lifetime=60,
            reset=_leave_as_is,
            server_settings={"application_name": settings.server, "jit": "off"},
        )
        self._acquire_timeout_s = settings.connect_timeout_s
        self._timeout_s = timeout_s
        self._lifetime_s = lifetime_s
        self._renew_at_s = -inf

    async def run(
        self, work: Callable[[Any], Awaitable[Result]], within_s: float | None = None
    ) -> Result:
        """The result of `work(connection)`; Unavailable if there is no healthy connection.

        `within_s` bounds all of it; without it, getting a connection and the work have limits of
        their own. A connection that failed or was too slow is never used again.
        """
        with call_begins(self.breaker.name, route=self.breaker.name) or UNTRACED as note:
            result = await self._run(work, within_s)
            if note is not None:
                note.answered_by(self._node_of(result))
            return result

    async def _run(
        self, work: Callable[[Any], Awaitable[Result]], within_s: float | None
    ) -> Result:
        attempted = False

        async def attempt() -> Result:
            nonlocal attempted
            pool = await self._pool
            await self._renew(pool)
            async with (
                asyncio.timeout(within_s),
                pool.acquire(timeout=self._acquire_timeout_s) as connection,
            ):
                attempted = True
                try:
                    limit_s = self._timeout_s if within_s is None else None
                    with self._seconds.time():
                        async with asyncio.timeout(limit_s):
                            return await work(connection)
                except (asyncpg.ReadOnlySQLTransactionError, Demoted):
                    attempted = False  # the node refused; its other connections are no use either
                    connection.terminate()
                    await pool.expire_connections()
                    raise
                except (*UNAVAILABLE, asyncio.CancelledError):
                    # At once: the pool would wait for a cancel request to a node that hangs.
                    connection.terminate()
                    raise

        try:
            return await self.breaker.call(attempt, UNAVAILABLE)
        except BreakerOpen as error:
            raise Unavailable(attempted=False, reason=f"breaker {error} is open") from error
        except UNAVAILABLE as error:
            reason = f"{self.breaker.name}: {type(error).__name__}"
            raise Unavailable(attempted=attempted, reason=reason) from error

    def _node_of(self, result: object) -> str:
        """Who answered, if the result is a row, or a row and more, that says so."""
        row = result[0] if isinstance(result, tuple) and result else result
        address = row.get("node") if isinstance(row, asyncpg.Record | Mapping) else None
        return self._nodes.get(address, address) if isinstance(address, str) else ""

    def used(self) -> int:
        """Connections in use."""
        return self.size() - int(self._pool.get_idle_size())

    def size(self) -> int:
        """Connections that are open."""
        return int(self._pool.get_size())

    async def close(self) -> None:
        """Close without waiting for anybody."""
        (await self._pool).terminate()  # awaited: one that was never asked cannot end otherwise

    async def _renew(self, pool: Any) -> None:
        """Have all connections replaced when next used, if their time is over.

        Each server at times of its own: all at once would burden the database.
        """
        if monotonic() >= self._renew_at_s:
            self._renew_at_s = monotonic() + self._lifetime_s * uniform(0.5, 1.5)
            await pool.expire_connections()


async def _leave_as_is(_: Any) -> None:
    """The statements of this application leave no state in a session: no round trip to reset."""


class Database:
    """The rows of `urls`."""

    def __init__(self, primary: Pool, replicas: Pool, settings: Settings) -> None:
        self.primary, self.replicas = primary, replicas
        self._nodes = settings.nodes
        self._select = SELECT_WITH_AGE if settings.tells_age else SELECT

    async def find(self, code: str, deadline_s: float, replica_s: float) -> Url | None:
        """The row from a replica, else from the primary; None if no row has this code.

        `deadline_s` is a time of `monotonic()` by which an answer or Unavailable is there; a
        replica gets `replica_s` of it.
        """
        row = await self._find_on_replica(code, deadline_s, replica_s)
        if row is None:
            row = await self.primary.run(
                lambda c: _select_primary(c, code), _time_left_s(deadline_s)
            )
        return None if row is None else self._url(row)

    async def add(
        self, code: str, url: str, key: str | None, ttl_s: float | None
    ) -> tuple[Url, bool]:
        """The row, and whether it is new: a repeated idempotency key finds its first row."""

        async def insert(connection: Any) -> tuple[Any, bool]:
            try:
                row = await connection.fetchrow(INSERT, code, url, key, ttl_s)
            except asyncpg.UniqueViolationError:
                row = None  # the code is taken: by the first try of this very request, or not
            if row is not None:
                return row, True
            # A statement of its own: its snapshot has the row that the insert met.
            first = await connection.fetchrow(SELECT_BY_KEY, key)
            if first is None:
                raise AliasTaken(code)
            return first, False

        row, is_new = await self.primary.run(insert)
        return self._url(row), is_new

    async def remove(self, code: str) -> bool:
        """Whether there was a row to delete."""

        async def delete(connection: Any) -> str:
            status: str = await connection.execute("DELETE FROM urls WHERE code = $1", code)
            return status

        return (await self.primary.run(delete)).endswith(" 1")

    async def change(self, code: str, url: str) -> Url | None:
        """The row with its new URL, None if there is no such row."""

        async def update(connection: Any) -> Any:
            return await connection.fetchrow(UPDATE, code, url)

        row = await self.primary.run(update)
        return None if row is None else self._url(row)

    async def clicks(self, code: str) -> int:
        """Clicks counted so far."""

        async def count(connection: Any) -> int | None:
            found: int | None = await connection.fetchval(
                "SELECT clicks FROM click_counts WHERE code = $1", code
            )
            return found

        return await self.primary.run(count) or 0

    async def _find_on_replica(self, code: str, deadline_s: float, replica_s: float) -> Any:
        async def select(connection: Any) -> Any:
            return await connection.fetchrow(self._select, code)

        for _ in range(2):
            try:
                limit_s = min(replica_s, _time_left_s(deadline_s))
                return await self.replicas.run(select, limit_s)
            except Unavailable as error:
                if not error.is_broken_connection:
                    break
        return None

    def _url(self, row: Any) -> Url:
        node = self._nodes.get(row["node"], row["node"] or "")
        known = row["code"], row["long_url"], row["created_at"], row["expires_at"]
        return Url(*known, node, row.get("age_s"))


def _time_left_s(deadline_s: float) -> float:
    """Seconds left; Unavailable if it is too late to ask, which is no fault of the database."""
    left_s = deadline_s - monotonic()
    if left_s < ASK_WITHIN_S:
        raise Unavailable(attempted=False, reason="the read's deadline")
    return left_s


async def _select_primary(connection: Any, code: str) -> Any:
    row = await connection.fetchrow(SELECT_PRIMARY, code)
    if row["code"] is not None:
        return row
    if row["is_replica"]:
        raise Demoted
    return None
