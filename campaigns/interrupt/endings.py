"""Ways in which a run ends before its time; each says what is wrong after it, or nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from campaigns.interrupt.experiments import CUT, EVERYTHING, KILLED, SMALL
from campaigns.interrupt.run import Run, harness, healthy_after_s
from campaigns.interrupt.stack import Stack
from campaigns.interrupt.waiting import left_after
from harness.lock import lock_holder
from harness.watchdog import STILL_S

RESCUED_S = 10.0  # healed within this time after a SIGKILL, automatically
LOCKED_S = 60.0  # a watchdog waits for a call that was in flight to take effect
GONE_S = 5.0
HEAL_LIMIT_S = 60.0 + 15.0
"""A breaker that opened just before its link was whole again stays open for 60 s."""


def interrupted(stack: Stack, number: signal.Signals, moment: str, output: Path) -> list[str]:
    """What is wrong after a signal at that moment; after SIGKILL the watchdog ends it."""
    run = Run(SMALL, output)
    run.wait_for(moment)
    run.process.send_signal(number)
    code, wrong = run.end(), []
    if number == signal.SIGKILL:
        wrong += _rescued(stack, RESCUED_S)
    elif code != 130 and moment != "load.summary":  # it may be over before the signal comes
        wrong.append(f"exit code {code}")
    wrong += stack.leftovers()
    if (status := run.status()) != "interrupted" and moment != "load.summary":
        wrong.append(f"the run folder says {status}")
    if moment not in ("run.started", "fault.injecting", "fault.active") and run.samples() < 50:
        wrong.append(f"{run.samples()} samples kept")
    wrong += _gone(run)
    healthy_after_s()
    return wrong


def killed(
    stack: Stack, text: str, victim: str, output: Path, moment: str = "fault.active"
) -> list[str]:
    """The runner of an experiment, or its whole process group, is killed at that moment."""
    run = Run(text, output)
    run.wait_for(moment)
    (os.killpg if victim == "group" else os.kill)(run.process.pid, signal.SIGKILL)
    run.end()
    wrong = _rescued(stack, RESCUED_S) + stack.leftovers()
    if (status := run.status()) != "interrupted":
        wrong.append(f"the run folder says {status}")
    wrong += _gone(run)
    healthy_after_s()
    return wrong


def both_killed(stack: Stack, output: Path) -> list[str]:
    """Runner and watchdog: nothing heals by itself, `harness heal` does."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    for pid in run.watchdogs():
        os.kill(pid, signal.SIGKILL)
    run.process.kill()
    run.end()
    wrong = [] if stack.broken() else ["nothing was left to heal"]
    code, text = harness("heal")
    wrong += [] if code == 0 else [f"heal ended with {code}: {text[-300:]}"]
    wrong += stack.leftovers() + _gone(run)
    healthy_after_s()
    return wrong


def stopped_from_a_second_terminal(stack: Stack, output: Path) -> list[str]:
    """`harness heal --stop` while all faults are active."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    code, text = harness("heal", "--stop")
    wrong = [] if code == 0 else [f"heal --stop ended with {code}: {text[-300:]}"]
    wrong += [] if run.end() == 130 else ["the run did not end as interrupted"]
    wrong += stack.leftovers()
    healthy_after_s()
    return wrong


def asleep_for_a_while(stack: Stack, number: signal.Signals, output: Path) -> list[str]:
    """The runner is suspended while faults are active, the watchdog heals, the runner resumes."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    run.process.send_signal(number)
    wrong = left_after(STILL_S + RESCUED_S, stack.broken)
    run.process.send_signal(signal.SIGCONT)
    code = run.end()
    wrong += [] if code == 130 else [f"exit code {code}: {run.text()[-300:]}"]
    wrong += stack.leftovers()
    healthy_after_s()
    return wrong


def everything_broken(stack: Stack, facts: dict[str, float], output: Path) -> list[str]:
    """All links cut, all servers killed, and then the harness too; `facts` get the times."""
    run = Run(EVERYTHING, output)
    run.wait_for(f"fault.active {len(CUT) + len(KILLED)}")
    run.process.send_signal(signal.SIGKILL)
    run.end()
    started_s = time.monotonic()
    code, text = harness("heal")  # waits for the watchdog, which heals
    heal_s = time.monotonic() - started_s
    wrong = [] if code == 0 else [f"heal ended with {code}: {text[-300:]}"]
    wrong += stack.leftovers()
    total_s = heal_s + healthy_after_s()
    if total_s > HEAL_LIMIT_S:
        wrong.append(f"healthy after {total_s:.1f} s, more than {HEAL_LIMIT_S:.0f} s")
    facts.update(heal_s=round(heal_s, 1), healthy_s=round(total_s, 1))
    return wrong


def _rescued(stack: Stack, within_s: float) -> list[str]:
    """What is still broken this long after the runner's end; then the lock must be free again."""
    wrong = left_after(within_s, stack.broken)
    holder = left_after(LOCKED_S, lambda: lock_holder(stack.state / "lock"))
    return wrong + ([f"the lock is still held: {holder.text}"] if holder else [])


def _gone(run: Run) -> list[str]:
    """The processes of the run that do not end by themselves."""
    return [f"still runs: {line[:80]}" for line in left_after(GONE_S, run.children)]
