"""The runner's end of its watchdog: starts it, shows that it lives, hears whether it acted."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

from harness.errors import HarnessError
from harness.watchdog.process import BEAT, DONE, END, TAKEN

BEAT_S, STILL_S, END_S, RESCUE_S = 1.0, 10.0, 2.0, 180.0
_PROCESS = Path(__file__).with_name("process.py")


class Watchdog:
    """One watchdog for one run, as a context; the death of this process is its signal to heal."""

    def __init__(
        self, state_dir: Path, lock: int, run_folder: Path, still_s: float = STILL_S
    ) -> None:
        """`lock` is the descriptor that holds the project's lock.

        HarnessError where no process can be started.
        """
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(0)
        arguments = [theirs.fileno(), lock, still_s, state_dir.absolute(), run_folder.absolute()]
        command = [sys.executable, "-I", "-S", str(_PROCESS), *map(str, arguments)]
        try:
            with theirs, (state_dir / "watchdog.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [*command, str(_PROCESS.parents[2])],
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(), lock),
                    start_new_session=True,  # no signal to the runner's group reaches it
                )
        except OSError as error:
            self._channel.close()
            raise HarnessError(
                f"no watchdog can be started: {error.strerror or error}", "harness doctor"
            ) from error
        self._heard = b""
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="watchdog beats", daemon=True)
        self._beats.start()

    @property
    def has_acted(self) -> bool:
        """Whether this process was suspended so long that the watchdog heals, or has healed."""
        self._hear()
        return TAKEN in self._heard

    def wait_until_done(self, timeout_s: float = RESCUE_S) -> None:
        """Wait until it has healed, or is gone."""
        deadline_s = monotonic() + timeout_s
        while DONE not in self._heard and self._process.poll() is None:
            self._hear()
            if monotonic() > deadline_s:
                return
            self._ended.wait(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Tell it that nothing is left to heal, and wait for its end."""
        self._ended.set()
        self._beats.join()
        with suppress(OSError):
            self._channel.send(END)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._channel.close()

    def _beat(self) -> None:
        while True:
            with suppress(OSError):  # full: it does not read any more; gone: the run heals itself
                self._channel.send(BEAT)
            if self._ended.wait(BEAT_S):
                return

    def _hear(self) -> None:
        with suppress(OSError):  # nothing was said, or it is gone
            self._heard += self._channel.recv(64)
