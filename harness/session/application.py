"""What is known of a target's application: the bundled one, or what its target file says."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from harness.adapters.readback import readback_of
from harness.application import NO_APPLICATION, Application, Reading
from harness.bundled import shortener
from harness.faults.base import Engine
from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.readback import Readback
from harness.model.target import Target


def application_of(target: Target) -> Application:
    """That of the bundled stack, if the target is that; else what its own settings say.

    Where an experiment on the bundled stack says how writes are read back, they are read so alone.
    """
    known = shortener.application_of(target)
    if known is NO_APPLICATION:
        return own_application(target)
    return known if target.readback is None else _read_back_otherwise(known, target.readback)


def own_application(target: Target) -> Application:
    """What a user's own project can be asked; NO_APPLICATION if its settings say nothing."""
    readback, cache = target.readback, target.headers.get("cache")
    tiers = cache.names if cache else frozenset()
    found = Application(tiers=tiers, monitoring=target.monitoring)
    if readback is None:
        return found if found != NO_APPLICATION else NO_APPLICATION
    return replace(
        found,
        readings=partial(_readings, readback),
        tells=frozenset({"writes"}),
        readback=readback,
    )


def _read_back_otherwise(known: Application, said: Readback) -> Application:
    """The same application, with its other readings."""

    def readings(engine: Engine, http: Http, clock: Clock) -> tuple[Reading, ...]:
        mine = readback_of(said, engine, http, clock)
        others = known.readings(engine, http, clock)
        return (mine, *(each for each in others if each.name != mine.name))

    return replace(known, readings=readings, readback=said)


def _readings(said: Readback, engine: Engine, http: Http, clock: Clock) -> tuple[Reading, ...]:
    return (readback_of(said, engine, http, clock),)
