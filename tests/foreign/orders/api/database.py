"""One connection to the database; RECONNECT=no keeps it for ever, whatever happens to it."""

from __future__ import annotations

import os

import psycopg


class Database:
    """Connects when it is needed, and anew when the connection is gone."""

    def __init__(self) -> None:
        self._connection: psycopg.AsyncConnection | None = None
        self._reconnects = os.environ["RECONNECT"] == "yes"

    async def execute(self, sql: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        """The rows, with the transaction committed; psycopg.Error if the database cannot."""
        connection = await self._open()
        cursor = await connection.execute(sql, values)
        return await cursor.fetchall() if cursor.description else []

    async def _open(self) -> psycopg.AsyncConnection:
        if self._connection is None or (self._connection.closed and self._reconnects):
            self._connection = await psycopg.AsyncConnection.connect(
                os.environ["DATABASE_URL"], autocommit=True, connect_timeout=2
            )
        return self._connection
