"""latency: data arrives later."""

from __future__ import annotations

from pydantic import Field

from harness.faults.link_toxic import LinkParameters, toxic_kind


class LatencyParameters(LinkParameters):
    """`latency` in milliseconds, give or take `jitter`."""

    latency: int = Field(ge=0, le=60_000)
    jitter: int = Field(default=0, ge=0, le=60_000)


KIND = toxic_kind(LatencyParameters)
