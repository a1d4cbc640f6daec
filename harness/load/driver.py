r"""Starts Locust and the canary's engine as processes, steers them, and always ends them.

driver --commands--> Locust --commands--> engine (main)      --> samples/main-*.parquet
   \---commands--> engine (canary)                           --> samples/canary-*.parquet

With several workers Locust is a master, and its workers have the engines: see load/workers/. The
canary stays one engine on this machine, so what it measures needs no other clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from time import monotonic, sleep
from typing import NoReturn

from harness.errors import LoadError
from harness.load.engine.config import EngineConfig, Entry, check_endpoints
from harness.load.generator_process import GeneratorProcess, locust_command
from harness.load.replay import write_replay
from harness.load.workers.launch import Elsewhere, check_elsewhere, start_master
from harness.model.answer_headers import Header, Who
from harness.model.http import Address
from harness.model.load import Load, LoadSnapshot, LoadSummary, Operation
from harness.record.folder import RunFolder

READY_S, JOIN_S, STOP_EXTRA_S, HANG_UP_S = 30.0, 60.0, 10.0, 2.0
LOOK_S = 0.1
WORKER_S = 5.0
"""Longer for each worker: several start at once, on few cores."""
USERS_MAX = 400
LOCUSTFILE = Path(__file__).with_name("locustfile.py")


@dataclass(frozen=True)
class LoadConfig:
    """The load of one run: where it enters, what it sends, where it is recorded.

    `duration_s` bounds the load, whatever else happens; `state_file` is the JSON file with
    run_id, phase and faults that Locust's page shows; `entry_file`, if the entry can move, says
    where it is now (entry_follower.py). `entries` has those that operations name themselves.
    With `load.locustfile` (path::UserClass) the main load is that class, one user for each arrival
    a second of `load.rate_per_s`. `headers`: those that say who answered, as the target names them.
    `elsewhere`: which workers this machine does not start.
    """

    load: Load
    operations: Mapping[str, Operation]
    endpoints: list[Address]
    seed: int
    run_id: str
    duration_s: float
    canary_key_offset: int
    samples_dir: Path
    state_file: Path | None = None
    entry_file: Path | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict)
    headers: Mapping[Who, Header] = field(default_factory=dict)
    elsewhere: Elsewhere | None = None

    @property
    def has_workers(self) -> bool:
        """Whether the main load is sent by workers of a master."""
        return self.load.workers > 1 or self.elsewhere is not None

    @property
    def ready_s(self) -> float:
        """How long it may take until all processes are ready."""
        joining_s = JOIN_S if self.elsewhere else 0.0
        return READY_S + joining_s + (WORKER_S * self.load.workers if self.has_workers else 0.0)


class LoadDriver:
    """The main load through Locust, and a canary engine beside it.

    start, begin, (check, snapshot)*, stop; `kill` at any moment.
    """

    def __init__(self, config: LoadConfig, folder: RunFolder) -> None:
        check_endpoints(config.endpoints)
        for entry in config.entries.values():
            check_endpoints(entry.endpoints)
        if config.elsewhere is not None:
            files = [config.entry_file, *(entry.file for entry in config.entries.values())]
            check_elsewhere(config.elsewhere, config.load, entry_moves=any(files))
        self._config = config
        self._work = folder.path / "load"  # configurations and the processes' own output
        self._main: GeneratorProcess | None = None
        self._canary: GeneratorProcess | None = None
        self._workers: list[GeneratorProcess] = []
        self._began_s = 0.0

    def start(self) -> None:
        """Start all processes and wait until they are ready; LoadError after `ready_s`."""
        self._work.mkdir(parents=True, exist_ok=True)
        self._config.samples_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._start_main()
            if self._config.load.canaries:
                self._canary = self._start_canary()
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def begin(self, t0_monotonic_s: float) -> None:
        """Arrivals start at this moment of the host's monotonic clock, second 0 of the samples."""
        self._began_s = t0_monotonic_s
        for process in self._steered():
            process.say(f"begin {t0_monotonic_s!r}")

    def check(self) -> None:
        """LoadError if a generator is gone or cannot record; of several workers, if all are gone.

        Losing some of them is no error: what the others send is still worth seeing.
        """
        states = self._main.totals.workers if self._main else ()
        if states and all(state.problem for state in states):
            raise LoadError(f"all workers are gone: {self._missing()[0]}", f"see {self._work}")
        for process in self._steered():
            process.check()

    def snapshot(self) -> LoadSnapshot:
        """Counters of the main load, of its last second or so, and the rate of the canaries."""
        if self._main is None:
            return LoadSnapshot(at_s=0.0)
        totals = self._main.totals
        now_s = monotonic()
        window = totals.window(now_s)
        canary_per_s = self._canary.totals.window(now_s).rate_per_s if self._canary else 0.0
        return LoadSnapshot(
            at_s=now_s - self._began_s,
            sent=totals.sent,
            failed=totals.failed,
            dropped=totals.dropped,
            window_rate_per_s=window.rate_per_s,
            window_error_rate=window.error_rate,
            window_p95_s=window.p95_s,
            canary_rate_per_s=canary_per_s,
            missing=tuple(self._missing()),
        )

    def stop(self) -> LoadSummary:
        """End the arrivals, give those in flight their time-out, end all processes."""
        stopped_s = monotonic()
        drain_s = self._config.load.timeout_s
        steered = self._steered()
        for process in steered:
            process.say(f"stop {drain_s}")
        deadline_s = stopped_s + drain_s + STOP_EXTRA_S
        codes = [process.end(deadline_s) for process in steered]
        for worker in self._workers:  # the master has ended them; whether all was well is known
            worker.end(monotonic() + HANG_UP_S)
        totals = [process.totals for process in steered]
        sent, dropped = sum(t.sent for t in totals), sum(t.dropped for t in totals)
        is_cut = any(not process.is_finished for process in steered)
        return LoadSummary(
            intended=sent + dropped,
            sent=sent,
            dropped=dropped,
            cpu_s=sum(t.cpu_s for t in totals),
            duration_s=max(0.0, stopped_s - self._began_s) if self._began_s else 0.0,
            stalls=sum(t.stalls for t in totals),
            stall_max_s=max((t.stall_max_s for t in totals), default=0.0),
            not_reached=sum(t.not_reached for t in totals),
            exit_code=next((code for code in codes if code), 4 if is_cut else 0),
            workers=self._main.totals.workers if self._main else (),
        )

    def kill(self) -> None:
        """End all processes at once; what they recorded so far stays."""
        for process in self._processes():
            process.hang_up()
        deadline_s = monotonic() + HANG_UP_S
        for process in self._processes():
            process.end(deadline_s)

    def _steered(self) -> list[GeneratorProcess]:
        """Those that are told when to begin and to stop; a master passes it on."""
        return [process for process in (self._main, self._canary) if process is not None]

    def _processes(self) -> list[GeneratorProcess]:
        return [*self._steered(), *self._workers]

    def _missing(self) -> list[str]:
        states = self._main.totals.workers if self._main else ()
        return [
            f"worker {state.number} of {self._config.load.workers} ({state.host}): {state.problem}"
            for state in states
            if state.problem
        ]

    def _wait_until_ready(self) -> None:
        deadline_s = monotonic() + self._config.ready_s
        for process in self._steered():
            while not process.ready.wait(0.05):
                self._check_starting()
                if monotonic() > deadline_s:
                    raise self._not_ready(process)

    def _check_starting(self) -> None:
        """LoadError if a process is gone; a worker of this machine says itself why it cannot."""
        try:
            for each in self._processes():
                each.check()
        except LoadError as error:
            if self._main and (why := self._main.totals.refused):
                raise LoadError(f"a worker cannot take part: {why}", error.hint) from error
            raise

    def _not_ready(self, process: GeneratorProcess) -> LoadError:
        totals, wanted = process.totals, self._config.load.workers
        if process is self._main and self._config.has_workers:
            refused = f"; refused: {totals.refused}" if totals.refused else ""
            there = f"{len(totals.workers)} of {wanted} workers joined in time{refused}"
            elsewhere = self._config.elsewhere
            return LoadError(there, elsewhere.command if elsewhere else f"logs: {self._work}")
        return LoadError(
            f"the {process.name} was not ready within {self._config.ready_s:.0f} s; it said: "
            f"{process.last_words()}",
            f"log: {process.log}",
        )

    def _start_main(self) -> None:
        config = self._config
        if not config.has_workers:
            self._main = self._start_locust()
            return
        engine = _write_engine_config(config, "main", self._work)
        started = start_master(engine, config.load.workers, config.elsewhere, self._work)
        self._main, self._workers = started

    def _start_canary(self) -> GeneratorProcess:
        path = _write_engine_config(self._config, "canary", self._work)
        command = [sys.executable, "-m", "harness.load.engine", str(path)]
        return GeneratorProcess("canary", command, self._work / "canary.log", {})

    def _start_locust(self) -> GeneratorProcess:
        environment = _locust_environment(self._config, self._work)
        is_own = self._config.load.locustfile is not None
        command = [*locust_command(LOCUSTFILE), "--headless", "--only-summary"]
        if is_own or not self._config.load.stages:
            # A user's own class is started by `begin`: its users would not wait for it.
            users = 0 if is_own else _users(self._config.load)
            command += ["--users", str(users), "--spawn-rate", "10000"]
        if is_own:
            command += ["--stop-timeout", f"{ceil(self._config.load.timeout_s)}s"]
        return GeneratorProcess("load generator", command, self._work / "load.log", environment)


def serve_page(config: LoadConfig, port: int, folder: Path, look: Callable[[], object]) -> NoReturn:
    """Locust's web page on 127.0.0.1:`port`, until this process is interrupted or the page fails.

    A test started there sends `config`'s load, and records into a folder of its own below
    `config.samples_dir`. `look` is called every LOOK_S meanwhile. LoadError if the page ends.
    """
    check_endpoints(config.endpoints)
    folder.mkdir(parents=True, exist_ok=True)
    alone = config.load.model_copy(update={"workers": 1})  # its rate is the page's user count
    config = replace(config, load=alone)
    command = [*locust_command(LOCUSTFILE), "--web-host", "127.0.0.1", "--web-port", str(port)]
    if not config.load.stages:
        command += ["--users", str(_users(config.load)), "--spawn-rate", "10000"]
    environment = {**_locust_environment(config, folder), "HARNESS_PAGE": "1"}
    page = GeneratorProcess("web page", command, folder / "page.log", environment)
    try:
        while True:
            page.check()
            look()
            sleep(LOOK_S)
    finally:
        page.child.terminate()  # a test that runs is stopped first, as by the page's own button
        page.end(monotonic() + config.load.timeout_s + STOP_EXTRA_S)


def _locust_environment(config: LoadConfig, work: Path) -> dict[str, str]:
    return {
        "HARNESS_ENGINE_CONFIG": str(_write_engine_config(config, "main", work)),
        "HARNESS_RATE_PER_USER": repr(_rate_per_user(config.load)),
        "HARNESS_STATE_FILE": str(config.state_file or ""),
    }


def _users(load: Load) -> int:
    """Locust's users: one for each arrival a second, at most USERS_MAX; one for a replay."""
    return 1 if load.replay else min(USERS_MAX, max(1, round(load.peak_per_s)))


def _rate_per_user(load: Load) -> float:
    """The rate that one user stands for; that of a replay is its pace, 1 being the recorded one."""
    return 1.0 if load.replay else load.peak_per_s / _users(load)


def _write_engine_config(config: LoadConfig, stream: str, work: Path) -> Path:
    is_canary = stream == "canary"
    load = config.load
    names = load.canaries if is_canary else load.drawn
    operations = dict.fromkeys(step for name in names for step in load.steps(name))
    engine = EngineConfig(
        stream=stream,
        run_id=config.run_id,
        seed=config.seed + is_canary,
        endpoints=config.endpoints,
        load=load.model_dump(mode="json"),
        operations={n: config.operations[n].model_dump(mode="json") for n in operations},
        mix={name: 1.0 if is_canary else load.mix[name] for name in names},
        samples=str(config.samples_dir.absolute()),
        max_duration_s=config.duration_s + 60 + (config.ready_s if config.has_workers else 0),
        entry_file=str(config.entry_file or ""),
        entries=dict(config.entries),
        data=[str(data.path.absolute()) for data in load.data],
        headers={key: header.model_dump(mode="json") for key, header in config.headers.items()},
    )
    if is_canary:
        engine = replace(
            engine,
            rate_per_s=load.canary_rate_per_s * len(names),
            cold_keys_offset=config.canary_key_offset,
        )
    elif load.replay:
        recorded = work / "replay.parquet"
        write_replay(RunFolder(Path(load.replay)), list(names), recorded)
        engine = replace(engine, replay=str(recorded.absolute()), rate_per_s=1.0)
    elif load.stages or config.has_workers:  # otherwise Locust's users say the rate
        stages = [(stage.rate_per_s, stage.ramp_s, stage.hold_s) for stage in load.stages]
        engine = replace(engine, rate_per_s=load.rate_per_s, stages=stages)
    path = work / f"{stream}.json"
    path.write_text(engine.to_json())
    return path
