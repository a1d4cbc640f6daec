"""A change is acknowledged only when no cache can hold what was there before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from shortener import service as service_module
from shortener.changes import Changes
from shortener.database import Unavailable, Url
from shortener.link import Link
from shortener.local_cache import LocalCache
from shortener.service import Service

OLD, NEW = "https://example.com/old", "https://example.com/new"


class Redis:
    """What all servers share; `is_away` while it is not to be had."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.told: list[tuple[str, str]] = []
        self.is_away = False

    async def get(self, code: str) -> Link | None:
        return self.links.get(code)

    def fill(self, code: str, link: Link) -> None:
        self.links.setdefault(code, link)

    async def replace(self, code: str, link: Link | None) -> bool:
        if self.is_away:
            return False
        self.links[code] = link or Link("")
        self.told.append((str(len(self.told) + 1), code))
        return True

    async def drop(self, code: str) -> None:
        self.links.pop(code, None)

    async def changes_after(self, position: str) -> list[tuple[str, str]]:
        later = [row for row in self.told if int(row[0]) > int(position.partition("-")[0])]
        return [] if self.is_away else later[:2]


class Rows:
    """A database whose replica lags: it goes on showing what was there."""

    async def find(self, code: str, *_: float) -> Url:
        return Url(code, OLD, datetime.now(UTC), None, "db-3")

    async def remove(self, code: str) -> bool:
        return True

    async def change(self, code: str, url: str) -> Url | None:
        return Url(code, url, datetime.now(UTC), None, "db-1") if code == "a" else None

    async def add(self, code: str, url: str, *_: Any) -> tuple[Url, bool]:
        return Url(code, url, datetime.now(UTC), None, "db-1"), True


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened until all servers had the time to hear of a change; nothing waits."""
    events: list[str] = []

    async def sleep(_: float) -> None:
        events.append("waited")

    monkeypatch.setattr(service_module.asyncio, "sleep", sleep)
    return events


def server(redis: Redis) -> Any:
    made: Any = object.__new__(Service)
    made.local, made.redis, made.database = LocalCache(10, 300.0), redis, Rows()
    made.changes = Changes(redis, made.local.drop)  # type: ignore[arg-type]
    made._settings = SimpleNamespace(read_deadline_s=1.0, db_read_timeout_s=1.0)
    return made


def test_a_deleted_link_is_in_no_cache_and_a_late_replica_does_not_bring_it_back(
    heard: list[str],
) -> None:
    async def delete() -> None:
        redis = Redis()
        one, other = server(redis), server(redis)
        assert [(await each.find("a")).long_url for each in (one, other)] == [OLD, OLD]
        assert await one.remove("a")
        assert heard == ["waited"]
        await other.changes.poll()
        assert [await each.find("a") for each in (one, other)] == [None, None]

    asyncio.run(delete())


def test_a_changed_link_leads_on_all_servers_where_it_was_changed_to(heard: list[str]) -> None:
    async def change() -> None:
        redis = Redis()
        one, other = server(redis), server(redis)
        await other.find("a")
        assert (await one.change("a", NEW)).long_url == NEW
        await other.changes.poll()
        assert [(await each.find("a")).long_url for each in (one, other)] == [NEW, NEW]
        assert await one.change("unknown", NEW) is None
        assert heard == ["waited"]

    asyncio.run(change())


def test_what_the_caches_cannot_be_told_is_not_acknowledged(heard: list[str]) -> None:
    redis = Redis()
    redis.is_away = True
    with pytest.raises(Unavailable) as caught:
        asyncio.run(server(redis).remove("a"))
    assert caught.value.attempted
    assert heard == []


def test_a_server_that_could_not_ask_forgets_all_that_it_missed(heard: list[str]) -> None:
    async def miss() -> None:
        redis = Redis()
        one, other = server(redis), server(redis)
        for code in "abcde":
            await other.find(code)
            await one.remove(code)
        assert len(other.local) == 5
        await other.changes.poll()
        assert len(other.local) == 0

    asyncio.run(miss())


def test_a_name_that_was_deleted_may_be_used_again(heard: list[str]) -> None:
    async def reuse() -> None:
        one = server(Redis())
        await one.remove("a")
        new = SimpleNamespace(alias="a", url=OLD, idempotency_key=None, ttl_s=None)
        await one.add(new)
        assert (await one.find("a")).long_url == OLD

    asyncio.run(reuse())
