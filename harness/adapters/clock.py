"""The host's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """CLOCK_MONOTONIC, shared by all processes and containers of this machine."""

    def now_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic_of(self, wall_s: float) -> float:
        """The monotonic time of a wall time, as both clocks stand now."""
        return wall_s - (time.time() - time.monotonic())

    def sleep_until_s(self, at_s: float) -> None:
        """Return at the monotonic time `at_s`, at once if it has passed."""
        left_s = at_s - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)
