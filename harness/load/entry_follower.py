"""Follows an entry whose port is another one after each start of its container.

    container starts -> the engine of Docker chooses a port -> seen here within 0.1 s -> a file
    -> read by the load's engines within 0.02 s (engine/moving_entry.py)

A container starts before what is in it answers, so the load is there in time. While a container is
down its port may become another program's: the load is then sent where nobody listens and, as at a
fixed port, every connection is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.model.clock import Clock
from harness.model.container import LOOPBACK
from harness.model.http import Address, authority
from harness.model.observation import Observation
from harness.whole_file import write_whole

NOWHERE: Address = (LOOPBACK, 1)
"""TCPMUX, which nothing offers any more; not a port that the engine of Docker could choose."""


class EntryFollower:
    """A probe: `look` says where each container of `entry` is published, None for nowhere."""

    name, interval_s = "entry", 0.1

    def __init__(
        self,
        look: Callable[[], Sequence[Address | None]],
        file: Path,
        clock: Clock,
        entry: str,
    ) -> None:
        self.file, self._entry = file, entry
        self._look, self._clock = look, clock
        self._known: list[Address] | None = None

    def observe(self) -> Observation:
        """`load.entry` once, and whenever it has moved; RecordError if that cannot be written."""
        found = [address or NOWHERE for address in self._look()]
        at_s, has_moved = self._clock.now_s(), found != self._known
        if has_moved:
            write_whole(self.file, json.dumps(found))
        self._known = found
        to = ["nowhere" if address == NOWHERE else authority(address) for address in found]
        moved = {"at_s": at_s, "event": "load.entry", "entry": self._entry, "to": to}
        return Observation(self.name, at_s, ok=True, events=(moved,) if has_moved else ())

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()
