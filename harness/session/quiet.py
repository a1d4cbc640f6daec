"""Before a run: who uses the CPU, how fast the machine is, waiting until it is quiet."""

from __future__ import annotations

from typing import Any

from harness.errors import MachineBusy
from harness.model.clock import wait_until
from harness.model.machine import Look, busy_words
from harness.model.quantity import format_duration
from harness.probes.machine import HIDDEN, look_facts
from harness.session.listener import Listener
from harness.session.project import Project

LOOK_S = 2.0


def look_first(project: Project, wait_s: float | None, listener: Listener) -> dict[str, Any]:
    """Watch the CPU for 2 s and say who uses it; the facts are for environment.json.

    With `wait_s`, wait at most that long until the machine is quiet; MachineBusy after that.
    """
    found = look_for(project, LOOK_S)
    speed = {"million_additions_per_s": round(project.speed(), 2)}
    if found is None:
        listener.say(f"  {HIDDEN}")
        return speed
    if words := busy_words(found):
        if wait_s is None:
            listener.say(f"  the machine is busy: {words}; missed limits will be INCONCLUSIVE")
            listener.say("  stop these programs, or run with --when-quiet")
        else:
            found = _wait(project, wait_s, words, listener)
    shares = found.shares
    facts = {**look_facts(found), "own_share": round(shares.own, 4)}
    return {"machine_look": {**facts, "taken_share": round(shares.taken, 4)}, **speed}


def look_for(project: Project, seconds: float) -> Look | None:
    """Who used the CPU in the next seconds; None if that cannot be measured."""
    source = project.processor_time()
    source.look()
    project.clock.sleep_until_s(project.clock.now_s() + seconds)
    return source.look()


def _wait(project: Project, wait_s: float, words: str, listener: Listener) -> Look:
    bound = format_duration(wait_s)
    listener.say(f"  the machine is busy: {words}; waiting until it is quiet, at most {bound}")
    began_s = project.clock.now_s()
    found, is_quiet = wait_until(
        project.clock,
        wait_s,
        look=lambda: look_for(project, LOOK_S),
        holds=lambda look: look and not busy_words(look),
        every_s=0,
    )
    if found is None or not is_quiet:
        words = busy_words(found) if found else ""
        raise MachineBusy(
            f"the machine was not quiet within {bound}: {words}; no load was sent",
            "stop these programs, or wait longer: --when-quiet=1h",
        )
    listener.say(f"  quiet after {format_duration(project.clock.now_s() - began_s)}")
    return found
