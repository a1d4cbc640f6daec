"""Ctrl-C, SIGTERM and a closed terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from harness.session.listener import Listener

Handler = Callable[[int, FrameType | None], object] | signal.Handlers


class Stop:
    """While a run walks the signals ask it to end, elsewhere they interrupt.

    A second one changes nothing: healing is bounded, and nothing shortens it. SIGHUP (the terminal
    was closed) stays ignored where it was, as `nohup` has it.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, listener: Listener) -> None:
        self.is_walking = False
        self.asked = False
        self._listener = listener

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Install the handlers, and put back what was there; in the main thread only."""
        is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        numbers = [n for n in self.NUMBERS if not (is_ignored and n == signal.SIGHUP)]
        with handled_by(self._take, numbers):
            yield

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_walking:
            raise KeyboardInterrupt
        if not self.asked:
            self._listener.say(
                "interrupted: healing all faults, then writing the report; please wait"
            )
        self.asked = True


@contextmanager
def handled_by(handler: Handler, numbers: Iterable[int]) -> Iterator[None]:
    """Give these signals to `handler`, then put back what was there; in the main thread only."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


@contextmanager
def interruptible() -> Iterator[None]:
    """Each of the signals raises KeyboardInterrupt, once: how it ends then is bounded."""
    with handled_by(_interrupt, Stop.NUMBERS):
        yield


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in Stop.NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
