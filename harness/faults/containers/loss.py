"""loss: a share of the packets that the container sends is dropped; needs root and netem."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.containers.netem import NetemParameters, netem_kind


class LossParameters(NetemParameters):
    """`percent` of the packets, each by chance. TCP sends them again: what is lost is time."""

    percent: float = Field(gt=0, le=100)

    @property
    @override
    def rule(self) -> tuple[str, ...]:
        return ("loss", f"{self.percent:g}%")


KIND = netem_kind(LossParameters)
