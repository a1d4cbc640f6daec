"""Background tasks that cannot end or hang unseen: restarted, logged, and told by /ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

FIRST_PAUSE_S, PAUSE_MAX_S = 0.1, 10.0
STOP_S = 2.0
Work = Callable[[Callable[[], None]], Awaitable[None]]
"""Works until cancelled, and calls its argument each time its loop has turned."""


@dataclass
class _Task:
    work: Work
    turns_within_s: float
    turned_s: float
    failures: int = 0
    may_end: bool = False
    running: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps background tasks going; one that ended is started again, ever less often."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._tasks: dict[str, _Task] = {}

    def start(self, name: str, work: Work, turns_within_s: float) -> None:
        """Run `work` from now on; it is sick once it has not turned for `turns_within_s`."""
        task = self._tasks[name] = _Task(work, turns_within_s, self._clock())
        task.running = asyncio.create_task(self._keep(name, task), name=name)

    def sick(self) -> dict[str, str]:
        """What is wrong with each task that does not do its work; empty if all do."""
        found = {}
        for name, task in self._tasks.items():
            still_s = self._clock() - task.turned_s
            if task.running is None or task.running.done():
                found[name] = "ended"
            elif still_s > task.turns_within_s:
                found[name] = f"has not turned for {still_s:.1f} s"
        return found

    @property
    def restarts(self) -> dict[str, int]:
        """How often each task had to be started again."""
        return {name: task.failures for name, task in self._tasks.items()}

    async def finish(self, name: str, within_s: float) -> None:
        """Wait until a task that was told to end has ended; cancel it after `within_s`."""
        task = self._tasks[name]
        task.may_end = True
        if task.running is not None:
            await asyncio.wait([task.running], timeout=within_s)
            task.running.cancel()

    async def stop(self) -> None:
        """Cancel all and wait for them, 2 s at most."""
        running = [task.running for task in self._tasks.values() if task.running]
        for each in running:
            each.cancel()
        if running:
            await asyncio.wait(running, timeout=STOP_S)

    async def _keep(self, name: str, task: _Task) -> None:
        pause_s = FIRST_PAUSE_S

        def turned() -> None:
            nonlocal pause_s
            task.turned_s, pause_s = self._clock(), FIRST_PAUSE_S

        while True:
            try:
                await task.work(turned)
                if task.may_end:
                    return
                logging.error("background task %s ended; it starts again", name)
            except Exception:
                logging.exception("background task %s failed; it starts again", name)
            task.failures += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
