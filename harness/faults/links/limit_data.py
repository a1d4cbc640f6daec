"""limit_data: a connection closes after this many bytes."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Seen
from harness.faults.links.toxic import LinkParameters, toxic_kind


class LimitDataParameters(LinkParameters):
    """`bytes` until it closes."""

    bytes: int = Field(ge=0, le=10_000_000_000)

    @override
    def felt(self, before: Seen, now: Seen) -> bool | None:
        """A longer answer ends after `bytes` bytes; those of a request are not observed."""
        if before.bytes <= self.bytes or self.stream == "upstream":
            return None
        if now.bytes > self.bytes:
            return False
        return True if now.bytes == self.bytes and now.end in ("closed", "reset") else None


KIND = toxic_kind(LimitDataParameters)
