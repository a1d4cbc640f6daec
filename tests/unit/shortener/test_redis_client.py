"""The shared connection to Redis against a transport in memory: order, limits, breaks."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from redis.exceptions import ResponseError
from shortener.lag import LagMeter, OutOfPatience
from shortener.redis_client import RedisClient, TooManyCalls, _Connection

TIMEOUT_S = 0.02


class Transport:
    """Keeps what is written."""

    def __init__(self):
        self.written, self.is_closed = b"", False

    def write(self, data):
        self.written += data

    def abort(self):
        self.is_closed = True


def connect(meter=None):
    connection = _Connection(TIMEOUT_S, meter or LagMeter())
    transport = Transport()
    connection.connection_made(transport)
    return connection, transport


def test_answers_go_to_the_calls_in_their_order_in_any_pieces():
    async def run():
        raw = b"$1\r\na\r\n:3\r\n$-1\r\n"
        for size in range(1, len(raw) + 1):
            connection, transport = connect()
            answers = [connection.send(("GET", str(n))) for n in range(3)]
            assert transport.written.count(b"GET") == 3  # sent at once, none waits for another
            for start in range(0, len(raw), size):
                connection.data_received(raw[start : start + size])
            assert [answer.result() for answer in answers] == ["a", 3, None]

    asyncio.run(run())


def test_an_error_is_its_own_calls_only():
    async def run():
        connection, _ = connect()
        wrong, right = connection.send(("NO",)), connection.send(("GET", "a"))
        connection.data_received(b"-ERR unknown\r\n$1\r\na\r\n")
        with pytest.raises(ResponseError):
            await wrong
        assert await right == "a"
        assert not connection.is_closed

    asyncio.run(run())


def test_a_call_without_an_answer_in_time_ends_the_connection():
    async def run():
        connection, transport = connect()
        answers = [connection.send(("GET", "a")) for _ in range(2)]
        for answer in answers:
            with pytest.raises(OutOfPatience):
                await answer
        assert transport.is_closed
        with pytest.raises(ConnectionError):
            await connection.send(("GET", "a"))

    asyncio.run(run())


def test_a_stall_of_our_own_loop_is_added_to_the_limit():
    async def run():
        now = SimpleNamespace(stalled_s=0.0)
        connection, _ = connect(SimpleNamespace(stalled_s=lambda: now.stalled_s))
        answer = connection.send(("GET", "a"))
        now.stalled_s = TIMEOUT_S
        await asyncio.sleep(1.2 * TIMEOUT_S)
        assert not answer.done()
        with pytest.raises(OutOfPatience):
            await answer

    asyncio.run(run())


def test_a_broken_connection_fails_all_that_wait():
    async def run():
        connection, _ = connect()
        answers = [connection.send(("GET", "a")) for _ in range(2)]
        connection.connection_lost(ConnectionResetError())
        for answer in answers:
            with pytest.raises(ConnectionResetError):
                await answer

    asyncio.run(run())


def test_a_call_that_nobody_waits_for_takes_its_own_answer_with_it():
    async def run():
        connection, _ = connect()
        given_up, other = connection.send(("GET", "a")), connection.send(("GET", "b"))
        given_up.cancel()
        connection.data_received(b"$1\r\na\r\n$1\r\nb\r\n")
        assert await other == "b"

    asyncio.run(run())


def client_of(made, *, fails=()):
    """A client whose connections are made in memory."""
    client = RedisClient("redis://:se%40cret@h:1/0", TIMEOUT_S, 3, LagMeter())

    async def open_one():
        await asyncio.sleep(0)
        if len(made) in fails:
            made.append(None)
            raise ConnectionRefusedError
        made.append(connect())
        return made[-1][0]

    client._open = open_one
    return client


def test_calls_share_one_connection_and_a_broken_one_is_made_anew():
    async def run():
        made = []
        client = client_of(made)
        calls = [asyncio.create_task(client.execute("PING")) for _ in range(3)]
        while not made or made[0][1].written.count(b"PING") < 3:
            await asyncio.sleep(0)
        made[0][0].data_received(b"+PONG\r\n" * 3)
        assert await asyncio.gather(*calls) == ["PONG"] * 3
        made[0][0].connection_lost(None)
        again = asyncio.create_task(client.execute("PING"))
        while len(made) < 2 or not made[1][1].written:
            await asyncio.sleep(0)
        made[1][0].data_received(b"+PONG\r\n")
        assert await again == "PONG"

    asyncio.run(run())


def test_a_refused_connection_fails_those_who_waited_and_the_next_call_tries_again():
    async def run():
        made = []
        client = client_of(made, fails={0})
        results = await asyncio.gather(
            *(client.execute("PING") for _ in range(2)), return_exceptions=True
        )
        assert [type(result) for result in results] == [ConnectionRefusedError] * 2
        again = asyncio.create_task(client.execute("PING"))
        while len(made) < 2 or not made[1][1].written:
            await asyncio.sleep(0)
        made[1][0].data_received(b"+PONG\r\n")
        assert await again == "PONG"

    asyncio.run(run())


def test_no_more_than_its_bound_are_under_way():
    async def run():
        client = client_of([])
        calls = [asyncio.create_task(client.execute("PING")) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyCalls):
            await client.execute("PING")
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert client._calls == 0

    asyncio.run(run())
