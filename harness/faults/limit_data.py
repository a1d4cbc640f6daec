"""limit_data: a connection closes after so many bytes."""

from __future__ import annotations

from pydantic import Field

from harness.faults.link_toxic import LinkParameters, toxic_kind


class LimitDataParameters(LinkParameters):
    """`bytes` until it closes."""

    bytes: int = Field(ge=0, le=10_000_000_000)


KIND = toxic_kind(LimitDataParameters)
