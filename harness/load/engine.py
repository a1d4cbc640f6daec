"""The arrival engine: `python -m harness.load.engine CONFIG.json`, a process of its own.

An open schedule: what is due is sent, however slow the answers are.

    schedule --due--> [ in flight, bounded ] --answer, error or time-out--> recorder --> Parquet
                 \\--> over the bound: recorded as dropped

stdin   `begin T0` (host's monotonic seconds = run start), `rate R`, `stop DRAIN_S`.
        End of file means that the owner died: the engine ends at once.
stdout  a JSON line `{"ready": true}`, then one each half second with counters and statistics.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import signal
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from harness.load.connection import Connection, Ended
from harness.load.recorder import Recorder
from harness.load.request import Request
from harness.load.schedule import Arrivals, operation_choices, sequential_keys, zipf_keys
from harness.load.statistics import Statistics
from harness.model.load import Load, Operation

REPORT_S, FLUSH_S, SWEEP_S, IDLE_MAX_S = 0.5, 1.0, 0.05, 10.0
LOOPBACK = ("127.", "::1")


@dataclass(frozen=True)
class EngineConfig:
    """What one engine needs to know; `rate_per_s` may be changed by command later."""

    stream: str  # main or canary
    run_id: str
    seed: int
    endpoints: list[tuple[str, int]]
    load: dict[str, Any]
    operations: dict[str, dict[str, Any]]
    mix: dict[str, float]
    samples: str
    rate_per_s: float = 0.0
    cold_keys_offset: int = -1  # -1: Zipf keys of the population
    max_duration_s: float = 3600.0
    part_suffix: str = ""
    limits: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """The configuration as text, for the file that the engine is started with."""
        return json.dumps(asdict(self))


class Engine:
    """One event loop over epoll: due arrivals, answers, commands, time-outs."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        load = Load.model_validate(config.load)
        self._timeout_s = load.timeout_s
        host, port = config.endpoints[0]
        self._requests = [
            Request(name, Operation.model_validate(config.operations[name]), f"{host}:{port}")
            for name in config.mix
        ]
        is_canary = config.cold_keys_offset >= 0
        keys = load.keys
        self._arrivals = Arrivals(load.arrivals, config.seed)
        self._next_operation = operation_choices(
            list(config.mix.values()), config.seed, evenly=is_canary
        )
        self._next_key = (
            sequential_keys(keys.cold_population, config.cold_keys_offset)
            if is_canary
            else zipf_keys(keys.population, keys.zipf, config.seed)
        )
        self._key_format = keys.cold_format if is_canary else keys.format
        self._token = f"{config.run_id}-{config.stream[0]}{config.part_suffix}"
        self._recorder = Recorder(Path(config.samples), config.stream + config.part_suffix)
        self._statistics = Statistics([(r.operation.method, r.name) for r in self._requests])
        self._epoll = select.epoll()
        self._open: dict[int, Connection] = {}
        self._idle: dict[tuple[str, int], list[Connection]] = {e: [] for e in _pairs(config)}
        self._in_flight: deque[Connection] = deque()
        self._in_flight_count = 0
        self._next_endpoint = cycle(self._idle)
        self._number = 0
        self._began_s = math.inf
        self._rate_per_s = config.rate_per_s
        self._stop_at_s = math.inf
        self._in_flight_max = _in_flight_max(load)
        self._commands = b""
        self._output = bytearray()

    def run(self) -> None:
        """Until told to stop, the owner is gone, or the longest duration is over."""
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        self._epoll.register(0, select.EPOLLIN)
        self._say({"ready": True, "pid": os.getpid()})
        end_s = monotonic() + self.config.max_duration_s
        report_s = sweep_s = flush_s = monotonic()
        while not self._is_done() and monotonic() < end_s:
            self._send_due()
            now_s = monotonic()
            if now_s >= sweep_s:
                self._sweep(now_s)
                sweep_s = now_s + SWEEP_S
            if now_s >= report_s:
                self._report()
                report_s = now_s + REPORT_S
            if now_s >= flush_s:
                self._recorder.flush()
                flush_s = now_s + FLUSH_S
            self._wait(min(self._arrivals.due_s, sweep_s) - monotonic())
        self._finish()

    def _is_done(self) -> bool:
        now_s = monotonic()
        if now_s >= self._stop_at_s:
            return True
        return self._stop_at_s < math.inf and not self._in_flight_count

    def _send_due(self) -> None:
        arrivals = self._arrivals
        now_s = monotonic()
        while arrivals.due_s <= now_s:
            self._send(arrivals.due_s)
            arrivals.advance()
            now_s = monotonic()

    def _send(self, due_s: float) -> None:
        request = self._requests[next(self._next_operation)]
        number = self._number
        self._number += 1
        # A write is found again by its number, a read by the index of its key.
        key = next(self._next_key) if request.needs_key else number
        values = {
            "key": self._key_format.format(index=key),
            "token": f"{self._token}{number}",
            "trace": f"00-{self.config.seed & 0xFFFFFFFF:016x}{number:016x}-{number:016x}-01",
        }
        if self._in_flight_count >= self._in_flight_max:
            self._record_unsent(request, key, due_s, "dropped")
            return
        connection = self._connection()
        if connection is None:
            self._record_unsent(request, key, due_s, "no_descriptors")
            return
        connection.begin(request, values, key, due_s)
        self._in_flight_count += 1
        self._in_flight.append(connection)
        if connection.ended:
            self._end(connection)

    def _connection(self) -> Connection | None:
        endpoint = next(self._next_endpoint)
        if idle := self._idle[endpoint]:
            return idle.pop()
        try:
            connection = Connection(endpoint)
        except OSError:
            return None
        self._open[connection.descriptor] = connection
        self._epoll.register(connection.descriptor, select.EPOLLIN | select.EPOLLOUT)
        return connection

    def _wait(self, timeout_s: float) -> None:
        # select() is exact to the microsecond; epoll's own time-out rounds up to a millisecond.
        if timeout_s > 0:
            select.select([self._epoll], (), (), min(timeout_s, SWEEP_S))
        for descriptor, events in self._epoll.poll(0):
            if descriptor == 0:
                self._read_commands()
            elif connection := self._open.get(descriptor):
                self._handle(connection, events)

    def _handle(self, connection: Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            connection.write()
            if connection.is_drained and not connection.ended:
                self._epoll.modify(connection.descriptor, select.EPOLLIN)
        if events & ~select.EPOLLOUT and not connection.ended:
            connection.read()
        if connection.is_idle and connection.is_closed_by_peer:
            self._idle[connection.endpoint].remove(connection)
            self._forget(connection)
        elif connection.ended:
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        ended = connection.take_end()
        self._in_flight_count -= 1
        self._record(connection, ended)
        if ended.is_reusable:
            self._idle[connection.endpoint].append(connection)
        else:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        del self._open[connection.descriptor]
        connection.close()

    def _sweep(self, now_s: float) -> None:
        """Time out what is too old; close what was idle for long (the server soon would)."""
        while self._in_flight and (
            self._in_flight[0].is_idle or self._in_flight[0].sent_s < now_s - self._timeout_s
        ):
            connection = self._in_flight.popleft()
            is_old = connection.sent_s < now_s - self._timeout_s
            if not connection.is_idle and is_old and connection.descriptor in self._open:
                connection.end("timeout")
                self._end(connection)
        for idle in self._idle.values():
            while idle and idle[0].done_s < now_s - IDLE_MAX_S:
                self._forget(idle.pop(0))

    def _record(self, connection: Connection, ended: Ended) -> None:
        request, response = ended.request, ended.response
        took_s = ended.done_s - ended.due_s
        error = ended.error
        if not error and response is not None:
            error = request.error_of(response, ended.values, took_s)
        answered = response if response is not None and response.status else None
        base_s = self._began_s
        self._recorder.add(
            (
                request.name,
                ended.key,
                ended.due_s - base_s,
                ended.sent_s - base_s,
                ended.done_s - base_s,
                answered.status if answered else 0,
                not error,
                error,
                response.size if response else 0,
                answered.header(b"x-served-by") if answered else "",
                answered.header(b"x-cache") if answered else "",
                answered.header(b"x-db-node") if answered else "",
                request.write_outcome(answered, error),
            )
        )
        size = response.size if response else 0
        status = answered.status if answered else 0
        self._statistics.add(request.name, took_s, ended.sent_s - ended.due_s, size, error, status)

    def _record_unsent(self, request: Request, key: int, due_s: float, error: str) -> None:
        due = due_s - self._began_s
        write = request.write_outcome(None, error)
        never = math.nan
        self._recorder.add(
            (request.name, key, due, never, never, 0, False, error, 0, "", "", "", write)
        )
        self._statistics.add_dropped(request.name, error)

    def _read_commands(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:  # the owner died
            self._recorder.close(1)
            os._exit(0)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            word, _, value = line.partition(b" ")
            self._obey(word, float(value))

    def _obey(self, word: bytes, value: float) -> None:
        now_s = monotonic()
        if word == b"begin":
            self._began_s = value
            self._arrivals.set_rate(max(value, now_s), self._rate_per_s)
        elif word == b"rate":
            self._rate_per_s = value
            if self._began_s < math.inf:
                self._arrivals.set_rate(max(now_s, self._began_s), value)
        elif word == b"stop":
            self._arrivals.set_rate(now_s, 0)
            self._stop_at_s = now_s + value

    def _report(self) -> None:
        batch = self._statistics.take()
        batch["cpu_s"] = process_time()
        batch["in_flight"] = self._in_flight_count
        batch["error"] = self._recorder.error
        self._say(batch)

    def _say(self, value: dict[str, Any]) -> None:
        """Hand a line over; never wait for a slow reader."""
        self._output += json.dumps(value).encode() + b"\n"
        try:
            del self._output[: os.write(1, self._output)]
        except BlockingIOError:
            pass

    def _finish(self) -> None:
        for connection in list(self._open.values()):
            if not connection.is_idle:
                connection.end("unfinished")
                self._end(connection)
        self._recorder.close()
        os.set_blocking(1, True)
        self._report()
        self._say({"finished": True})


def _pairs(config: EngineConfig) -> list[tuple[str, int]]:
    return [(host, port) for host, port in config.endpoints]


def _in_flight_max(load: Load) -> int:
    """Room for what may wait at once (rate x time-out), within the limit of descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peak = max([load.rate_per_s, *(stage.rate_per_s for stage in load.stages)])
    wanted = math.ceil(1.2 * (peak + 2 * load.canary_rate_per_s) * load.timeout_s) + 100
    return min(wanted, max(soft, hard) - 100)


def main() -> None:
    """Run the engine that the file named on the command line describes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner to handle
    value = json.loads(Path(sys.argv[1]).read_text())
    value["endpoints"] = [(host, port) for host, port in value["endpoints"]]
    config = EngineConfig(**value)
    for host, _ in config.endpoints:
        if not host.startswith(LOOPBACK):
            sys.exit(f"engine: {host} is not on this machine; load goes to 127.0.0.1 only")
    try:
        Engine(config).run()
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
