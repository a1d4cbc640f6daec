"""What a probe saw, and the wire form of one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Observation:
    """What one probe saw at `at_s` (host's monotonic clock). An unhealthy target is no error.

    `facts` is plain JSON data; `events` are the changes since the last look, each with `event`.
    """

    probe: str
    at_s: float
    ok: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Mapping[str, Any], ...] = ()
