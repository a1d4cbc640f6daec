"""Waiting for nothing to be left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from harness.adapters.clock import SystemClock
from harness.model.clock import wait_until

Left = TypeVar("Left")
LOOK_S = 0.1


def left_after(within_s: float, look: Callable[[], Left]) -> Left:
    """What `look` says as soon as that is nothing, or what it says last after `within_s`."""
    left, _ = wait_until(SystemClock(), within_s, look, lambda seen: not seen, LOOK_S)
    return left
