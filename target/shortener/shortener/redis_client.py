"""One connection to Redis that all calls of a process share, each sent at once.

  call 1 ---GET a-->            --answer 1--> call 1
  call 2 ---GET b-->   Redis    --answer 2--> call 2       answers come in the order of the calls

A pool would open a connection for each call under way, most of them when Redis or its network is
slow: the wrong moment. And a call costs a third of the processor time that it does in a pool.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from shortener.lag import LagMeter, OutOfPatience, Patience


class TooManyCalls(RedisError):
    """As many calls are under way as may be."""


class RedisClient:
    """Calls of one Redis, each within `timeout_s`; at most `calls_max` at once.

    A call that gets no answer in time ends the connection, and with it all calls that wait behind
    it; the next one makes a new connection. Nothing is ever sent twice.
    """

    def __init__(self, url: str, timeout_s: float, calls_max: int, meter: LagMeter) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "localhost", parts.port or 6379)
        self._password = unquote(parts.password or "")
        self._timeout_s, self._calls_max, self._meter = timeout_s, calls_max, meter
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._calls = 0

    async def execute(self, *words: str | bytes | int) -> Any:
        """Redis's answer: None, an int, a str, or a list.

        Raises OutOfPatience, another OSError if the connection broke, or a RedisError.
        """
        if self._calls >= self._calls_max:
            raise TooManyCalls(f"{self._calls} calls are under way")
        self._calls += 1
        try:
            connection = self._connection
            if connection is None or connection.is_closed:
                connection = await self._connect()
            return await connection.send(words)
        finally:
            self._calls -= 1

    async def close(self) -> None:
        """End the connection; calls under way fail."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.end(ConnectionAbortedError("closed"))

    async def _connect(self) -> _Connection:
        """A new connection, the same for all who ask while it is being made."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._open())
            self._connecting.add_done_callback(self._connected)
        return await asyncio.shield(self._connecting)

    def _connected(self, connecting: asyncio.Task[_Connection]) -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self._connection = connecting.result()

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s):
            _, connection = await loop.create_connection(
                lambda: _Connection(self._timeout_s, self._meter), *self._address
            )
        if self._password:
            await connection.send(("AUTH", self._password))
        return connection


class _Connection(asyncio.Protocol):
    """Calls in the order of their answers."""

    def __init__(self, timeout_s: float, meter: LagMeter) -> None:
        self._timeout_s, self._meter = timeout_s, meter
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=ResponseError, encoding="utf-8"
        )
        self._waiting: deque[tuple[asyncio.Future[Any], Patience]] = deque()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.is_closed = False

    def send(self, words: tuple[str | bytes | int, ...]) -> asyncio.Future[Any]:
        """The answer to come."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if self.is_closed or self._transport is None:
            answer.set_exception(ConnectionResetError("Redis closed the connection"))
            return answer
        self._waiting.append((answer, Patience(self._timeout_s, self._meter)))
        self._transport.write(hiredis.pack_command(words))
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_s, self._look)
        return answer

    def end(self, error: Exception) -> None:
        """Close; all calls under way fail with `error`."""
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's: it is open."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Asyncio's: answers, or parts of them."""
        try:
            self._reader.feed(data)
            while self._waiting and (value := self._reader.gets()) is not False:
                answer, _ = self._waiting.popleft()
                if answer.done():
                    continue  # nobody waits any more
                if isinstance(value, Exception):
                    answer.set_exception(value)
                else:
                    answer.set_result(value)
        except InvalidResponse as error:
            self.end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's: it is closed."""
        self.end(exc or ConnectionResetError("Redis closed the connection"))

    def _look(self) -> None:
        """One timer for all: answers come in order, so the oldest call is the first to be late."""
        self._timer = None
        if not self._waiting:
            return
        left_s = self._waiting[0][1].left_s()
        if left_s <= 0:
            self.end(OutOfPatience(f"Redis gave no answer within {self._timeout_s:g} s"))
        else:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look)
