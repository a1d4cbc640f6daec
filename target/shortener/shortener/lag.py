"""How long this process's own event loop stood still: time that says nothing about others.

A busy machine wakes a process late. An answer may then lie unread in a socket while the limit for
it passes; whoever measures such a limit measures himself.

  call      |--------- limit ---------|. . . . . .|
  our loop  ####......######################           # turns   . stands still
                ^^^^^^ is added to the limit
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

TICK_S = 0.05
NOISE_S = 0.01  # a timer is never quite on time
Result = TypeVar("Result")


class OutOfPatience(TimeoutError):
    """No answer within a limit that our own loop's stalls were added to."""


class LagMeter:
    """Adds up by how much a timer of 50 ms came late; a stall is seen to within that time."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._stalled_s = 0.0
        self._due_s = float("inf")

    def stalled_s(self) -> float:
        """Seconds for which the loop stood still so far, up to this moment."""
        late_s = self._clock() - self._due_s
        return self._stalled_s + (late_s if late_s > NOISE_S else 0.0)

    async def run(self, turned: Callable[[], None]) -> None:
        """Measure until cancelled; `turned` hears of every tick."""
        while True:
            self.begin_tick()
            await asyncio.sleep(TICK_S)
            self.end_tick()
            turned()

    def begin_tick(self) -> None:
        """The timer is set."""
        self._due_s = self._clock() + TICK_S

    def end_tick(self) -> None:
        """The timer came."""
        self._stalled_s = self.stalled_s()
        self._due_s = float("inf")


class Patience:
    """The limit of one call: `limit_s`, and as much more as our loop stood still meanwhile.

    Never more than twice `limit_s`: whoever waits for us has a limit too.
    """

    __slots__ = ("_began_s", "_clock", "_limit_s", "_meter", "_stalled_s")

    def __init__(
        self, limit_s: float, meter: LagMeter, clock: Callable[[], float] = monotonic
    ) -> None:
        self._limit_s, self._meter, self._clock = limit_s, meter, clock
        self._began_s, self._stalled_s = clock(), meter.stalled_s()

    def left_s(self) -> float:
        """Seconds that are left; 0 or less: the call has had its time."""
        excused_s = min(self._meter.stalled_s() - self._stalled_s, self._limit_s)
        return self._began_s + self._limit_s + excused_s - self._clock()


async def within(limit_s: float, meter: LagMeter, call: Awaitable[Result]) -> Result:
    """The result of `call`; OutOfPatience, and `call` cancelled, if it takes longer.

    The limit is looked at again when it is over, so a call whose answer lay unread while our loop
    stood still gets the time to read it.
    """
    loop = asyncio.get_running_loop()
    patience = Patience(limit_s, meter)

    def look() -> None:
        nonlocal timer
        left_s = patience.left_s()
        if left_s > 0:
            timer = loop.call_later(left_s, look)
        else:
            scope.reschedule(loop.time())

    timer = loop.call_later(limit_s, look)
    try:
        async with asyncio.timeout(None) as scope:
            return await call
    except TimeoutError as error:
        if scope.expired():
            raise OutOfPatience(f"no answer within {limit_s:g} s") from error
        raise
    finally:
        timer.cancel()
