"""bandwidth: data arrives slower."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Seen
from harness.faults.links.toxic import LinkParameters, toxic_kind


class BandwidthParameters(LinkParameters):
    """`rate` in kB/s."""

    rate: int = Field(ge=0, le=10_000_000)

    @property
    @override
    def wait_s(self) -> float:
        """Long enough for a short answer at a low rate."""
        return 2.0

    @override
    def felt(self, before: Seen, now: Seen) -> bool | None:
        """The whole answer takes as long as its bytes need; at 0 kB/s there is none."""
        if self.rate == 0:
            return False if now.bytes else (True if before.bytes and now.end == "open" else None)
        needed_s = before.bytes / (self.rate * 1000)
        return self.is_spread_over(needed_s, before, now)


KIND = toxic_kind(BandwidthParameters)
