"""timeout: all data stops; after a while the connection closes."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Milliseconds, Seen
from harness.faults.links.toxic import LinkParameters, toxic_kind


class TimeoutParameters(LinkParameters):
    """`timeout` in milliseconds until it closes; 0: it never does."""

    timeout: Milliseconds = Field(default=0, ge=0, le=600_000)

    @override
    def felt(self, before: Seen, now: Seen) -> bool | None:
        """Where there was an answer there is none; one that came contradicts.

        A close without an answer counts: it is what becomes of an upstream that closes after its
        own, and to a client an upstream that died meanwhile is no different.
        """
        if now.bytes:
            return False
        return True if before.bytes and now.end != "refused" else None


KIND = toxic_kind(TimeoutParameters)
