"""Where an entry is published now, if that may change: a file that the runner writes anew.

The engine of Docker chooses a port anew each time a container starts, where the Compose file fixes
none. Who follows it is load/entry_follower.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, cycle
from pathlib import Path

from harness.errors import LoadError
from harness.load.engine.config import Entry, check_endpoints
from harness.model.http import Address


class Entries:
    """Where each operation is sent now; `names` are the entries of the operations, "" for ours.

    `turns` has for each of them its addresses in turn, without end.
    """

    def __init__(self, entries: Mapping[str, Entry], names: Sequence[str]) -> None:
        self._moving = {name: MovingEntry(entry.file) for name, entry in entries.items()}
        self._addresses = {name: entry.endpoints for name, entry in entries.items()}
        self._names = names
        self.turns = self._turns()

    @property
    def addresses(self) -> list[Address]:
        """All that load is sent to, each once."""
        return list(dict.fromkeys(chain.from_iterable(self._addresses.values())))

    @property
    def fewest(self) -> int:
        """How many addresses the smallest entry has: all load may be for that one."""
        return min(map(len, self._addresses.values()))

    def have_moved(self) -> bool:
        """Whether one is elsewhere now; `turns` and `addresses` are other ones then."""
        found = {name: moved for name, each in self._moving.items() if (moved := each.moved())}
        if found:
            self._addresses |= found
            self.turns = self._turns()
        return bool(found)

    def _turns(self) -> list[Iterator[Address]]:
        turns = {name: cycle(addresses) for name, addresses in self._addresses.items()}
        return [turns.get(name, turns[""]) for name in self._names]


class MovingEntry:
    """Reads the file at `path` when it was written anew; "": the entry stays where it is."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = (0, 0)

    def moved(self) -> list[Address] | None:
        """Where to send from now on; None if that is where it was.

        What load may not be sent to counts as nothing: the engine stays where it is.
        """
        if not self._path:
            return None
        try:
            found = os.stat(self._path)  # noqa: PTH116  # each 20 ms, beside the load
            if (found.st_ino, found.st_mtime_ns) == self._seen:
                return None
            self._seen = (found.st_ino, found.st_mtime_ns)
            addresses = [(str(h), int(p)) for h, p in json.loads(Path(self._path).read_text())]
            check_endpoints(addresses)
        except (OSError, ValueError, TypeError, LoadError):
            return None
        return addresses
