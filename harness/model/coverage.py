"""Gaps in the evidence: stretches in which fewer requests were recorded than the plan sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

BEFORE_FAULT_S = 1.0
"""A recovery is measured against what was so just before the fault."""


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


def gap_in(
    findings: Mapping[str, Any],
    streams: Iterable[str],
    start_s: float,
    end_s: float,
    operation: str = "",
) -> str:
    """The first gap in the evidence between two times, in words; "" if there is none.

    `findings` are those of a run; with those of an older version, which counted nothing, "".
    """
    rows = (findings.get("coverage") or {}).get("gaps") or []
    gaps = sorted((Gap(**row) for row in rows), key=lambda gap: gap.start_s)
    wanted = tuple(streams)
    for gap in gaps:
        if any(gap.concerns(stream, operation, start_s, end_s) for stream in wanted):
            return gap.text
    return ""


def gap_in_recovery(findings: Mapping[str, Any], operation: str, fault_start_s: float) -> str:
    """The first gap in the stream that `operation`'s recovery from a fault is measured by.

    An outage can begin, or come back, as long as the run lasts: that is where its evidence ends.
    """
    stream = findings["recovery"][operation].get("stream") or "canary"
    until_s = float(findings.get("end_s") or inf)
    return gap_in(findings, [stream], fault_start_s - BEFORE_FAULT_S, until_s, operation)
