"""The clock that everything in a run is timed by."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The host's monotonic clock, with the wall clock beside it to place others' times."""

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
