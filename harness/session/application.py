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
    """That of the bundled stack, if the target is that; else what its own settings say."""
    known = shortener.application_of(target)
    return known if known is not NO_APPLICATION else own_application(target)


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


def _readings(said: Readback, engine: Engine, http: Http, clock: Clock) -> tuple[Reading, ...]:
    return (readback_of(said, engine, http, clock),)
