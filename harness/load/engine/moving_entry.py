"""Where an entry is published now, if that may change: a file that the runner writes anew.

The engine of Docker chooses a port anew each time a container starts, where the Compose file fixes
none. Who follows it is load/entry_follower.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.errors import LoadError
from harness.load.engine.config import check_endpoints
from harness.model.http import Address


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
