"""`harness worker`: this machine sends a share of a run that another one leads."""

from __future__ import annotations

import argparse
import signal
from types import FrameType

from harness.cli.console import Screen
from harness.errors import UsageError
from harness.load.workers.join import join
from harness.load.workers.launch import read_address
from harness.model.quantity import format_duration
from harness.session.stop import Stop, handled_by

WAIT_MAX_S = 3600.0


def worker(options: argparse.Namespace, screen: Screen) -> int:
    """Wait for a run, send the share of it, and end with it; 130 after Ctrl-C."""
    if options.wait > WAIT_MAX_S:
        raise UsageError("--wait is too long", f"at most {format_duration(WAIT_MAX_S)}")
    with handled_by(_interrupt, Stop.NUMBERS):
        try:
            join(read_address(options.master), options.wait, screen.say)
        except KeyboardInterrupt:
            screen.say("ended; the master reports that this share of the load is missing")
            return 130
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Once; how it ends then is bounded, and is not interrupted again."""
    for number in Stop.NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
