"""Locust as the control plane: its users, page and statistics; the engine sends and records.

One user is a token for a fixed rate of arrivals, so Locust's user count, spawn rate and shapes all
become an arrival rate. Load of several workers is workers/locustfile.py. Locust must be imported
first in its process.

    HARNESS_ENGINE_CONFIG   the engine's configuration, a JSON file
    HARNESS_COMMAND_FD      the driver's commands (`begin T0`, `stop S`); closed once it is gone
    HARNESS_REPORT_FD       the engine's reports, passed on to the driver
    HARNESS_PAGE            set if tests are begun and stopped in the page, not by the driver
    HARNESS_STATE_FILE      what the page shows: {"run_id": …, "phase": …, "faults": […]}
"""

# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,explicit-override"
from __future__ import annotations

import importlib.util
import json
import os
import signal
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic, time
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import LoadTestShape, User, constant, events, runners, task
from typing_extensions import override

from harness.load.engine.schedule import RateProfile
from harness.load.locust_engine import EngineProcess, follow_commands, report
from harness.load.user_recorder import UserRecorder
from harness.model.answer_headers import headers_by_column
from harness.model.http import authority

CONFIG = json.loads(Path(os.environ["HARNESS_ENGINE_CONFIG"]).read_text())
LOAD = CONFIG["load"]
RATE_PER_USER = float(os.environ.get("HARNESS_RATE_PER_USER", "10"))
DRAIN_S = float(LOAD["timeout_s"])
STAGES = CONFIG["stages"]
PROFILE = RateProfile.of_stages(0, LOAD["rate_per_s"], STAGES)
IS_PAGE = "HARNESS_PAGE" in os.environ
HOST = f"http://{authority(tuple(CONFIG['endpoints'][0]))}"
STEER_S, REPORT_S = 0.1, 0.5
STATE_OLD_S = 15.0


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
        """The stages of the experiment as user counts, for the page."""

        def tick(self) -> tuple[int, float] | None:
            """The user count of this second; the last stage is kept."""
            rate_per_s = PROFILE.rate_at(self.get_run_time())
            return max(1, round(rate_per_s / RATE_PER_USER)), 10_000


class Engine(EngineProcess):
    """An engine whose rate follows Locust's users."""

    def __init__(self, environment: Any, config: Path) -> None:
        self._is_up = self._is_steered = False
        super().__init__(environment, config, DRAIN_S)
        gevent.spawn(self._steer)

    @override
    def heard(self, line: bytes, batch: dict[str, Any]) -> None:
        if "ready" in batch:  # told to the driver once the rate is reached, too
            self._is_up = True
            if IS_PAGE:
                self.begin(monotonic())
        else:
            report(line)

    def _steer(self) -> None:
        """The user count is the rate, but for stages: the engine itself follows these."""
        runner, said = self._environment.runner, -1.0
        while not self.is_stopping:
            rate_per_s = float(runner.user_count * RATE_PER_USER)
            if not STAGES and rate_per_s != said:
                self.say(f"rate {rate_per_s}")
                said = rate_per_s
            is_reached = runner.user_count == runner.target_user_count > 0
            if self._is_up and is_reached and not self._is_steered:
                self._is_steered = True
                report(b'{"ready": true}\n')
            gevent.sleep(STEER_S)


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
TESTS = count()


def obey(environment: Any, word: bytes, value: float) -> None:
    """One command of the driver's."""
    if word == b"begin" and GENERATORS:
        GENERATORS[0].begin(value)
    elif word == b"stop":
        gevent.spawn(environment.runner.quit)


def abandon() -> None:
    """The driver is gone."""
    for generator in GENERATORS:
        generator.hang_up()


def _config_of_test() -> Path:
    """The engine's configuration; under the page each test has a folder of its own."""
    value = dict(CONFIG)
    number = next(TESTS)
    if IS_PAGE:
        value["samples"] = f"{CONFIG['samples']}/{os.getpid()}-{number}"
    Path(value["samples"]).mkdir(parents=True, exist_ok=True)
    given = Path(os.environ["HARNESS_ENGINE_CONFIG"])
    path = given.with_name(f"{given.stem}-{os.getpid()}.json")
    path.write_text(json.dumps(value))
    return path


@events.test_start.add_listener
def start_generator(environment: Any, **_: Any) -> None:
    """A test begins: start its engine."""
    if LOAD["locustfile"] and GENERATORS:
        return
    kind = UsersOwnLoad if LOAD["locustfile"] else Engine
    GENERATORS[:] = [kind(environment, _config_of_test())]


@events.test_stopping.add_listener
def stop_generator(**_: Any) -> None:
    """A test ends: the engine first, so that all it did is counted."""
    for generator in GENERATORS:
        generator.stop()


@events.init.add_listener
def initialise(environment: Any, **_: Any) -> None:
    """Route Ctrl-C to the main greenlet, listen to the driver, extend the page."""
    # Python would raise KeyboardInterrupt in whatever greenlet runs.
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)
    environment.process_exit_code = 0  # failed requests are the experiment's to judge
    gevent.spawn(follow_commands, partial(obey, environment), abandon)
    if environment.web_ui:
        extend_page(environment.web_ui)


@events.usage_monitor.add_listener
def show_engine_cpu(environment: Any, cpu_usage: float, **_: Any) -> None:
    """Let the page show the engine's CPU, as that is what limits the rate."""
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
