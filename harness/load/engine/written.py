"""What was acknowledged, for operations that read it back."""

from __future__ import annotations

from collections import deque

Write = tuple[int, bytes]
"""A write's number, and what its answer returned."""


class Written:
    """Acknowledged writes, of which the newest that is at least `after_s` old is read."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._waiting: deque[tuple[float, Write]] = deque()
        self._newest: Write | None = None

    def add(self, done_s: float, write: Write) -> None:
        """This write was acknowledged."""
        self._waiting.append((done_s, write))

    def newest(self, now_s: float) -> Write | None:
        """The write to read, None if none is old enough."""
        while self._waiting and self._waiting[0][0] + self._after_s <= now_s:
            self._newest = self._waiting.popleft()[1]
        return self._newest
