"""bandwidth: data arrives slower."""

from __future__ import annotations

from pydantic import Field

from harness.faults.link_toxic import LinkParameters, toxic_kind


class BandwidthParameters(LinkParameters):
    """`rate` in kB/s."""

    rate: int = Field(ge=0, le=10_000_000)


KIND = toxic_kind(BandwidthParameters)
