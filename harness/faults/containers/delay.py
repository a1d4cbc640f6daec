"""delay: all that the container sends waits in the kernel; needs root and netem, but no link."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from harness.faults.base import Milliseconds
from harness.faults.containers.netem import NetemParameters, netem_kind


class DelayParameters(NetemParameters):
    """`delay` in milliseconds, plus or minus `jitter`; packets may overtake each other by that."""

    delay: Milliseconds = Field(ge=1, le=60_000)
    jitter: Milliseconds = Field(default=0, ge=0, le=60_000)

    @property
    @override
    def rule(self) -> tuple[str, ...]:
        jitter = (f"{self.jitter}ms",) if self.jitter else ()
        return ("delay", f"{self.delay}ms", *jitter)


KIND = netem_kind(DelayParameters)
