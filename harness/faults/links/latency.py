"""latency: data arrives later."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Milliseconds, Seen
from harness.faults.links.toxic import TOLERANCE_S, LinkParameters, toxic_kind


class LatencyParameters(LinkParameters):
    """`latency` in milliseconds, plus or minus `jitter`."""

    latency: Milliseconds = Field(ge=0, le=60_000)
    jitter: Milliseconds = Field(default=0, ge=0, le=60_000)

    @property
    @override
    def wait_s(self) -> float:
        """Until the answer is there, and some."""
        return (self.latency + self.jitter) / 1000 + 0.5

    @override
    def felt(self, before: Seen, now: Seen) -> bool | None:
        """The answer's first byte comes at least so late; none at all if we looked too briefly."""
        least_s = (self.latency - self.jitter) / 1000
        if before.first_s is None or least_s <= 0:
            return None
        if now.first_s is None:
            return True if now.end == "open" else None
        if now.first_s < least_s - TOLERANCE_S:
            return False
        return True if before.first_s < least_s / 2 else None


KIND = toxic_kind(LatencyParameters)
