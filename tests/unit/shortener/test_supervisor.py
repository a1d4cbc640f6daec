"""Background tasks can neither end nor hang unseen."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest
from shortener import supervisor
from shortener.supervisor import Supervisor


@pytest.fixture(autouse=True)
def _quick_and_quiet(monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(supervisor, "PAUSE_MAX_S", 0.0)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def make():
    clock = SimpleNamespace(now_s=100.0)
    return Supervisor(lambda: clock.now_s), clock


async def turns(times=5):
    for _ in range(times):
        await asyncio.sleep(0)


@pytest.mark.parametrize("ending", ["fails", "ends"])
def test_a_task_that_ends_is_started_again(ending):
    starts = []

    async def work(turned):
        starts.append(1)
        if len(starts) < 3:
            if ending == "fails":
                raise RuntimeError("a bug")
            return
        turned()
        await asyncio.Event().wait()

    async def run():
        tasks, _ = make()
        tasks.start("clicks", work, 5.0)
        await turns(20)
        assert (len(starts), tasks.restarts, tasks.sick()) == (3, {"clicks": 2}, {})
        await tasks.stop()

    asyncio.run(run())


def test_a_task_that_hangs_is_sick_until_it_turns_again():
    async def run():
        tasks, clock = make()
        go_on = asyncio.Event()

        async def work(turned):
            await go_on.wait()
            turned()
            await asyncio.Event().wait()

        tasks.start("clicks", work, 5.0)
        await turns()
        clock.now_s += 4.9
        assert tasks.sick() == {}
        clock.now_s += 0.2
        assert tasks.sick() == {"clicks": "has not turned for 5.1 s"}
        go_on.set()
        await turns()
        assert tasks.sick() == {}
        await tasks.stop()
        assert tasks.sick() == {"clicks": "ended"}

    asyncio.run(run())


def test_a_task_that_was_told_to_end_may():
    async def run():
        tasks, _ = make()
        told = asyncio.Event()

        async def work(turned):
            await told.wait()

        tasks.start("worker", work, 5.0)
        await turns()
        told.set()
        await tasks.finish("worker", 5.0)
        assert tasks.restarts == {"worker": 0}

    asyncio.run(run())


def test_a_task_that_does_not_end_in_time_is_cancelled():
    async def run():
        tasks, _ = make()
        tasks.start("worker", lambda turned: asyncio.Event().wait(), 5.0)
        await asyncio.wait_for(tasks.finish("worker", 0.01), 5)
        await turns()
        assert tasks.sick() == {"worker": "ended"}

    asyncio.run(run())
