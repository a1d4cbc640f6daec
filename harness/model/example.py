"""A wrong answer, kept for people to see what was wrong about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One answer that was not as expected.

    `at_s`: when its request was due, in seconds since run start; `error`: its class in the samples;
    `status`: 0 where none is known. `expected` and `came` are for people: one line each, bounded,
    printable, without secrets.
    """

    operation: str
    error: str
    stream: str
    at_s: float
    status: int
    expected: str
    came: str
