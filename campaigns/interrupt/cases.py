"""All cases by name, in their order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from campaigns.interrupt.endings import (
    asleep_for_a_while,
    both_killed,
    everything_broken,
    interrupted,
    killed,
    stopped_from_a_second_terminal,
)
from campaigns.interrupt.experiments import KINDS, REMEDIED
from campaigns.interrupt.stack import Stack
from campaigns.interrupt.surroundings import disk_full, engine_restarted, toxiproxy_killed

Case = Callable[[Path], list[str]]
"""Takes the folder for its reports, and says what is wrong at its end."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
MOMENTS = (
    "run.started", "fault.injecting", "fault.active", "fault.active 4", "fault.healing",
    "fault.healed", "fault.healed 4", "load.summary",
)  # fmt: skip
"""An event of the run, and which one of several."""


def all_cases(stack: Stack, restart_engine: str | None, facts: dict[str, float]) -> dict[str, Case]:
    """Each begins with a healthy stack; what is measured goes to `facts`.

    `restart_engine` is the command for it; without one, or without root, a case is left out.
    """
    cases: dict[str, Case] = {
        f"{number.name} at {moment}": partial(interrupted, stack, number, moment)
        for moment in MOMENTS
        for number in SIGNALS
    }
    cases["heal --stop"] = partial(stopped_from_a_second_terminal, stack)
    for number in (signal.SIGSTOP, signal.SIGTSTP):
        cases[f"asleep by {number.name}"] = partial(asleep_for_a_while, stack, number)
    for kind in KINDS:
        for victim in ("runner", "group"):
            cases[f"{victim} killed, {kind}"] = partial(killed, stack, KINDS[kind], victim)
    for moment in ("remedy.started", "remedy.done"):
        cases[f"runner killed at {moment}"] = partial(
            killed, stack, REMEDIED, "runner", moment=moment
        )
    cases["runner and watchdog killed"] = partial(both_killed, stack)
    cases["Toxiproxy killed"] = partial(toxiproxy_killed, stack)
    if os.geteuid() == 0:
        cases["disk full"] = partial(disk_full, stack)
    if restart_engine:
        cases["engine restarted"] = partial(engine_restarted, stack, restart_engine)
    cases["everything broken"] = partial(everything_broken, stack, facts)
    return cases
