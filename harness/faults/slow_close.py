"""slow_close: connections close later."""

from __future__ import annotations

from pydantic import Field

from harness.faults.link_toxic import LinkParameters, toxic_kind


class SlowCloseParameters(LinkParameters):
    """`delay` in milliseconds."""

    delay: int = Field(ge=0, le=60_000)


KIND = toxic_kind(SlowCloseParameters)
