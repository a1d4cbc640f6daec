"""Whether two processes are on the same machine: then they have one clock and one loopback."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_machine() -> str:
    """The same for all processes of one boot that share their network; says nothing else of it.

    A container has a network of its own: 127.0.0.1 is another place there.
    """
    try:
        facts = f"{BOOT_ID.read_text()} {os.readlink('/proc/self/ns/net')}"  # noqa: PTH115
    except OSError:
        facts = os.urandom(16).hex()  # nothing can be known: like no other
    return hashlib.sha256(facts.encode()).hexdigest()
