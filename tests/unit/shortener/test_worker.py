"""The worker's promise: whenever it ends, every batch is counted, and once."""

from __future__ import annotations

import asyncio
import json

import pytest
from shortener.clicks import GROUP, STREAM
from shortener.worker import READ_COUNT, Worker


class Stream:
    """A stream with one group: what was read and not acknowledged is delivered again."""

    def __init__(self, batches):
        self.entries = [
            (f"{n}-0", {"id": f"batch-{n}", "counts": json.dumps(counts)})
            for n, counts in enumerate(batches)
        ]
        self.read, self.acknowledged = 0, set()
        self.on_ack = lambda: None

    async def xgroup_create(self, *_, **__):
        await asyncio.sleep(0)

    async def xreadgroup(self, group, consumer, positions, count):
        await asyncio.sleep(0)
        assert (group, consumer, count) == (GROUP, "worker", READ_COUNT)
        if positions[STREAM] == ">":
            found, self.read = self.entries[self.read :], len(self.entries)
        else:
            found = [e for e in self.entries[: self.read] if e[0] not in self.acknowledged]
        return [[STREAM, found]] if found else []

    async def xack(self, name, group, entry_id):
        await asyncio.sleep(0)
        assert (name, group) == (STREAM, GROUP)
        self.acknowledged.add(entry_id)
        self.on_ack()


class Table:
    """The database: a batch that was stored before changes nothing."""

    def __init__(self):
        self.stored, self.counts = set(), {}

    async def run(self, work):
        await asyncio.sleep(0)
        if hasattr(work, "keywords"):
            batch_id, counts = work.keywords["batch_id"], work.keywords["counts"]
            if batch_id not in self.stored:
                self.stored.add(batch_id)
                for code, clicks in counts.items():
                    self.counts[code] = self.counts.get(code, 0) + clicks


BATCHES = [{"a": 1}, {"a": 2, "b": 1}, {"c": 5}]
EVERYTHING = {"a": 3, "b": 1, "c": 5}


def test_told_to_stop_in_the_middle_of_its_batches_it_finishes_them():
    stream, table = Stream(BATCHES), Table()

    async def run():
        worker = Worker("worker", stream, table)
        stream.on_ack = worker.stop
        await asyncio.wait_for(worker.run(lambda: None), 5)

    asyncio.run(run())
    assert table.counts == EVERYTHING
    assert len(stream.acknowledged) == len(BATCHES)


@pytest.mark.parametrize("turns", range(1, 12))
def test_killed_at_any_moment_the_next_worker_counts_the_rest_once(turns):
    stream, table = Stream(BATCHES), Table()

    async def run():
        first = asyncio.create_task(Worker("worker", stream, table).run(lambda: None))
        for _ in range(turns):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = Worker("worker", stream, table)
        while await second.move("0") + await second.move(">"):
            pass

    asyncio.run(run())
    assert table.counts == EVERYTHING


def test_it_tells_of_its_turns_while_there_is_nothing_to_do():
    async def run():
        worker = Worker("worker", Stream([]), Table())
        await asyncio.wait_for(worker.run(worker.stop), 5)

    asyncio.run(run())
