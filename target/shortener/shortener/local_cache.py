"""The in-process cache tier: least recently used, with a time to live."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LocalCache(Generic[Value]):
    """At most `size` entries, each for `ttl_s` seconds at most."""

    def __init__(self, size: int, ttl_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._entries: OrderedDict[str, tuple[float, Value]] = OrderedDict()
        self._size, self._ttl_s, self._clock = size, ttl_s, clock

    def get(self, key: str) -> Value | None:
        """The value, or None if it is not there or too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: str, value: Value, ttl_s: float | None = None) -> None:
        """Keep `value`, for `ttl_s` if that is shorter than the cache's own."""
        lifetime_s = self._ttl_s if ttl_s is None else min(ttl_s, self._ttl_s)
        self._entries[key] = (self._clock() + lifetime_s, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget `key`."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
