"""A line that a container of the target logged, as a run keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "fatal")
"""From the least to the most serious."""


@dataclass(frozen=True, slots=True)
class RawLine:
    """As the engine has it; `time` (RFC 3339) and `wall_s` are when the engine took it."""

    wall_s: float
    time: str
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """`t_s` is in seconds since run start. `level` is one of LEVELS.

    `fields` has the rest of a line that was JSON. `trace` is a trace id of 32 hexadecimal digits,
    "" where the line names none.
    """

    t_s: float
    time: str = ""
    level: str = "info"
    part: str
    message: str
    trace: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def is_at_least(level: str, least: str) -> bool:
    """Whether a level is as serious as `least`, or more."""
    return LEVELS.index(level) >= LEVELS.index(least)
