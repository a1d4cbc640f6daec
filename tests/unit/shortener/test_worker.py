"""The worker's promise: whenever it ends, every batch is counted, and once."""

from __future__ import annotations

import asyncio
import json

import pytest
from shortener.clicks import BATCH_CODES_MAX, GROUP, STREAM
from shortener.worker import READ_COUNT, Worker, in_parts


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

    async def xack(self, name, group, *entry_ids):
        await asyncio.sleep(0)
        assert (name, group) == (STREAM, GROUP)
        self.acknowledged.update(entry_ids)
        self.on_ack()


class Table:
    """The database: a batch that was stored before changes nothing."""

    def __init__(self):
        self.stored, self.counts = set(), {}

    async def run(self, work):
        await asyncio.sleep(0)
        if hasattr(work, "keywords"):
            for batch_id, counts in work.keywords["batches"].items():
                if batch_id not in self.stored:
                    self.stored.add(batch_id)
                    for code, clicks in counts.items():
                        self.counts[code] = self.counts.get(code, 0) + clicks


MANY = {f"m{n}": 1 for n in range(BATCH_CODES_MAX)}
BATCHES = [{"a": 1}, {"a": 2, "b": 1}, MANY, {"c": 5}]
EVERYTHING = {"a": 3, "b": 1, "c": 5} | MANY


def test_batches_are_stored_together_up_to_so_many_codes():
    entries = Stream(BATCHES).entries
    assert [(ids, list(batches)) for ids, batches in in_parts(entries)] == [
        (["0-0", "1-0"], ["batch-0", "batch-1"]),
        (["2-0"], ["batch-2"]),
        (["3-0"], ["batch-3"]),
    ]


def test_a_batch_that_was_handed_over_twice_is_one_and_what_is_none_is_acknowledged():
    [first, second, *_] = Stream(BATCHES).entries
    again = ("9-0", first[1])
    [(ids, batches)] = in_parts([first, second, again, ("10-0", None), ("11-0", {"counts": "x"})])
    assert ids == ["0-0", "1-0", "9-0", "10-0", "11-0"]
    assert batches == {"batch-0": {"a": 1}, "batch-1": {"a": 2, "b": 1}}
    assert list(in_parts([])) == []


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
