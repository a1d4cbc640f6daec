"""One generator process: commands to it, reports from it, and its certain end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Any

from harness.errors import LoadError
from harness.load.engine.statistics import WindowFigures, summarise
from harness.model.load import WorkerState

TERM_S, STALE_S = 3.0, 4.0


@dataclass
class EngineTotals:
    """What one engine reported of itself; `recent` are its last reports, up to `heard_s`."""

    cpu_s: float = 0.0
    stalls: int = 0
    stall_max_s: float = 0.0
    not_reached: int = 0
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=2))
    heard_s: float = 0.0


@dataclass
class Totals:
    """What the process reported so far, of its engine or of those of all workers."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    error: str = ""
    engines: defaultdict[int, EngineTotals] = field(
        default_factory=lambda: defaultdict(EngineTotals)
    )
    workers: tuple[WorkerState, ...] = ()
    refused: str = ""  # the last worker that could not take part, and why

    def take(self, report: dict[str, Any], now_s: float) -> None:
        """Count one report."""
        self.error = report.get("error", self.error)
        self.refused = report.get("refused", self.refused)
        if "workers" in report:
            self.workers = tuple(WorkerState(**state) for state in report["workers"])
        if "ops" in report:
            self._count(report, now_s)

    def _count(self, report: dict[str, Any], now_s: float) -> None:
        for op in report["ops"]:
            self.sent += op["num_requests"] - op["num_none_requests"]
            self.failed += op["num_failures"]
            self.dropped += op["num_none_requests"]
        engine = self.engines[report.get("engine", 0)]
        engine.cpu_s = report["cpu_s"]
        engine.stalls = report.get("stalls", 0)  # a user's own class has no loop of ours
        engine.stall_max_s = report.get("stall_max_s", 0.0)
        engine.not_reached = report.get("not_reached", 0)
        engine.heard_s = now_s
        engine.recent.append(report)

    @property
    def cpu_s(self) -> float:
        """Of all engines together."""
        return sum(engine.cpu_s for engine in list(self.engines.values()))

    @property
    def stalls(self) -> int:
        """Of all engines together."""
        return sum(engine.stalls for engine in list(self.engines.values()))

    @property
    def not_reached(self) -> int:
        """Of all engines together."""
        return sum(engine.not_reached for engine in list(self.engines.values()))

    @property
    def stall_max_s(self) -> float:
        """The longest of any."""
        return max((engine.stall_max_s for engine in list(self.engines.values())), default=0.0)

    def window(self, now_s: float) -> WindowFigures:
        """The last second or so, of all engines that still report."""
        engines = [e for e in list(self.engines.values()) if now_s - e.heard_s < STALE_S]
        return summarise([batch for e in engines for batch in list(e.recent)], len(engines))


def locust_command(locustfile: Path) -> list[str]:
    """How Locust is started with a file of ours."""
    return [sys.executable, "-m", "locust", "-f", str(locustfile), "--loglevel", "WARNING"]


class GeneratorProcess:
    """One child with a command pipe and a report pipe, which is read in a thread.

    `heard` gets each report, in that thread.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        log: Path,
        environment: dict[str, str],
        heard: Callable[[dict[str, Any]], object] = bool,
    ) -> None:
        self.name, self.log = name, log
        self._heard = heard
        self.totals = Totals()
        self.ready = threading.Event()
        self.is_finished = False
        commands_out, self._commands = os.pipe()
        self._reports, reports_in = os.pipe()
        # A user's own LOCUST_* settings are not for this run.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")}
        environment = {
            **inherited,
            **environment,
            "HARNESS_COMMAND_FD": str(commands_out),
            "HARNESS_REPORT_FD": str(reports_in),
        }
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                command,
                stdin=commands_out,
                stdout=reports_in if name == "canary" else output,
                stderr=output,
                pass_fds=(commands_out, reports_in),
                env=environment,
                start_new_session=True,  # Ctrl-C is for the runner to handle
            )
        os.close(commands_out)
        os.close(reports_in)
        self._reader = threading.Thread(target=self._read, name=f"{name} reports", daemon=True)
        self._reader.start()

    def say(self, command: str) -> None:
        """Send one command; a child that is gone is noticed by `check`."""
        with contextlib.suppress(OSError):
            if self._commands >= 0:
                os.write(self._commands, f"{command}\n".encode())

    def check(self) -> None:
        """LoadError if the child is gone, or cannot record."""
        if (code := self.child.poll()) is not None:
            raise LoadError(
                f"the {self.name} ended with exit code {code}: {self.last_words()}",
                f"log: {self.log}",
            )
        if self.totals.error:
            raise LoadError(f"the {self.name} cannot record: {self.totals.error}", "free space")

    def last_words(self) -> str:
        """The last line of the child's own output."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def hang_up(self) -> None:
        """Close the command pipe: to the child its owner is gone, and it ends at once."""
        if self._commands >= 0:
            os.close(self._commands)
            self._commands = -1

    def end(self, deadline_s: float) -> int:
        """Wait until the deadline, then SIGTERM, then SIGKILL; the exit code."""
        for send in (None, signal.SIGTERM, signal.SIGKILL):
            if send is not None:
                self.child.send_signal(send)
                deadline_s = monotonic() + TERM_S
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(max(0.01, deadline_s - monotonic()))
                break
        self._reader.join(2)
        self.hang_up()
        return self.child.returncode if self.child.returncode is not None else -1

    def _read(self) -> None:
        with os.fdopen(self._reports, "rb") as reports:
            self._take_lines(reports)

    def _take_lines(self, reports: IO[bytes]) -> None:
        for line in reports:
            with contextlib.suppress(json.JSONDecodeError):
                self._take(json.loads(line))

    def _take(self, report: dict[str, Any]) -> None:
        if report.get("ready"):
            self.ready.set()
        self.is_finished = self.is_finished or bool(report.get("finished"))
        self._heard(report)
        self.totals.take(report, monotonic())
