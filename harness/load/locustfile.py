"""Locust as the control plane: its users, page and statistics; the engine sends and records.

One user is a token for a fixed rate of arrivals, so Locust's user count, spawn rate, shapes and
worker balancing all become an arrival rate. This is the only file that imports Locust, which must
be imported first in its process.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
from locust import User, argument_parser, constant, events, task
from locust.runners import MasterRunner, WorkerRunner
from locust.stats import StatsEntry, StatsError

CONFIG = json.loads(Path(os.environ["HARNESS_ENGINE_CONFIG"]).read_text())
RATE_PER_USER = float(os.environ.get("HARNESS_RATE_PER_USER", "10"))
DRAIN_S = float(os.environ.get("HARNESS_DRAIN_S", "5"))
STAGES = CONFIG["load"]["stages"]
STEER_S = 0.1
# A worker would build the whole argument parser again for each message, 165 ms of CPU.
argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)


class Arrivals(User):
    """A token for RATE_PER_USER arrivals a second; it only waits, so it stops at once."""

    host = "http://{}:{}".format(*CONFIG["endpoints"][0])
    wait_time = constant(1e6)

    @task
    def idle(self) -> None:
        """Nothing: the engine does the work."""


class Engine:
    """One engine process per test, so that nothing of one test leaks into the next."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._is_stopping = False
        self._began_s: float | None = None
        path = os.environ["HARNESS_ENGINE_CONFIG"]
        self._child = subprocess.Popen(  # gevent's; Ctrl-C is for Locust to handle
            [sys.executable, "-m", "harness.load.engine", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = gevent.spawn(self._read)
        gevent.spawn(self._steer)
        if "HARNESS_COMMAND_FD" not in os.environ:
            self.begin(monotonic() + 0.2)

    def say(self, command: str) -> None:
        """Send the engine one command; if it is dead, the reader notices."""
        try:
            self._child.stdin.write(f"{command}\n".encode())
            self._child.stdin.flush()
        except OSError:
            pass

    def begin(self, start_s: float) -> None:
        """Arrivals start at `start_s`."""
        self._began_s = start_s
        self.say(f"begin {start_s!r}")

    def stop(self) -> None:
        """End the arrivals and wait for the last batch; may be called twice."""
        if not self._is_stopping:
            self.say(f"stop {DRAIN_S}")
        self._is_stopping = True
        self._reader.join(DRAIN_S + 5)
        if not self._reader.ready():
            self._child.kill()

    def _steer(self) -> None:
        said = -1.0
        while not self._is_stopping:
            rate_per_s = self._rate_per_s()
            if rate_per_s != said:
                self.say(f"rate {rate_per_s}")
                said = rate_per_s
            gevent.sleep(STEER_S)

    def _rate_per_s(self) -> float:
        """Stages are followed here, on the run's own clock; else the user count decides."""
        if not STAGES:
            return float(self._environment.runner.user_count * RATE_PER_USER)
        elapsed_s = monotonic() - self._began_s if self._began_s else 0.0
        return _rate_of_stages(elapsed_s)

    def _read(self) -> None:
        for line in self._child.stdout:
            batch = json.loads(line)
            report(line)
            for op in batch.get("ops", ()):
                merge(self._environment.stats, op)
        if self._child.wait() or not self._is_stopping:
            logging.error("the engine ended with exit code %s", self._child.returncode)
            self._environment.process_exit_code = 4
            gevent.spawn(self._environment.runner.quit)


def _rate_of_stages(elapsed_s: float) -> float:
    rate_per_s = float(CONFIG["load"]["rate_per_s"])
    for stage in STAGES:
        if elapsed_s < stage["ramp_s"]:
            share = elapsed_s / stage["ramp_s"]
            return rate_per_s + (stage["rate_per_s"] - rate_per_s) * share
        rate_per_s = float(stage["rate_per_s"])
        elapsed_s -= stage["ramp_s"]
        if elapsed_s < stage["hold_s"]:
            return rate_per_s
        elapsed_s -= stage["hold_s"]
    return rate_per_s


def merge(stats: Any, op: dict[str, Any]) -> None:
    """Add one operation of one batch, as a master does with an entry of a worker's report."""
    errors = op.pop("errors")
    for key in ("response_times", "num_reqs_per_sec", "num_fail_per_sec"):
        op[key] = dict(op[key])  # JSON would have made the int keys strings
    entry = StatsEntry.unserialize(op, stats)
    stats.entries[entry.name, entry.method].extend(entry)
    stats.total.extend(entry)  # looked up each time: clear_all() replaces both
    for error, count in errors:
        key = StatsError.create_key(entry.method, entry.name, error)
        row = stats.errors.setdefault(key, StatsError(entry.method, entry.name, error))
        row.occurrences += count


def report(line: bytes) -> None:
    """Pass the engine's line on to the driver, where there is one."""
    if descriptor := os.environ.get("HARNESS_REPORT_FD"):
        try:
            os.write(int(descriptor), line)
        except OSError:
            pass


def obey(environment: Any) -> None:
    """Take the driver's commands; end with it, however it ends."""
    descriptor = int(os.environ["HARNESS_COMMAND_FD"])
    buffer = b""
    while True:
        gevent.socket.wait_read(descriptor)
        data = os.read(descriptor, 4096)
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            word, _, value = line.partition(b" ")
            if word == b"begin" and ENGINES:
                ENGINES[0].begin(float(value))
        if not data or any(line.startswith(b"stop") for line in lines):
            environment.runner.quit()
            return


ENGINES: list[Engine] = []


@events.test_start.add_listener
def start_engine(environment: Any, **_: Any) -> None:
    """A test begins: start its engine (a master has none)."""
    if not isinstance(environment.runner, MasterRunner):
        ENGINES[:] = [Engine(environment)]


@events.test_stopping.add_listener
def stop_engine(environment: Any, **_: Any) -> None:
    """A test ends: the engine first, so that all it did is counted."""
    for engine in ENGINES:
        engine.stop()


@events.init.add_listener
def initialise(environment: Any, **_: Any) -> None:
    """Route Ctrl-C to the main greenlet, listen to the driver, extend the page."""
    # Python would raise KeyboardInterrupt in whatever greenlet runs.
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)
    if "HARNESS_COMMAND_FD" in os.environ and not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(obey, environment)
    if environment.web_ui:
        extend_page(environment.web_ui)


def extend_page(web_ui: Any) -> None:
    """A tab that shows the phase and the live faults of a run on this machine."""
    state = Path(os.environ.get("HARNESS_STATE_FILE", ""))
    columns = [{"key": "name", "title": "What"}, {"key": "value", "title": "Now"}]
    update = web_ui.update_template_args

    def update_with_tab() -> None:
        update()
        web_ui.template_args["extended_tabs"] = [{"title": "Faults", "key": "faults"}]
        web_ui.template_args["extended_tables"] = [{"key": "faults", "structure": columns}]

    web_ui.update_template_args = update_with_tab

    @web_ui.app.after_request
    def add_state(response: Any) -> Any:
        from flask import request

        if request.path == "/stats/requests" and response.is_json:
            rows = [{"name": key, "value": text} for key, text in read_state(state).items()]
            data = [{**row, "safe_name": row["name"]} for row in rows]
            value = {**response.json, "extended_stats": [{"key": "faults", "data": data}]}
            response.set_data(json.dumps(value))
        return response


def read_state(path: Path) -> dict[str, str]:
    """Phase and faults as the runner wrote them last."""
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        return {"run": "none: start one with harness run"}
    faults = ", ".join(state.get("faults", [])) or "none"
    return {"run": state.get("run_id", ""), "phase": state.get("phase", ""), "faults": faults}
