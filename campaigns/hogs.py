"""Programs that keep processors busy beside a run, as other people's compilers do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_S = 900
"""A hog ends by itself after this, whatever becomes of its parent."""

_LOOP = f"""
import time
end_s = time.monotonic() + {LONGEST_S}
while time.monotonic() < end_s:
    sum(range(100_000))
"""


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """Keep `count` cores busy, at the priority that everybody has."""
    children = [subprocess.Popen([sys.executable, "-c", _LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()
