"""The arrival engine: `python -m harness.load.engine CONFIG.json`, a process of its own.

An open schedule: what is due is sent, however slow the answers are.

    schedule --due--> [ in flight, bounded ] --answer, error or time-out--> recorder --> Parquet
                 \\--> over the bound: recorded as dropped

stdin   `begin T0` (host's monotonic seconds = run start), `rate R`, `stop DRAIN_S`.
        End of file means that the owner died: the engine ends at once.
stdout  a JSON line `{"ready": true}`, then one each half second with counters and statistics.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import resource
import select
import signal
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from harness.errors import LoadError
from harness.load.connection import Connection, Ended
from harness.load.engine_config import EngineConfig, engine_config_from_json
from harness.load.recorder import Labels, Recorder
from harness.load.request import Request
from harness.load.schedule import Arrivals, operation_choices, sequential_keys, zipf_keys
from harness.load.statistics import Statistics
from harness.model.load import Keys, Load, Operation

REPORT_S, FLUSH_S, SWEEP_S, IDLE_MAX_S = 0.5, 2.0, 0.02, 10.0
OUTPUT_MAX, SIZE_MAX = 8 * 2**20, 2**31 - 1
GIL_SWITCH_S = 0.0005  # the writer's thread gives way to the sending one within this


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
        self._arrivals = Arrivals(load.arrivals, config.seed)
        self._next_operation = operation_choices(
            list(config.mix.values()), config.seed, evenly=is_canary
        )
        self._next_key, self._key_format = _keys(load.keys, config)
        self._token = f"{config.run_id}-{config.stream[0]}"
        self._trace_start = f"{config.seed & (2**56 - 1):014x}{ord(config.stream[0]):02x}"
        self._recorder = Recorder(Path(config.samples), config.part_name)
        self._labels = {name: Labels() for name in ("x-served-by", "x-cache", "x-db-node")}
        self._statistics = Statistics([(r.operation.method, r.name) for r in self._requests])
        self._epoll = select.epoll()
        self._open: dict[int, Connection] = {}
        self._idle: dict[tuple[str, int], list[Connection]] = {e: [] for e in config.endpoints}
        self._in_flight: dict[Connection, None] = {}  # in the order they were sent
        self._next_endpoint = cycle(self._idle)
        self._number = config.first_number
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
        while not self._is_done() and monotonic() < end_s:
            self._send_due()
            self._do_chores(monotonic())
            self._wait(min(self._arrivals.due_s, self._chore_s) - monotonic())
        self._finish()

    _chore_s = _report_s = _flush_s = 0.0

    def _do_chores(self, now_s: float) -> None:
        if now_s < self._chore_s:
            return
        self._chore_s = now_s + SWEEP_S
        self._sweep(now_s)
        if now_s >= self._report_s:
            self._report_s = now_s + REPORT_S
            self._report()
        if now_s >= self._flush_s:
            self._flush_s = now_s + FLUSH_S
            self._recorder.flush()

    def _is_done(self) -> bool:
        if self._stop_at_s == math.inf:
            return False
        return not self._in_flight or monotonic() >= self._stop_at_s

    def _send_due(self) -> None:
        arrivals = self._arrivals
        while arrivals.due_s <= monotonic():
            self._send(arrivals.due_s)
            arrivals.advance()

    def _send(self, due_s: float) -> None:
        request = self._requests[next(self._next_operation)]
        number = self._number
        self._number += 1
        key = next(self._next_key) if request.draws_key else number
        if len(self._in_flight) >= self._in_flight_max:
            self._record_unsent(request, key, due_s, "dropped")
            return
        connection = self._connection()
        if connection is None:
            self._record_unsent(request, key, due_s, "no_descriptors")
            return
        connection.begin(request, self._values(key, number), key, due_s)
        self._in_flight[connection] = None
        if connection.ended:
            self._end(connection)
        else:
            self._watch(connection)

    def _values(self, key: int, number: int) -> dict[str, str]:
        """What fills the places of a request; the trace id is derived from seed and number."""
        span = f"{number + 1:016x}"
        return {
            "key": self._key_format.format(index=key),
            "token": f"{self._token}{number}",
            "trace": f"00-{self._trace_start}{span}-{span}-01",
        }

    def _connection(self) -> Connection | None:
        endpoint = next(self._next_endpoint)
        if idle := self._idle[endpoint]:
            return idle.pop()
        try:
            connection = Connection(endpoint)
        except OSError:
            return None
        self._open[connection.descriptor] = connection
        return connection

    def _watch(self, connection: Connection) -> None:
        """Have epoll watch for what the connection waits for."""
        events = select.EPOLLIN | (select.EPOLLOUT if connection.wants_write else 0)
        if not connection.events:
            self._epoll.register(connection.descriptor, events)
        elif connection.events != events:
            self._epoll.modify(connection.descriptor, events)
        connection.events = events

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
        if events & ~select.EPOLLOUT and not connection.ended:
            connection.read()
        if connection.ended:
            self._end(connection)
        elif connection.is_idle and connection.is_closed_by_peer:
            self._idle[connection.endpoint].remove(connection)
            self._forget(connection)
        else:
            self._watch(connection)

    def _end(self, connection: Connection) -> None:
        ended = connection.take_end()
        del self._in_flight[connection]
        self._record(ended)
        if ended.is_reusable:
            self._watch(connection)
            self._idle[connection.endpoint].append(connection)
        else:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        del self._open[connection.descriptor]
        connection.close()

    def _sweep(self, now_s: float) -> None:
        """Time out what is too old; close what was idle for long (the server soon would)."""
        for connection in list(self._in_flight):
            if connection.sent_s + self._timeout_s > now_s:
                break
            connection.end("timeout")
            self._end(connection)
        for idle in self._idle.values():
            while idle and idle[0].done_s < now_s - IDLE_MAX_S:
                self._forget(idle.pop(0))

    def _record(self, ended: Ended) -> None:
        request, response = ended.request, ended.response
        took_s, error = ended.done_s - ended.due_s, ended.error
        if not error and response is not None:
            error = request.error_of(response, ended.values, took_s)
        size = min(response.size, SIZE_MAX) if response else 0
        status = response.status if response else 0
        times = (t - self._began_s for t in (ended.due_s, ended.sent_s, ended.done_s))
        served = (
            labels.of(response.header(name.encode())) if response else ""
            for name, labels in self._labels.items()
        )
        outcome = request.write_outcome(response, error)
        self._recorder.add(
            (request.name, ended.key, *times, status, not error, error, size, *served, outcome)
        )
        shown = f"{error} {status or ''}".strip() if error else ""
        self._statistics.add_lateness(ended.sent_s - ended.due_s)
        self._statistics.add(request.name, took_s, size, shown)

    def _record_unsent(self, request: Request, key: int, due_s: float, error: str) -> None:
        times = (due_s - self._began_s, math.nan, math.nan)
        outcome = request.write_outcome(None, error)
        row = (request.name, key, *times, 0, False, error, 0, "", "", "", outcome)
        self._recorder.add(row)
        self._statistics.add_dropped(request.name, error)

    def _read_commands(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:  # the owner died
            self.abandon()
            os._exit(0)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            word, _, value = line.partition(b" ")
            self._obey(word, float(value))

    def _obey(self, word: bytes, value: float) -> None:
        now_s = monotonic()
        if word == b"begin":
            self._began_s = value
            # Told too late, what was due since then is sent now, and recorded as late.
            self._arrivals.set_rate(value, self._rate_per_s)
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
        batch["in_flight"] = len(self._in_flight)
        batch["rate_per_s"] = self._rate_per_s
        batch["error"] = self._recorder.error
        self._say(batch)

    def _say(self, value: dict[str, Any]) -> None:
        """Hand a line over; never wait for a slow reader."""
        if len(self._output) < OUTPUT_MAX:
            self._output += json.dumps(value).encode() + b"\n"
        with contextlib.suppress(BlockingIOError):
            del self._output[: os.write(1, self._output)]

    def _finish(self) -> None:
        for connection in list(self._in_flight):
            connection.end("unfinished")
            self._end(connection)
        self._recorder.close()
        os.set_blocking(1, True)
        self._report()
        self._say({"finished": True})

    def abandon(self) -> None:
        """The owner is gone: keep what is recorded, be quick."""
        self._recorder.close(1)


def _keys(keys: Keys, config: EngineConfig) -> tuple[Iterator[int], str]:
    """Indices and how a key is made of one: a canary draws keys that no cache holds."""
    if config.cold_keys_offset < 0:
        return zipf_keys(keys.population, keys.zipf, config.seed), keys.format
    if keys.cold_population:
        cold = sequential_keys(keys.cold_population, config.cold_keys_offset)
        return cold, keys.cold_format
    return sequential_keys(keys.population, config.cold_keys_offset), keys.format


def _in_flight_max(load: Load) -> int:
    """Room for what may wait at once (rate x time-out), within the limit of descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peak = max([load.rate_per_s, *(stage.rate_per_s for stage in load.stages)])
    wanted = math.ceil(1.2 * (peak + 2 * load.canary_rate_per_s) * load.timeout_s) + 100
    return max(1, min(wanted, hard - 100))


def main() -> None:
    """Run the engine that the file named on the command line describes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner to handle
    try:
        engine = Engine(engine_config_from_json(Path(sys.argv[1]).read_text()))
    except (LoadError, OSError, ValueError, LookupError) as error:
        sys.exit(f"engine: {error}")
    sys.setswitchinterval(GIL_SWITCH_S)
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        engine.run()
    except BrokenPipeError:
        engine.abandon()


if __name__ == "__main__":
    main()
