"""`harness worker`: joins a run of another machine, sends its share, and ends with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from harness.errors import LoadError
from harness.load.allowed_hosts import check_hosts
from harness.load.generator_process import GeneratorProcess
from harness.load.workers.launch import start_worker
from harness.load.workers.share import DURATION_MAX_S
from harness.model.http import Address, authority

GRACE_S, LOOK_S = 5.0, 0.2
Say = Callable[[str], None]


def join(master: Address, wait_s: float, say: Say) -> None:
    """Wait at most `wait_s` for a run at `master`, then send the share of it.

    LoadError if this machine's user has not allowed that host, if no run comes, or if the run does
    not take this worker. However it ends, nothing is left running, and no file.
    """
    check_hosts([master[0]])
    with TemporaryDirectory(prefix="harness-worker-") as folder:
        _Joining(master, wait_s, say).work(Path(folder))


class _Joining:
    def __init__(self, master: Address, wait_s: float, say: Say) -> None:
        self._master, self._wait_s, self._say = master, wait_s, say
        self._reports: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._has_joined = self._is_done = False
        self._ended = ""

    def work(self, folder: Path) -> None:
        process = start_worker("worker", self._master, folder, heard=self._reports.put)
        try:
            self._say(f"waiting for a run at {authority(self._master)}; stop it with Ctrl-C")
            self._follow(process)
        finally:
            process.say("stop")
            process.end(monotonic() + GRACE_S)
        if not self._is_done:
            why = self._ended or process.last_words()
            raise LoadError(f"this worker has not finished its share: {why}")
        self._say("done")

    def _follow(self, process: GeneratorProcess) -> None:
        """Until the process has ended; LoadError where it waits too long."""
        started_s = monotonic()
        while process.child.poll() is None:
            self._take_one()
            waited_s = monotonic() - started_s
            if not self._has_joined and waited_s > self._wait_s:
                raise LoadError(
                    f"no run at {authority(self._master)} within {self._wait_s:.0f} s",
                    "start one there: harness run EXPERIMENT --listen ADDRESS; or --wait 1h",
                )
            if waited_s > self._wait_s + DURATION_MAX_S:
                raise LoadError("the run did not end in time")
        process.end(monotonic() + GRACE_S)  # its last reports have been read then
        while not self._reports.empty():
            self._take_one()

    def _take_one(self) -> None:
        try:
            report = self._reports.get(timeout=LOOK_S)
        except Empty:
            return
        if joined := report.get("joined"):
            self._has_joined = True
            self._say(f"worker {joined['number']} of {joined['of']} of run {joined['run_id']}")
        if report.get("begun"):
            self._say("sending")
        self._is_done = self._is_done or bool(report.get("drained"))
        self._ended = report.get("ended", self._ended)
