"""The smallest change that matters, whatever the statistics say."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.model.compared import Kind

COUNT_MIN = 1.0


@dataclass(frozen=True, slots=True)
class MinimumEffect:
    """A change matters if it is at least `relative` of the value in A *and* the absolute size."""

    relative: float = 0.10
    response_time_s: float = 0.005
    error_rate: float = 0.001
    recovery_s: float = 1.0

    def of(self, kind: Kind, before: float) -> float:
        """The change that matters for a figure that was `before`, in the figure's unit."""
        absolute = {
            "response_time": self.response_time_s,
            "error_rate": self.error_rate,
            "duration": self.recovery_s,
            "count": COUNT_MIN,
            "never": COUNT_MIN,
        }[kind]
        return max(absolute, self.relative * abs(before)) if math.isfinite(before) else absolute
