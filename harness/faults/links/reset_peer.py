"""reset_peer: connections are reset (RST)."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Milliseconds, Seen
from harness.faults.links.toxic import LinkParameters, toxic_kind


class ResetParameters(LinkParameters):
    """`timeout` in milliseconds until the reset."""

    timeout: Milliseconds = Field(default=0, ge=0, le=600_000)

    @property
    @override
    def wait_s(self) -> float:
        """Until the reset, and some."""
        return self.timeout / 1000 + 0.5

    @override
    def felt(self, before: Seen, now: Seen) -> bool | None:
        """Where there was an answer there is a reset, or nothing yet; an answer contradicts."""
        if now.bytes:
            return False
        is_waiting = now.end == "open" and before.bytes > 0
        return True if now.end == "reset" or is_waiting else None


KIND = toxic_kind(ResetParameters)
