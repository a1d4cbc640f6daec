"""When in a run a wall-clock time was, by the events that have both clocks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from math import nan
from typing import Any


class WallTimes:
    """Converts by the nearest pair of clock readings of `run.clock`; NaN where there is none.

    A run that ended within its first second has no pair but that of its `start`.
    """

    def __init__(
        self, events: Iterable[Mapping[str, Any]], start: Mapping[str, Any] | None = None
    ) -> None:
        pairs = sorted(
            (float(e["wall_s"]), float(e["t_s"])) for e in events if e["event"] == "run.clock"
        )
        if not pairs and start is not None:
            pairs = [(float(start["wall_s"]), 0.0)]
        self._wall_s = [wall_s for wall_s, _ in pairs]
        self._t_s = [t_s for _, t_s in pairs]

    def since_start_s(self, wall_s: float) -> float:
        """Seconds since run start."""
        if not self._wall_s:
            return nan
        after = min(bisect_left(self._wall_s, wall_s), len(self._wall_s) - 1)
        before = max(after - 1, 0)
        is_before = wall_s - self._wall_s[before] <= self._wall_s[after] - wall_s
        nearest = before if is_before else after
        return self._t_s[nearest] + wall_s - self._wall_s[nearest]
