"""slow_close: connections close later."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Milliseconds, Seen
from harness.faults.links.toxic import TOLERANCE_S, LinkParameters, toxic_kind


class SlowCloseParameters(LinkParameters):
    """`delay` in milliseconds."""

    delay: Milliseconds = Field(ge=0, le=60_000)

    @property
    @override
    def wait_s(self) -> float:
        """Until the close, and some."""
        return self.delay / 1000 + 0.5

    @override
    def felt(self, before: Seen, now: Seen) -> bool | None:
        """A connection that was closed after its answer is closed so much later, or not yet."""
        asked = before.end == "closed" and before.bytes > 0 and self.stream == "downstream"
        if not asked or now.last_s is None or now.bytes < before.bytes:
            return None
        return now.end == "open" or now.ended_s - now.last_s >= self.delay / 1000 - TOLERANCE_S


KIND = toxic_kind(SlowCloseParameters)
