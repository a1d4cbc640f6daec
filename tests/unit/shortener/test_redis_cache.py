"""Redis as app servers and worker use it: a limit for every call, a bound on connections."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from redis.asyncio import BlockingConnectionPool, Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from shortener.breaker import Breaker, TransitionLog
from shortener.clicks import GROUP, STREAM
from shortener.lag import LagMeter, OutOfPatience
from shortener.link import Link
from shortener.redis_cache import CONNECTIONS_MAX, BoundedRedis, RedisCache, connect_redis
from shortener.settings import BreakerSettings, read_settings

LIMIT_S = 0.02
CALLS = {
    "GET": lambda client: client.get("link:a"),
    "SET": lambda client: client.set("link:a", "b", ex=5),
    "DEL": lambda client: client.delete("link:a"),
    "PING": lambda client: client.ping(),
    "XADD": lambda client: client.xadd(STREAM, {"id": "1"}, maxlen=5, approximate=True),
    "XREADGROUP": lambda client: client.xreadgroup(GROUP, "worker", {STREAM: ">"}, 5),
    "XACK": lambda client: client.xack(STREAM, GROUP, "1-0"),
    "XGROUP CREATE": lambda client: client.xgroup_create(STREAM, GROUP, mkstream=True),
    "XRANGE": lambda client: client.xrange(STREAM, "-", count=5),
}


class Hanging(Connection):
    """Stands still while it connects, or for the answer; `log` hears of what it does."""

    hangs_at = ""
    log: list[str] = []  # noqa: RUF012 - each test sets its own

    async def connect(self):
        self.log.append("connect")
        if self.hangs_at == "connect":
            await asyncio.Event().wait()

    async def send_command(self, *words, **_):
        self.log.append(str(words[0]))

    async def _read_response_from_parser(self, *_, **__):
        if self.hangs_at == "answer":
            await asyncio.Event().wait()
        return b"1"

    async def disconnect(self, *_, **__):
        self.log.append("disconnect")

    async def can_read(self):
        return False


def client_that_hangs(at="", connections=2):
    kind = type("Kind", (Hanging,), {"hangs_at": at, "log": []})
    pool = BlockingConnectionPool(
        connections,
        None,
        connection_class=kind,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return BoundedRedis(pool, LIMIT_S, LagMeter()), kind.log


@pytest.mark.parametrize("at", ["connect", "answer"])
@pytest.mark.parametrize("name", CALLS)
def test_every_call_ends_within_its_limit_and_frees_its_connection(name, at):
    async def run():
        client, log = client_that_hangs(at)
        for _ in range(3):  # one more than there are connections
            with pytest.raises(OutOfPatience):
                await asyncio.wait_for(CALLS[name](client), 5)
        assert not client.connection_pool._in_use_connections
        assert name.split()[0] in " ".join(log) or at == "connect"

    asyncio.run(run())


def test_a_connection_whose_answer_did_not_come_is_closed_before_it_is_used_again():
    async def run():
        client, log = client_that_hangs("answer")
        with pytest.raises(OutOfPatience):
            await client.get("a")
        assert log == ["connect", "GET", "disconnect"]

    asyncio.run(run())


def test_the_wait_for_a_free_connection_is_part_of_the_limit():
    async def run():
        client, log = client_that_hangs(connections=1)
        taken = await client.connection_pool.get_connection()
        with pytest.raises(OutOfPatience):
            await asyncio.wait_for(client.get("a"), 5)
        assert "GET" not in log
        await client.connection_pool.release(taken)
        assert await client.get("a") == b"1"

    asyncio.run(run())


def test_as_many_connections_as_may_be_and_no_limits_beside_the_calls_own():
    async def run():
        client = connect_redis(read_settings({}), LagMeter())
        pool = client.connection_pool
        kwargs = pool.connection_kwargs
        assert (pool.max_connections, pool.timeout) == (CONNECTIONS_MAX, None)
        assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (None, None)
        assert kwargs["retry"].get_retries() == 0

    asyncio.run(run())


def test_calls_that_hang_at_once_are_one_failure_of_redis_and_no_error():
    async def run():
        client, _ = client_that_hangs("answer")
        rules = BreakerSettings(enabled=True, failures=2, cooldown_s=60.0)
        breaker = Breaker("redis", rules, TransitionLog())
        cache = RedisCache(client, breaker, SimpleNamespace(redis_ttl_s=60))
        found = await asyncio.gather(*(cache.get(code) for code in "abcdef"))
        assert (found, breaker.failures, breaker.state) == ([None] * 6, 1, "CLOSED")
        cache.fill("a", Link("https://example.com/"))
        await asyncio.gather(*cache._fills)
        assert breaker.state == "OPEN"

    asyncio.run(run())
