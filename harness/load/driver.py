"""Starts Locust and the canary's engine as processes, steers them, and always ends them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Any

from harness.errors import LoadError
from harness.load.engine import EngineConfig
from harness.model.load import Load, LoadSnapshot, LoadSummary, Operation

READY_S, STOP_EXTRA_S, USERS_MAX = 30.0, 10.0, 400
LOCUSTFILE = Path(__file__).with_name("locustfile.py")


@dataclass(frozen=True)
class LoadConfig:
    """The load of one run: where it enters, what it sends, where it is recorded."""

    load: Load
    operations: Mapping[str, Operation]
    endpoints: list[tuple[str, int]]
    seed: int
    run_id: str
    duration_s: float
    canary_offset: int
    samples: Path
    work: Path  # configurations and the processes' own output
    state_file: Path | None = None


@dataclass
class _Totals:
    sent: int = 0
    failed: int = 0
    dropped: int = 0
    cpu_s: float = 0.0
    error: str = ""
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=3))


class _Process:
    """One child with a command pipe and a report pipe; `lines` are read in a thread."""

    def __init__(
        self, name: str, command: list[str], log: Path, environment: dict[str, str]
    ) -> None:
        self.name, self.log = name, log
        self.totals = _Totals()
        self.ready = threading.Event()
        self.began_s = 0.0
        commands_out, self._commands = os.pipe()
        self._reports, reports_in = os.pipe()
        environment = {
            **os.environ,
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

    def end(self, deadline_s: float) -> int:
        """Wait until the deadline, then SIGTERM, then SIGKILL; the exit code."""
        for send in (None, signal.SIGTERM, signal.SIGKILL):
            if send is not None:
                self.child.send_signal(send)
                deadline_s = monotonic() + 3
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(max(0.01, deadline_s - monotonic()))
                break
        self._reader.join(2)
        with contextlib.suppress(OSError):
            os.close(self._commands)
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
        if "ops" not in report:
            return
        totals = self.totals
        for op in report["ops"]:
            totals.sent += op["num_requests"] - op["num_none_requests"]
            totals.failed += op["num_failures"]
            totals.dropped += op["num_none_requests"]
        totals.cpu_s = report["cpu_s"]
        totals.error = report["error"]
        totals.recent.append(report)


class LoadDriver:
    """The main load through Locust, and a canary engine beside it."""

    def __init__(self, config: LoadConfig) -> None:
        self._config = config
        self._main: _Process | None = None
        self._canary: _Process | None = None
        self._began_s = 0.0

    def start(self) -> None:
        """Start both processes and wait until they are ready; LoadError after 30 s."""
        config = self._config
        config.work.mkdir(parents=True, exist_ok=True)
        self._main = self._start_locust()
        if config.load.canary_rate_per_s > 0:
            path = self._write_engine_config("canary")
            command = [sys.executable, "-m", "harness.load.engine", str(path)]
            self._canary = _Process("canary", command, config.work / "canary.log", {})
        deadline_s = monotonic() + READY_S
        for process in self._processes():
            while not process.ready.wait(0.1):
                process.check()
                if monotonic() > deadline_s:
                    raise LoadError(
                        f"the {process.name} was not ready within {READY_S:.0f} s",
                        f"log: {process.log}",
                    )

    def begin(self, start_s: float) -> None:
        """Arrivals start at `start_s` (host's monotonic clock), which is second 0 of the samples."""
        self._began_s = start_s
        for process in self._processes():
            process.say(f"begin {start_s!r}")

    def check(self) -> None:
        """LoadError if a generator is gone."""
        for process in self._processes():
            process.check()

    def snapshot(self) -> LoadSnapshot:
        """Counters of the main load, and of its last second or so."""
        assert self._main is not None
        totals = self._main.totals
        recent = list(totals.recent)[-2:]
        window_s = sum(report["window_s"] for report in recent) or 1.0
        requests: dict[str, int] = {}
        failures: dict[str, int] = {}
        times: dict[int, int] = {}
        for op in (op for report in recent for op in report["ops"]):
            requests[op["name"]] = requests.get(op["name"], 0) + op["num_requests"]
            failures[op["name"]] = failures.get(op["name"], 0) + op["num_failures"]
            for bucket, count in op["response_times"]:
                times[bucket] = times.get(bucket, 0) + count
        return LoadSnapshot(
            at_s=monotonic() - self._began_s,
            sent=totals.sent,
            failed=totals.failed,
            dropped=totals.dropped,
            window_rate_per_s=sum(requests.values()) / window_s,
            window_error_rate={
                name: failures[name] / count for name, count in requests.items() if count
            },
            window_p95_s=_percentile(times, 0.95) / 1e3,
        )

    def stop(self) -> LoadSummary:
        """End the arrivals, give those in flight their time-out, end both processes."""
        stopped_s = monotonic()
        drain_s = self._config.load.timeout_s
        for process in self._processes():
            process.say(f"stop {drain_s}")
        deadline_s = stopped_s + drain_s + STOP_EXTRA_S
        codes = [process.end(deadline_s) for process in self._processes()]
        totals = [process.totals for process in self._processes()]
        sent, dropped = sum(t.sent for t in totals), sum(t.dropped for t in totals)
        return LoadSummary(
            intended=sent + dropped,
            sent=sent,
            dropped=dropped,
            cpu_s=sum(t.cpu_s for t in totals),
            duration_s=stopped_s - self._began_s if self._began_s else 0.0,
            exit_code=next((code for code in codes if code), 0),
        )

    def kill(self) -> None:
        """End both processes at once; what they recorded so far stays."""
        for process in self._processes():
            process.end(monotonic())

    def _processes(self) -> list[_Process]:
        return [process for process in (self._main, self._canary) if process is not None]

    def _start_locust(self) -> _Process:
        config, path = self._config, self._write_engine_config("main")
        peak = max([config.load.rate_per_s, *(s.rate_per_s for s in config.load.stages)])
        environment = {
            "HARNESS_ENGINE_CONFIG": str(path),
            "HARNESS_RATE_PER_USER": repr(peak / min(USERS_MAX, max(1, round(peak)))),
            "HARNESS_DRAIN_S": repr(config.load.timeout_s),
            "HARNESS_STATE_FILE": str(config.state_file or ""),
        }
        users = str(min(USERS_MAX, max(1, round(peak))))
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless"]
        command += [
            "--users",
            users,
            "--spawn-rate",
            "10000",
            "--only-summary",
            "--loglevel",
            "WARNING",
        ]
        return _Process("load generator", command, config.work / "locust.log", environment)

    def _write_engine_config(self, stream: str) -> Path:
        config = self._config
        is_canary = stream == "canary"
        mix = dict.fromkeys(config.load.mix, 1.0) if is_canary else dict(config.load.mix)
        engine = EngineConfig(
            stream=stream,
            run_id=config.run_id,
            seed=config.seed + is_canary,
            endpoints=config.endpoints,
            load=config.load.model_dump(mode="json"),
            operations={n: config.operations[n].model_dump(mode="json") for n in mix},
            mix=mix,
            samples=str(config.samples),
            rate_per_s=config.load.canary_rate_per_s * len(mix) if is_canary else 0.0,
            cold_keys_offset=config.canary_offset if is_canary else -1,
            max_duration_s=config.duration_s + 60,
        )
        path = config.work / f"{stream}.json"
        path.write_text(engine.to_json())
        return path


def _percentile(times: dict[int, int], share: float) -> float:
    left = share * sum(times.values())
    for bucket in sorted(times):
        left -= times[bucket]
        if left <= 0:
            return bucket
    return 0.0
