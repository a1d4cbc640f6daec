"""The schema and the seed: each once, whatever was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shortener.migrate import SEED, migrate


class FakeConnection:
    """A database that has these codes; remembers what it was told to do."""

    def __init__(self, *codes: str) -> None:
        self.codes = codes
        self.told: list[str] = []

    async def execute(self, sql: str, *_: object) -> str:
        self.told.append(sql)
        return "INSERT 0 0"

    async def fetchval(self, _: str, code: str) -> bool:
        return code not in self.codes

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield


def is_seeded(*codes: str) -> bool:
    connection = FakeConnection(*codes)
    asyncio.run(migrate(connection))
    return SEED.read_text() in connection.told


def test_a_table_without_the_seed_is_seeded_whatever_else_is_in_it() -> None:
    """A health check may have made a link before a seed that was interrupted."""
    assert is_seeded()
    assert is_seeded("aB3dE6gH")


def test_a_table_with_the_seed_is_not_seeded_again() -> None:
    assert not is_seeded("h000000")
    assert "'h' || lpad(i::text, 6, '0')" in SEED.read_text()
