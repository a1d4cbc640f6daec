"""How long our own loop stood still, and the limits that leave it out, on a fake clock."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from shortener.lag import TICK_S, LagMeter, OutOfPatience, Patience, within

LIMIT_S = 0.25


def make():
    clock = SimpleNamespace(now_s=100.0)
    return LagMeter(lambda: clock.now_s), clock


def tick(meter, clock, late_s):
    meter.begin_tick()
    clock.now_s += TICK_S + late_s
    meter.end_tick()


def test_stalls_add_up_and_noise_does_not():
    meter, clock = make()
    for late_s in (0.0, 0.009, 0.3, 0.2):
        tick(meter, clock, late_s)
    assert meter.stalled_s() == pytest.approx(0.5)


def test_a_stall_counts_before_its_timer_comes():
    meter, clock = make()
    meter.begin_tick()
    clock.now_s += TICK_S + 0.4
    assert meter.stalled_s() == pytest.approx(0.4)
    meter.end_tick()
    assert meter.stalled_s() == pytest.approx(0.4)  # and only once


def test_before_the_first_tick_nothing_is_measured():
    meter, clock = make()
    clock.now_s += 99
    assert meter.stalled_s() == 0.0


def test_a_call_gets_its_limit_in_time_in_which_the_loop_turned():
    meter, clock = make()
    patience = Patience(LIMIT_S, meter, lambda: clock.now_s)
    assert patience.left_s() == pytest.approx(LIMIT_S)
    tick(meter, clock, 0.15)
    assert patience.left_s() == pytest.approx(LIMIT_S - TICK_S)
    clock.now_s += LIMIT_S - TICK_S
    assert patience.left_s() == pytest.approx(0.0)


def test_it_never_waits_for_more_than_twice_its_limit():
    meter, clock = make()
    patience = Patience(LIMIT_S, meter, lambda: clock.now_s)
    tick(meter, clock, 10.0)
    assert patience.left_s() < 0
    patience = Patience(LIMIT_S, meter, lambda: clock.now_s)
    tick(meter, clock, 2 * LIMIT_S - TICK_S - 0.01)
    assert patience.left_s() == pytest.approx(0.01)


def test_stalls_before_a_call_are_none_of_its_time():
    meter, clock = make()
    tick(meter, clock, 5.0)
    patience = Patience(LIMIT_S, meter, lambda: clock.now_s)
    clock.now_s += LIMIT_S
    assert patience.left_s() == pytest.approx(0.0)


def test_it_tells_of_every_turn():
    turns = []

    async def run():
        task = asyncio.create_task(LagMeter().run(lambda: turns.append(1) or task.cancel()))
        await asyncio.wait([task], timeout=5)

    asyncio.run(run())
    assert turns == [1]


SHORT_S = 0.02


def test_a_call_that_takes_too_long_is_cancelled_and_says_so():
    async def run():
        call = asyncio.get_running_loop().create_future()
        with pytest.raises(OutOfPatience, match=r"within 0\.02 s"):
            await within(SHORT_S, LagMeter(), call)
        assert call.cancelled()

    asyncio.run(run())


@pytest.mark.parametrize("error", [TimeoutError("its own"), ConnectionResetError("reset")])
def test_the_errors_of_a_call_are_its_own(error):
    async def fails():
        raise error

    async def run():
        with pytest.raises(type(error)) as caught:
            await within(SHORT_S, LagMeter(), fails())
        assert caught.value is error

    asyncio.run(run())


def test_an_answer_that_came_while_our_loop_stood_still_is_read():
    """The limit is over when the loop turns again, and only then the answer can be read."""

    async def run():
        loop = asyncio.get_running_loop()
        meter = SimpleNamespace(now_s=0.0, stalled_s=lambda: meter.now_s)
        call = loop.create_future()
        loop.call_later(1.5 * SHORT_S, call.set_result, "answer")
        waiting = asyncio.create_task(within(SHORT_S, meter, call))
        await asyncio.sleep(0)
        meter.now_s = SHORT_S
        assert await waiting == "answer"

    asyncio.run(run())


def test_whoever_cancels_a_call_hears_of_no_limit():
    async def run():
        waiting = asyncio.create_task(
            within(SHORT_S, LagMeter(), asyncio.get_running_loop().create_future())
        )
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())
