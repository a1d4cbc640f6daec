"""Waiting for nothing to be left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Left = TypeVar("Left")
LOOK_S = 0.1


def left_after(within_s: float, look: Callable[[], Left]) -> Left:
    """What `look` says as soon as that is nothing, or what it says last after `within_s`."""
    deadline_s = time.monotonic() + within_s
    while (left := look()) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    return left
