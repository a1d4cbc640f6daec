"""reset_peer: connections are reset (RST)."""

from __future__ import annotations

from pydantic import Field

from harness.faults.link_toxic import LinkParameters, toxic_kind


class ResetParameters(LinkParameters):
    """`timeout` in milliseconds until the reset."""

    timeout: int = Field(default=0, ge=0, le=600_000)


KIND = toxic_kind(ResetParameters)
