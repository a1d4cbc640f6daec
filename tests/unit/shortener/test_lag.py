"""How long our own loop stood still, and the limits that leave it out, on a fake clock."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from shortener.lag import TICK_S, LagMeter, Patience

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
