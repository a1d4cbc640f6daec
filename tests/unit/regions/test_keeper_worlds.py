"""Never do two regions take writes, whatever happens to messages, clocks and keepers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from keeper_world import CALM, Weather, World

SEEDS = range(150)
LONG_S = 300.0


@pytest.mark.parametrize("first", SEEDS[::10])
def test_never_do_two_regions_take_writes(first: int) -> None:
    for seed in range(first, first + 10):
        world = World(seed, Weather())
        world.run(LONG_S)
        assert world.faults == [], seed


def test_the_worlds_are_worth_it() -> None:
    """Most of them see writes in several regions: what never writes could not pass."""
    worlds = [World(seed, Weather()) for seed in SEEDS[:40]]
    for world in worlds:
        world.run(LONG_S)
    assert sum(len(world.writers) > 1 for world in worlds) > 20
    assert sum(len(world.writers) > 2 for world in worlds) > 8


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(replace(Weather(), has_switch=False), id="no switch in the database"),
        pytest.param(replace(Weather(), starts_closed=False), id="a new primary starts open"),
        pytest.param(replace(Weather(), drift=0.5), id="clocks that cannot be trusted"),
    ],
)
def test_without_what_keeps_them_apart_two_do(weather: Weather) -> None:
    assert any(_has_faults(World(seed, weather)) for seed in SEEDS)


def test_without_the_margin_two_do() -> None:
    assert any(_has_faults(World(seed, Weather(), fence=1.5)) for seed in SEEDS)


def test_the_first_region_takes_writes_from_the_start() -> None:
    world = World(0, CALM)
    world.run(10)
    assert world.writable() == ["us"]
    world.run(120)
    assert world.writers == ["us"]


def test_the_next_region_takes_over_when_the_holder_is_cut_off() -> None:
    world = World(0, CALM)
    world.run(10)
    world.regions["us"].is_cut = True
    world.run(18)
    assert world.writable() == []  # closed, and nobody else yet
    world.run(33)
    assert world.writable() == ["eu"]
    world.regions["us"].is_cut = False
    world.run(60)
    us = world.regions["us"]
    assert (us.is_standby, us.follows, us.is_closed) == (True, "links:eu", False)
    assert world.regions["ap"].follows == "links:eu"
    assert (world.writers, world.faults) == (["us", "eu"], [])


def test_the_third_region_takes_over_when_two_are_cut_off() -> None:
    """Of the keepers only: the geo etcd has its majority."""
    world = World(0, CALM)
    world.run(10)
    for name in ("us", "eu"):
        world.regions[name].is_cut = True
    world.run(35)
    assert world.writable() == ["ap"]


def test_nobody_takes_over_where_it_is_a_persons_task() -> None:
    world = World(0, replace(CALM, is_automatic=False))
    world.run(10)
    world.regions["us"].is_cut = True
    world.run(100)
    assert world.writable() == []
    world.geo = replace(world.geo, wanted="ap")
    world.run(120)
    assert world.writable() == ["ap"]


def test_the_old_holder_writes_on_when_nobody_took_over() -> None:
    world = World(0, replace(CALM, is_automatic=False))
    world.run(10)
    world.regions["us"].is_cut = True
    world.run(60)
    world.regions["us"].is_cut = False
    world.run(70)
    assert world.writable() == ["us"]


def test_a_holder_hands_over_to_who_is_wanted() -> None:
    world = World(0, CALM)
    world.run(10)
    world.geo = replace(world.geo, wanted="ap")
    before = world.regions["us"].position
    world.regions["ap"].position = before + 1000  # replication goes on
    world.run(25)
    assert world.writable() == ["ap"]
    assert world.faults == []


def test_who_is_wanted_waits_for_the_last_write() -> None:
    world = World(0, CALM)
    world.run(10)
    world.geo = replace(world.geo, wanted="ap")
    world.run(25)
    assert world.writable() == []
    world.regions["ap"].position = world.regions["us"].position
    world.run(40)
    assert world.writable() == ["ap"]


def _has_faults(world: World) -> bool:
    world.run(LONG_S)
    return bool(world.faults)
