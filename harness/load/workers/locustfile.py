"""Load of several workers, over Locust's own master and worker: connects roster.py and share.py.

Locust's users are one idle token for each worker; the engines follow the plan. Locust must be
imported first in its process.

    HARNESS_COMMAND_FD      commands (`begin T0`, `stop S`); end of file: whoever started it is gone
    HARNESS_REPORT_FD       reports
    HARNESS_ENGINE_CONFIG   the master's: the configuration of the whole main load
    HARNESS_WORKERS         the master's: {"workers": N, "elsewhere": K, "key": ...}
    HARNESS_WORKER_FOLDER   a worker's: where it works
    HARNESS_WORKER_KEY      a worker's: the driver's key, "" for one that it did not start
"""

# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,explicit-override"
from __future__ import annotations

import functools
import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import User, argument_parser, constant, events, runners, task
from locust.runners import WorkerRunner
from typing_extensions import override

from harness.load.engine.config import engine_config_from_json
from harness.load.locust_engine import END_S, EngineProcess, follow_commands, report
from harness.load.workers import DRAIN, FROM_MASTER, FROM_WORKER
from harness.load.workers.roster import Expected, Roster
from harness.load.workers.share import Share

TICK_S, HAND_OVER_S, FAREWELL_S, CONNECT_S = 0.05, 0.25, 0.2, 30
runners.WORKER_REPORT_INTERVAL = 1.0
runners.WORKER_LOG_REPORT_INTERVAL = -1  # each writes its own
runners.CONNECT_TIMEOUT = CONNECT_S  # then it only asks anew; who started it says how long it waits
runners.CONNECT_RETRY_COUNT = 400
# A worker would build the whole argument parser again for each message, 165 ms of CPU.
argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)


class Arrivals(User):
    """A token for a worker; it only waits, so it stops at once."""

    host = "http://harness.invalid"
    wait_time = constant(1e6)

    @task
    def idle(self) -> None:
        """Nothing: the engine does the work."""


class Master:
    """Begins, ends, and passes on; the roster knows the rest."""

    def __init__(self, environment: Any) -> None:
        config = Path(os.environ["HARNESS_ENGINE_CONFIG"]).read_text()
        self._config = engine_config_from_json(config)
        self._runner = environment.runner
        expected = Expected(**json.loads(os.environ["HARNESS_WORKERS"]))
        self._roster = Roster(self._config, expected, self._send, tell)
        for kind in FROM_WORKER:
            self._runner.register_message(kind, self._hear)
        tell({"port": self._runner.server.port})
        gevent.spawn(_often, self._tick, TICK_S)

    def obey(self, word: bytes, value: float) -> None:
        """A command of the driver's."""
        if word == b"begin":
            self._roster.begin(value)
        elif word == b"stop":
            gevent.spawn(self._end, value)

    def abandon(self) -> None:
        """The driver is gone: all workers end at once."""
        self._roster.end()
        gevent.sleep(FAREWELL_S)

    def _end(self, drain_s: float) -> None:
        self._roster.stop()
        end_s = monotonic() + drain_s + END_S
        while monotonic() < end_s and not self._roster.is_settled(monotonic()):
            gevent.sleep(TICK_S)
        self._roster.tell_states(monotonic(), is_last=True)
        tell({"finished": True})
        self._runner.quit()

    def _send(self, kind: str, worker: str, data: dict[str, Any]) -> None:
        self._runner.send_message(kind, data, client_id=worker)

    def _hear(self, msg: Any, **_: Any) -> None:
        self._roster.hear(msg.type, msg.node_id, msg.data, monotonic())

    def _tick(self) -> None:
        self._roster.tick(monotonic())


class Worker:
    """Runs an engine; the share knows when."""

    def __init__(self, environment: Any) -> None:
        folder = Path(os.environ["HARNESS_WORKER_FOLDER"])
        runner = environment.runner
        leave = partial(_leave, environment)
        start = partial(ShareEngine, environment, heard=self._heard, failed=self._failed)
        self._share = Share(folder, runner.send_message, start, tell, leave)
        for kind in FROM_MASTER:
            # Draining takes as long as the last answers: what else comes is heard meanwhile.
            runner.register_message(kind, self._hear, concurrent=kind == DRAIN)
        self._share.hello(os.environ.get("HARNESS_WORKER_KEY", ""))
        gevent.spawn(_often, self._share.tick, HAND_OVER_S)

    def obey(self, word: bytes, _: float) -> None:
        """`stop`: whoever started it does not want it to go on."""
        if word == b"stop":
            self._share.quit("it was ended on its own machine")

    def abandon(self) -> None:
        """Whoever started it is gone."""
        self._share.abandon()

    def _hear(self, msg: Any, **_: Any) -> None:
        self._share.hear(msg.type, msg.data or {})

    def _heard(self, line: bytes, batch: dict[str, Any]) -> None:
        self._share.heard(line, batch)

    def _failed(self, code: int) -> None:
        self._share.failed(code)


class ShareEngine(EngineProcess):
    """The engine of a worker; it follows the plan, and no user count."""

    def __init__(
        self,
        environment: Any,
        config: Path,
        heard: Callable[[bytes, dict[str, Any]], None],
        failed: Callable[[int], None],
    ) -> None:
        self._heard, self._failed = heard, failed
        self._log = config.with_name("engine.log")
        drain_s = float(json.loads(config.read_text())["load"]["timeout_s"])
        super().__init__(environment, config, drain_s)

    @override
    def messages(self) -> Any:
        return self._log.open("wb")

    @override
    def heard(self, line: bytes, batch: dict[str, Any]) -> None:
        self._heard(line, batch)

    @override
    def failed(self, code: int) -> None:
        self._failed(code)


def tell(facts: dict[str, Any]) -> None:
    """A report to whoever started this process."""
    report(json.dumps(facts).encode() + b"\n")


def _often(act: Callable[[], None], every_s: float) -> None:
    while True:
        act()
        gevent.sleep(every_s)


def _leave(environment: Any, code: int) -> None:
    environment.process_exit_code = code
    gevent.spawn_later(FAREWELL_S, environment.runner.quit)  # what was sent last is still to go out


ROLES: list[Master | Worker] = []


def _obey(word: bytes, value: float) -> None:
    if word == b"stop" and not ROLES:  # a worker that still waits for a master
        os._exit(0)
    for role in ROLES:
        role.obey(word, value)


def _abandon() -> None:
    for role in ROLES:
        role.abandon()


# From the start: a worker may wait long for a master, and its owner may be gone meanwhile.
gevent.spawn(follow_commands, _obey, _abandon)


@events.init.add_listener
def initialise(environment: Any, runner: Any, **_: Any) -> None:
    """Take the role that Locust was started in."""
    # Python would raise KeyboardInterrupt in whatever greenlet runs.
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)
    environment.process_exit_code = 0
    ROLES.append(Worker(environment) if isinstance(runner, WorkerRunner) else Master(environment))
