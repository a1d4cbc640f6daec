"""`harness worker`: this machine sends a share of a run that another one leads."""

from __future__ import annotations

import argparse

from harness.cli.console import Screen
from harness.errors import UsageError
from harness.load.workers.join import join
from harness.load.workers.launch import read_address
from harness.model.quantity import format_duration
from harness.session.stop import interruptible

WAIT_MAX_S = 3600.0


def worker(options: argparse.Namespace, screen: Screen) -> int:
    """Wait for a run, send the share of it, and end with it; 130 after Ctrl-C."""
    if options.wait > WAIT_MAX_S:
        raise UsageError("--wait is too long", f"at most {format_duration(WAIT_MAX_S)}")
    with interruptible():
        try:
            join(read_address(options.master), options.wait, screen.say)
        except KeyboardInterrupt:
            screen.say("ended; the master reports that this share of the load is missing")
            return 130
    return 0
