"""The clock that everything in a run is timed by, and waiting by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

Seen = TypeVar("Seen")


class Clock(Protocol):
    """The host's monotonic clock, and the wall clock to convert others' times."""

    def now_s(self) -> float:
        """Monotonic seconds; comparable between processes of one boot."""
        ...

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic_of(self, wall_s: float) -> float:
        """The monotonic time of a wall time, as both clocks stand now."""
        ...

    def sleep_until_s(self, at_s: float) -> None:
        """Return at the monotonic time `at_s`, at once if it has passed."""
        ...


def wait_until(
    clock: Clock,
    timeout_s: float,
    look: Callable[[], Seen],
    holds: Callable[[Seen], object],
    every_s: float,
) -> tuple[Seen, bool]:
    """Look every `every_s` seconds until what is seen `holds`: what was seen last, whether it held.

    There is one look at least, and the last one begins when the time is up, unless the one before
    it took as long: a look has a limit of its own.
    """
    deadline_s = clock.now_s() + timeout_s
    while True:
        seen = look()
        if holds(seen):
            return seen, True
        now_s = clock.now_s()
        if now_s >= deadline_s:
            return seen, False
        clock.sleep_until_s(min(deadline_s, now_s + every_s))
