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

What counts as a failure:

- A connection that is refused, reset or closed always does.
- A time-out says less, for whoever is slow may not be dead. All calls that were under way when one
  was counted are the same evidence, and count no more: five calls that wait for one hiccup are one
  failure. And after time-outs alone the cool-down is `timeout_cooldown_s`.
- A time-out of a call during which our own event loop stood still (`EXCUSED_FROM_S` or longer) is
  no evidence, neither failure nor success. But every fifth of these in a row is one, for a dead
  dependency and a busy machine can meet; and a limit that the stalls were added to
  (`OutOfPatience`) needs no excuse.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Literal, TypeVar

from shortener.lag import LagMeter, OutOfPatience
from shortener.settings import BreakerSettings

State = Literal["CLOSED", "OPEN", "HALF_OPEN"]
Result = TypeVar("Result")
LOG_SIZE = 1000
EXCUSED_FROM_S, EXCUSED_PER_FAILURE = 0.05, 5


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
    """Leave to make one call; `generation` tells whether its result still matters.

    `timeouts`: how many were counted before; a call that began before the last one is no new
    evidence if it times out, too.
    """

    generation: int
    timeouts: int


class Breaker:
    """One circuit breaker; not thread-safe: one event loop uses it."""

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        log: TransitionLog,
        clock: Callable[[], float] = monotonic,
        meter: LagMeter | None = None,
    ) -> None:
        self.name, self.enabled = name, settings.enabled
        self.threshold, self.cooldown_s = settings.failures, settings.cooldown_s
        self.timeout_cooldown_s = min(settings.timeout_cooldown_s, settings.cooldown_s)
        self._meter = meter or LagMeter()
        self.state: State = "CLOSED"
        self.failures = 0
        self.fast_fails = 0
        self.fast_fail_times_s: deque[float] = deque(maxlen=LOG_SIZE)
        self._log, self._clock = log, clock
        self._opened_s = 0.0
        self._timeouts = 0
        self._only_timeouts = True  # since the last success
        self._excused = 0
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
        if self.state == "OPEN" and self._clock() - self._opened_s >= self._cools_down_for_s():
            self._change("HALF_OPEN", "cool-down over: one probe")
            self._probes = 1
            return Permit(self._generation, self._timeouts)
        if self.state != "CLOSED":
            self.fast_fails += 1
            raise BreakerOpen(self.name)
        return Permit(self._generation, self._timeouts)

    def succeeded(self, permit: Permit) -> None:
        """The call ended well."""
        if permit.generation != self._generation:
            return
        self.failures, self._excused, self._only_timeouts = 0, 0, True
        if self.state == "HALF_OPEN":
            self._change("CLOSED", "the probe succeeded")

    def failed(self, permit: Permit, reason: str, *, is_timeout: bool = False) -> None:
        """The call failed (an error, a time-out, or nobody waited for its end)."""
        if permit.generation != self._generation or not self.enabled:
            return
        if is_timeout:
            if permit.timeouts != self._timeouts:
                return  # it waited for the same as the one that was counted
            self._timeouts += 1
        else:
            self._only_timeouts = False
        self.failures += 1
        if self.state == "HALF_OPEN" or self.failures >= self.threshold:
            self._change("OPEN", reason)

    def timed_out(self, permit: Permit, reason: str, stalled_s: float) -> None:
        """The call timed out, and our own loop stood still for `stalled_s` of its time."""
        if stalled_s >= EXCUSED_FROM_S and self.state == "CLOSED":
            if permit.generation != self._generation:
                return
            self._excused += 1
            if self._excused % EXCUSED_PER_FAILURE:
                return
        self.failed(permit, reason, is_timeout=True)

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
        stalled_s = self._meter.stalled_s()
        try:
            result = await function()
        except BaseException as error:
            if isinstance(error, OutOfPatience) and isinstance(error, failures):
                self.timed_out(permit, type(error).__name__, 0.0)
            elif isinstance(error, TimeoutError) and isinstance(error, failures):
                stalled_s = self._meter.stalled_s() - stalled_s
                self.timed_out(permit, type(error).__name__, stalled_s)
            elif isinstance(error, failures) or not isinstance(error, Exception):
                self.failed(permit, type(error).__name__)  # a cancelled probe must not hang
            else:
                self.succeeded(permit)
            raise
        self.succeeded(permit)
        return result

    def _cools_down_for_s(self) -> float:
        return self.timeout_cooldown_s if self._only_timeouts else self.cooldown_s

    def _change(self, to: State, reason: str) -> None:
        at_s, number = self._clock(), self._log.next_seq()
        self._log.entries.append(
            Transition(number, at_s, self.name, self.state, to, self.failures, self._probes, reason)
        )
        self.state, self._probes = to, None
        self._generation += 1
        if to == "OPEN":
            self._opened_s = at_s
