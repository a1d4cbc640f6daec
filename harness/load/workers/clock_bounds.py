"""How far a worker's clock is ahead of the master's: hard bounds, from questions and answers.

    master   sent |----------------------| received      on the master's clock
    worker                | there                        on the worker's clock

The worker looked at its clock between `sent` and `received`, however long either way took:

    there - received  <=  offset  <=  there - sent

The bounds of all answers hold together (Marzullo and Owicki 1983, as in NTP's selection); those of
earlier answers widen with time, because the clocks drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

DRIFT_MAX = 1e-3
"""Linux slews a clock by 500 ppm at most (adjtimex), in either direction, and there are two."""
ROUNDING_S = 1e-8
"""Of times up to years, which are 64-bit floats of seconds."""


@dataclass
class ClockBounds:
    """`low_s` <= worker's clock - master's clock <= `high_s`, since `at_s` of the master's.

    `jumps` counts answers that contradict earlier ones: a clock was stepped, or stood still.
    """

    low_s: float = -inf
    high_s: float = inf
    at_s: float = 0.0
    answers: int = 0
    jumps: int = 0

    @property
    def offset_s(self) -> float:
        """How far the worker's clock is ahead; 0 before the first answer."""
        return (self.low_s + self.high_s) / 2 if self.answers else 0.0

    @property
    def uncertainty_s(self) -> float:
        """By how much that can be wrong, at most; without end before the first answer."""
        return (self.high_s - self.low_s) / 2

    def uncertainty_at(self, at_s: float) -> float:
        """The same for another moment of the master's clock, before or after the last answer."""
        return self.uncertainty_s + DRIFT_MAX * abs(at_s - self.at_s)

    def is_within(self, offset_s: float) -> bool:
        """Whether it may be this offset."""
        return self.low_s <= offset_s <= self.high_s

    def add(self, sent_s: float, there_s: float, received_s: float) -> None:
        """An answer; ValueError if it cannot be one."""
        if not isfinite(there_s) or not sent_s <= received_s:
            raise ValueError("not the time of an answer")
        low_s, high_s = there_s - received_s, there_s - sent_s
        drift_s = DRIFT_MAX * max(0.0, received_s - self.at_s) + ROUNDING_S
        both = max(low_s, self.low_s - drift_s), min(high_s, self.high_s + drift_s)
        if both[0] > both[1]:
            self.jumps += 1
            both = low_s, high_s
        self.low_s, self.high_s = both
        self.at_s = sent_s
        self.answers += 1
