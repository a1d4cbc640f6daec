"""A circuit breaker whose every transition is logged with its time.

          5 failures in a row
  CLOSED ---------------------> OPEN
    ^ ^                         |  ^
    | | success resets          |  | the probe fails
    |   the count               |  |
    |       cool-down is over   v  |
    +------------------------ HALF_OPEN (exactly one probe)
         the probe succeeds

The text's pseudo-code lets every call through in HALF_OPEN, needs five failures to open again,
and never resets the count on a success; this one does all three right.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Literal, TypeVar

from shortener.settings import BreakerSettings

State = Literal["CLOSED", "OPEN", "HALF_OPEN"]
Result = TypeVar("Result")
LOG_SIZE = 1000


class BreakerOpen(Exception):
    """The breaker is open: the call was not tried."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state; `failures` is the count of failures in a row that led to it.

    `probes` is the number of calls let through while HALF_OPEN; None outside of it.
    """

    seq: int
    monotonic_s: float
    breaker: str
    from_state: State
    to_state: State
    failures: int
    probes: int | None
    reason: str


class TransitionLog:
    """The last transitions of all breakers of this process; `boot` tells processes apart."""

    def __init__(self) -> None:
        self.boot = secrets.token_hex(6)
        self.entries: deque[Transition] = deque(maxlen=LOG_SIZE)
        self._sequence = count(1)

    def next_seq(self) -> int:
        """The number of the next transition: 1, 2, 3, ..."""
        return next(self._sequence)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; `generation` tells whether its result still matters."""

    generation: int


class Breaker:
    """One circuit breaker; not thread-safe: one event loop uses it."""

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        log: TransitionLog,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.name, self.enabled = name, settings.enabled
        self.threshold, self.cooldown_s = settings.failures, settings.cooldown_s
        self.state: State = "CLOSED"
        self.failures = 0
        self.fast_fails = 0
        self.fast_fail_times_s: deque[float] = deque(maxlen=LOG_SIZE)
        self._log, self._clock = log, clock
        self._opened_s = 0.0
        self._generation = 0
        self._probes: int | None = None

    @property
    def is_closed(self) -> bool:
        """Whether calls go through as usual."""
        return self.state == "CLOSED"

    def permit(self) -> Permit:
        """Leave for one call; BreakerOpen if it must fail fast.

        After the cool-down exactly one call gets through as the probe. Calls of an older
        generation (begun before the last transition) change nothing when they end.
        """
        if self.state == "OPEN" and self._clock() - self._opened_s >= self.cooldown_s:
            self._change("HALF_OPEN", "cool-down over: one probe")
            self._probes = 1
            return Permit(self._generation)
        if self.state != "CLOSED":
            self.fast_fails += 1
            raise BreakerOpen(self.name)
        return Permit(self._generation)

    def succeeded(self, permit: Permit) -> None:
        """The call ended well."""
        if permit.generation != self._generation:
            return
        self.failures = 0
        if self.state == "HALF_OPEN":
            self._change("CLOSED", "the probe succeeded")

    def failed(self, permit: Permit, reason: str) -> None:
        """The call failed (an error, a time-out, or nobody waited for its end)."""
        if permit.generation != self._generation or not self.enabled:
            return
        self.failures += 1
        if self.state == "HALF_OPEN" or self.failures >= self.threshold:
            self._change("OPEN", reason)

    async def call(
        self,
        function: Callable[[], Awaitable[Result]],
        failures: tuple[type[BaseException], ...] = (Exception,),
    ) -> Result:
        """Await `function()` under the breaker; other errors than `failures` count as answers."""
        started_s = self._clock()
        try:
            permit = self.permit()
        except BreakerOpen:
            self.fast_fail_times_s.append(self._clock() - started_s)
            raise
        try:
            result = await function()
        except BaseException as error:
            if isinstance(error, failures) or not isinstance(error, Exception):
                self.failed(permit, type(error).__name__)  # a cancelled probe must not hang
            else:
                self.succeeded(permit)
            raise
        self.succeeded(permit)
        return result

    def _change(self, to: State, reason: str) -> None:
        at_s, number = self._clock(), self._log.next_seq()
        self._log.entries.append(
            Transition(number, at_s, self.name, self.state, to, self.failures, self._probes, reason)
        )
        self.state, self._probes = to, None
        self._generation += 1
        if to == "OPEN":
            self._opened_s = at_s
