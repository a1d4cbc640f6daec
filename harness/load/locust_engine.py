"""The arrival engine as a child of a Locust process, its counts among Locust's own statistics.

Locust must be imported first in its process.
"""

# mypy: disable-error-code="misc,no-untyped-call"
from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import gevent  # type: ignore[import-untyped]
from locust.stats import StatsEntry, StatsError

END_S, ENGINE_DIED = 5.0, 4


class EngineProcess:
    """One engine per test, so that nothing of one test leaks into the next."""

    def __init__(self, environment: Any, config: Path, drain_s: float) -> None:
        self._environment = environment
        self._drain_s = drain_s
        self.is_stopping = False
        self._cpu_s = self._cpu_seen_s = 0.0
        self._child: Any = subprocess.Popen(  # gevent's; Ctrl-C is for Locust to handle
            [sys.executable, "-m", "harness.load.engine", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.messages(),
            start_new_session=True,
        )
        self._reader = gevent.spawn(self._read)

    def messages(self) -> Any:
        """Where its own messages go: None for where Locust's go."""
        return None

    def heard(self, line: bytes, batch: dict[str, Any]) -> None:
        """A line of the engine's, as it came and read, before its counts are merged."""
        raise NotImplementedError

    def failed(self, code: int) -> None:
        """The engine has ended although nobody asked it to, or has failed."""
        logging.error("the engine ended with exit code %s", code)
        self._environment.process_exit_code = ENGINE_DIED
        gevent.spawn(self._environment.runner.quit)

    def say(self, command: str) -> None:
        """Send the engine one command; if it is dead, the reader notices."""
        with contextlib.suppress(OSError):
            self._child.stdin.write(f"{command}\n".encode())
            self._child.stdin.flush()

    def begin(self, start_s: float) -> None:
        """Arrivals start at `start_s`."""
        self.say(f"begin {start_s!r}")

    def stop(self) -> None:
        """End the arrivals and wait for the last batch; may be called twice."""
        if not self.is_stopping:
            self.say(f"stop {self._drain_s}")
        self.is_stopping = True
        self._reader.join(self._drain_s + END_S)
        if not self._reader.ready():
            self._child.kill()

    def hang_up(self) -> None:
        """End the engine at once: to it, its owner is gone."""
        self.is_stopping = True
        with contextlib.suppress(OSError):
            self._child.stdin.close()

    def cpu_percent(self, period_s: float) -> float:
        """CPU of the engine since this was asked last, `period_s` ago."""
        used_s, self._cpu_seen_s = self._cpu_s - self._cpu_seen_s, self._cpu_s
        return 100 * used_s / period_s

    def _read(self) -> None:
        for line in self._child.stdout:
            batch = json.loads(line)
            self.heard(line, batch)
            self._cpu_s = batch.get("cpu_s", self._cpu_s)
            for op in batch.get("ops", ()):
                merge(self._environment.stats, op)
        code = self._child.wait()
        if code or not self.is_stopping:
            self.failed(code)


def merge(stats: Any, op: dict[str, Any]) -> None:
    """Add one operation of one batch, as a master does with an entry of a worker's report."""
    errors = op.pop("errors")
    for key in ("response_times", "num_reqs_per_sec", "num_fail_per_sec"):
        op[key] = dict(op[key])  # JSON would have made the int keys strings
    data: Any = op
    entry = StatsEntry.unserialize(data, stats)
    stats.entries[entry.name, entry.method].extend(entry)
    stats.total.extend(entry)  # looked up each time: clear_all() replaces both
    for error, occurrences in errors:
        key = StatsError.create_key(entry.method, entry.name, error)
        row = stats.errors.setdefault(key, StatsError(entry.method, entry.name, error))
        row.occurrences += occurrences
        row.first_seen = row.first_seen or entry.start_time
        row.last_seen = entry.last_request_timestamp


def follow_commands(obey: Callable[[bytes, float], None], abandon: Callable[[], None]) -> NoReturn:
    """Take the commands of whoever started this process, and end with it, however it ends."""
    descriptor = int(os.environ["HARNESS_COMMAND_FD"])
    buffer = b""
    while True:
        gevent.socket.wait_read(descriptor)
        data = os.read(descriptor, 4096)
        if not data:  # its owner is gone: no drain, no farewell
            abandon()
            os._exit(ENGINE_DIED)
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            word, _, value = line.partition(b" ")
            obey(word, float(value or 0))


def report(line: bytes) -> None:
    """Pass a line on to the driver, where there is one."""
    if descriptor := os.environ.get("HARNESS_REPORT_FD"):
        with contextlib.suppress(OSError):
            left = memoryview(line)
            while left:
                left = left[os.write(int(descriptor), left) :]
