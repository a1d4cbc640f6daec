"""Quantities as people write them (`30s`, `400/s`, `0.1%`), turned into base units."""

from __future__ import annotations

import re

AUTO = "auto"
"""Instead of a number: a scale that fits the machine, measured before a run."""
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_NUMBER = r"(?P<number>\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"{_NUMBER}\s*(?P<unit>us|ms|s|min|m|h)\s*")
_RATE = re.compile(rf"{_NUMBER}\s*/\s*(?P<unit>s|min|m|h)")
_SHARE = re.compile(rf"{_NUMBER}\s*%")


def parse_duration(text: str) -> float:
    """Seconds in a duration such as `250ms`, `30s` or `1m30s`; ValueError says what is accepted."""
    stripped, total_s, end, smaller_than_s = str(text).strip(), 0.0, 0, float("inf")
    while (match := _DURATION.match(stripped, end)) and _SECONDS[match["unit"]] < smaller_than_s:
        smaller_than_s = _SECONDS[match["unit"]]
        total_s += float(match["number"]) * smaller_than_s
        end = match.end()
    if end == 0 or end < len(stripped):
        raise ValueError(f"{text!r} is not a duration; write it like 250ms, 30s or 1m30s")
    return total_s


def parse_rate(text: str) -> float:
    """Arrivals a second in a rate such as `400/s` or `60/min`."""
    match = _RATE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a rate; write it like 400/s")
    return float(match["number"]) / _SECONDS[match["unit"]]


def parse_share(text: str) -> float:
    """A share from 0 to 1 out of a percentage such as `0.1%`."""
    match = _SHARE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a percentage; write it like 0.1%")
    return float(match["number"]) / 100


def format_duration(seconds: float) -> str:
    """A duration for people: `12 ms`, `4.20 s`, `2.0 min`."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.2f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
