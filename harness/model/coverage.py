"""Gaps in the evidence: stretches in which fewer requests were recorded than the plan sends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """`seen` requests were recorded where about `expected` were planned.

    `stream` is main or canary, `operation` "" for all of the stream; times are seconds since run
    start. Requests that were planned and could not be sent are recorded, too: they are no gap.
    """

    stream: str
    operation: str
    start_s: float
    end_s: float
    expected: float
    seen: int

    def concerns(self, stream: str, operation: str, start_s: float, end_s: float) -> bool:
        """Whether it lies in that time of that stream; `operation` "" asks for any."""
        is_mine = self.stream == stream and (not operation or self.operation in ("", operation))
        return is_mine and self.start_s < end_s and self.end_s > start_s

    @property
    def text(self) -> str:
        """What is missing, for people."""
        what = self.operation or "all operations"
        when = f"between {self.start_s:.0f} s and {self.end_s:.0f} s"
        return f"{self.stream}, {what}: {self.seen:,} of {self.expected:,.0f} requests {when}"
