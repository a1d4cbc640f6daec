"""slicer: data arrives in small pieces."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Microseconds, Seen
from harness.faults.links.toxic import LinkParameters, toxic_kind


class SlicerParameters(LinkParameters):
    """Pieces of `average_size` ± `size_variation` bytes, `delay` microseconds apart."""

    average_size: int = Field(gt=0, le=1_000_000)
    size_variation: int = Field(default=0, ge=0, le=1_000_000)
    delay: Microseconds = Field(default=0, ge=0, le=10_000_000)

    @property
    @override
    def wait_s(self) -> float:
        """Long enough for a few pieces."""
        return 2.0

    @override
    def felt(self, before: Seen, now: Seen) -> bool | None:
        """The answer takes as long as its pieces are apart."""
        pieces = before.bytes // (self.average_size + self.size_variation)
        needed_s = (pieces - 1) * self.delay / 1e6
        return self.is_spread_over(needed_s, before, now)


KIND = toxic_kind(SlicerParameters)
