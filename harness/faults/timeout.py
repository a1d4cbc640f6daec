"""timeout: all data stops; after a while the connection closes."""

from __future__ import annotations

from pydantic import Field

from harness.faults.link_toxic import LinkParameters, toxic_kind


class TimeoutParameters(LinkParameters):
    """`timeout` in milliseconds until it closes; 0: it never does."""

    timeout: int = Field(default=0, ge=0, le=600_000)


KIND = toxic_kind(TimeoutParameters)
