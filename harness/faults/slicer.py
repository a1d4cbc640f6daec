"""slicer: data arrives in small pieces."""

from __future__ import annotations

from pydantic import Field

from harness.faults.link_toxic import LinkParameters, toxic_kind


class SlicerParameters(LinkParameters):
    """Pieces of `average_size` bytes, give or take `size_variation`, `delay` microseconds apart."""

    average_size: int = Field(gt=0, le=1_000_000)
    size_variation: int = Field(default=0, ge=0, le=1_000_000)
    delay: int = Field(default=0, ge=0, le=10_000_000)


KIND = toxic_kind(SlicerParameters)
