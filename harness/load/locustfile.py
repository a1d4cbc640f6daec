"""Locust as the control plane: its users, page and statistics; the engine sends and records.

One user is a token for a fixed rate of arrivals, so Locust's user count, spawn rate, shapes and
worker balancing all become an arrival rate. This is the only file that imports Locust, which must
be imported first in its process.

    HARNESS_ENGINE_CONFIG   the engine's configuration, a JSON file
    HARNESS_COMMAND_FD      the driver's commands (`begin T0`, `stop S`); absent under the page
    HARNESS_REPORT_FD       the engine's reports, passed on to the driver
    HARNESS_STATE_FILE      what the page shows: {"run_id": …, "phase": …, "faults": […]}
"""

# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,explicit-override"
from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from time import monotonic, time
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import LoadTestShape, User, argument_parser, constant, events, runners, task
from locust.runners import MasterRunner, WorkerRunner
from locust.stats import StatsEntry, StatsError

from harness.load.engine.schedule import RateProfile
from harness.load.user_recorder import UserRecorder
from harness.model.answer_headers import headers_by_column
from harness.model.http import authority

CONFIG = json.loads(Path(os.environ["HARNESS_ENGINE_CONFIG"]).read_text())
LOAD = CONFIG["load"]
RATE_PER_USER = float(os.environ.get("HARNESS_RATE_PER_USER", "10"))
DRAIN_S = float(LOAD["timeout_s"])
STAGES = CONFIG["stages"]
PROFILE = RateProfile.of_stages(0, LOAD["rate_per_s"], STAGES)
HAS_DRIVER = "HARNESS_COMMAND_FD" in os.environ
HOST = f"http://{authority(tuple(CONFIG['endpoints'][0]))}"
STEER_S, REPORT_S, ENGINE_END_S, ENGINE_DIED = 0.1, 0.5, 5.0, 4
STATE_OLD_S = 15.0
runners.WORKER_REPORT_INTERVAL = 1.0
# A worker would build the whole argument parser again for each message, 165 ms of CPU.
argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)


def _users_own_class(locator: str) -> type[User]:
    """The class that `path::UserClass` names, with the entry as its host."""
    path, _, name = locator.partition("::")
    spec = importlib.util.spec_from_file_location("users_locustfile", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type[User] | None = getattr(module, name, None)
    if found is None:
        raise SystemExit(f"{path}: no class {name}")
    found.host = HOST
    return found


if LOAD["locustfile"]:
    UsersOwn = _users_own_class(LOAD["locustfile"])
else:

    class Arrivals(User):
        """A token for RATE_PER_USER arrivals a second; it only waits, so it stops at once."""

        host = HOST
        wait_time = constant(1e6)

        @task
        def idle(self) -> None:
            """Nothing: the engine does the work."""


if STAGES:

    class Stages(LoadTestShape):
        """The stages of the experiment as user counts, for the page and for workers."""

        def tick(self) -> tuple[int, float] | None:
            """The user count of this second; the last stage is kept."""
            rate_per_s = PROFILE.rate_at(self.get_run_time())
            return max(1, round(rate_per_s / RATE_PER_USER)), 10_000


class Engine:
    """One engine process per test, so that nothing of one test leaks into the next."""

    def __init__(self, environment: Any, config: Path) -> None:
        self._environment = environment
        self._is_stopping = False
        self._is_steered = False
        self._cpu_s = self._cpu_seen_s = 0.0
        self._child: Any = subprocess.Popen(  # gevent's; Ctrl-C is for Locust to handle
            [sys.executable, "-m", "harness.load.engine", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = gevent.spawn(self._read)
        gevent.spawn(self._steer)
        if not HAS_DRIVER:
            self.begin(monotonic() + 0.2)

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
        if not self._is_stopping:
            self.say(f"stop {DRAIN_S}")
        self._is_stopping = True
        self._reader.join(DRAIN_S + ENGINE_END_S)
        if not self._reader.ready():
            self._child.kill()

    def hang_up(self) -> None:
        """End the engine at once: to it, its owner is gone."""
        self._is_stopping = True
        with contextlib.suppress(OSError):
            self._child.stdin.close()

    def cpu_percent(self, period_s: float) -> float:
        """CPU of the engine since this was asked last, `period_s` ago."""
        used_s, self._cpu_seen_s = self._cpu_s - self._cpu_seen_s, self._cpu_s
        return 100 * used_s / period_s

    def _steer(self) -> None:
        """The user count is the rate, but for stages: the engine itself follows these."""
        runner, said = self._environment.runner, -1.0
        follows_users = not STAGES or isinstance(runner, WorkerRunner)
        while not self._is_stopping:
            rate_per_s = float(runner.user_count * RATE_PER_USER)
            if follows_users and rate_per_s != said:
                self.say(f"rate {rate_per_s}")
                said = rate_per_s
            if not self._is_steered and runner.user_count == runner.target_user_count > 0:
                self._is_steered = True
                report(b'{"ready": true}\n')
            gevent.sleep(STEER_S)

    def _read(self) -> None:
        for line in self._child.stdout:
            batch = json.loads(line)
            if "ready" not in batch:  # told to the driver once the rate is reached
                report(line)
            self._cpu_s = batch.get("cpu_s", self._cpu_s)
            for op in batch.get("ops", ()):
                merge(self._environment.stats, op)
        code = self._child.wait()
        if code or not self._is_stopping:
            logging.error("the engine ended with exit code %s", code)
            self._environment.process_exit_code = ENGINE_DIED
            gevent.spawn(self._environment.runner.quit)


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


def report(line: bytes) -> None:
    """Pass a line on to the driver, where there is one."""
    if descriptor := os.environ.get("HARNESS_REPORT_FD"):
        with contextlib.suppress(OSError):
            os.write(int(descriptor), line)


class UsersOwnLoad:
    """A user's own class in place of the engine, recorded through Locust's `request` event."""

    def __init__(self, environment: Any, config: Path) -> None:
        value = json.loads(config.read_text())
        self._environment = environment
        headers = headers_by_column(CONFIG["headers"])
        self._recorder = UserRecorder(Path(value["samples"]), CONFIG["stream"], headers)
        self._is_stopping = False
        environment.events.request.add_listener(self._recorder.add)
        environment.events.quitting.add_listener(self.finish)
        self._reporter = gevent.spawn(self._report)

    def begin(self, start_s: float) -> None:
        """Users start at `start_s`."""
        self._recorder.begin(start_s)
        runner = self._environment.runner
        users = max(1, round(LOAD["rate_per_s"]))
        gevent.spawn_later(max(0, start_s - monotonic()), runner.start, users, 10_000)

    def stop(self) -> None:
        """Nothing: the users end in Locust's own way, their last requests are still recorded."""

    def finish(self, **_: Any) -> None:
        """All users have stopped: write what is left."""
        self._is_stopping = True
        self._recorder.close()
        report(self._recorder.report())
        report(b'{"finished": true}\n')

    def hang_up(self) -> None:
        """Keep what is recorded."""
        self._recorder.close()

    def cpu_percent(self, _period_s: float) -> float:
        """Nothing beside Locust's own."""
        return 0.0

    def _report(self) -> None:
        report(b'{"ready": true}\n')
        while not self._is_stopping:
            report(self._recorder.report())
            gevent.sleep(REPORT_S)


GENERATORS: list[Engine | UsersOwnLoad] = []
DRAINED: set[str] = set()
TESTS = count()


def obey(environment: Any) -> None:
    """Take the driver's commands; end with it, however it ends."""
    descriptor = int(os.environ["HARNESS_COMMAND_FD"])
    buffer = b""
    while True:
        gevent.socket.wait_read(descriptor)
        data = os.read(descriptor, 4096)
        if not data:  # the driver is gone: no drain, no farewell
            for generator in GENERATORS:
                generator.hang_up()
            os._exit(ENGINE_DIED)
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            word, _, value = line.partition(b" ")
            if word == b"begin" and GENERATORS:
                GENERATORS[0].begin(float(value))
            elif word == b"stop":
                gevent.spawn(environment.runner.quit)


def _config_of_test(runner: Any) -> Path:
    """The engine's configuration, with the worker's number and a folder for each test."""
    value = dict(CONFIG)
    if isinstance(runner, WorkerRunner):
        value["worker"] = runner.worker_index
        value["seed"] = CONFIG["seed"] + 1000 * (runner.worker_index + 1)
        # Each worker sends the share that its users stand for.
        value["rate_per_s"], value["stages"] = 0.0, []
    number = next(TESTS)
    if not HAS_DRIVER and not isinstance(runner, WorkerRunner):
        value["samples"] = f"{CONFIG['samples']}/{os.getpid()}-{number}"
    Path(value["samples"]).mkdir(parents=True, exist_ok=True)
    given = Path(os.environ["HARNESS_ENGINE_CONFIG"])
    path = given.with_name(f"{given.stem}-{os.getpid()}.json")
    path.write_text(json.dumps(value))
    return path


@events.test_start.add_listener
def start_generator(environment: Any, **_: Any) -> None:
    """A test begins: start its engine (a master has none)."""
    DRAINED.clear()
    if LOAD["replay"] and isinstance(environment.runner, WorkerRunner):
        logging.error("a recorded run is replayed by one process: leave out the workers")
        environment.process_exit_code = ENGINE_DIED
        environment.runner.quit()
        return
    if isinstance(environment.runner, MasterRunner) or (LOAD["locustfile"] and GENERATORS):
        return
    kind = UsersOwnLoad if LOAD["locustfile"] else Engine
    GENERATORS[:] = [kind(environment, _config_of_test(environment.runner))]


@events.test_stopping.add_listener
def stop_generator(environment: Any, **_: Any) -> None:
    """A test ends: the engine first, so that all it did is counted."""
    runner = environment.runner
    for generator in GENERATORS:
        generator.stop()
    if isinstance(runner, MasterRunner):  # its quit() waits only 0.5 s for the last reports
        runner.send_message("drain")
        with gevent.Timeout(DRAIN_S + ENGINE_END_S, False):  # noqa: FBT003
            while any(
                c.id not in DRAINED for c in runner.clients.running + runner.clients.spawning
            ):
                gevent.sleep(0.05)


@events.init.add_listener
def initialise(environment: Any, runner: Any, **_: Any) -> None:
    """Route Ctrl-C to the main greenlet, listen to the driver, extend the page."""
    # Python would raise KeyboardInterrupt in whatever greenlet runs.
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)
    if HAS_DRIVER:
        environment.process_exit_code = 0  # failed requests are the experiment's to judge
        gevent.spawn(obey, environment)
    if environment.web_ui:
        extend_page(environment.web_ui)
    if isinstance(runner, WorkerRunner):
        _drain_before_quitting(runner)
    elif isinstance(runner, MasterRunner):
        runner.register_message("drained", lambda msg, **_: DRAINED.add(msg.node_id))


def _drain_before_quitting(runner: Any) -> None:
    def send_last_report(environment: Any, **_: Any) -> None:
        stop_generator(environment)
        runner._send_stats()
        runner.send_message("drained")

    runner.register_message("drain", send_last_report, concurrent=True)
    events.quitting.add_listener(send_last_report)


@events.usage_monitor.add_listener
def show_engine_cpu(environment: Any, cpu_usage: float, **_: Any) -> None:
    """Let the page of workers show the engine's CPU, as that is what limits the rate."""
    for generator in GENERATORS:
        used = generator.cpu_percent(runners.CPU_MONITOR_INTERVAL)
        environment.runner.current_cpu_usage = max(cpu_usage, used)


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
    """Phase and faults as the runner wrote them in the last moments."""
    try:
        state = json.loads(path.read_text())
        if time() - path.stat().st_mtime > STATE_OLD_S:
            raise TimeoutError
    except (OSError, ValueError):
        return {"run": "none: start one with harness run"}
    faults = ", ".join(state.get("faults", [])) or "none"
    return {
        "run": state.get("run_id", ""),
        "second": f"{state.get('at_s', 0):.0f} of {state.get('end_s', 0):.0f}",
        "phase": state.get("phase", ""),
        "faults": faults,
    }
