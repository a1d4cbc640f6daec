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
import select
import signal
import sys
from itertools import chain, cycle
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from harness.errors import LoadError
from harness.load.engine.config import EngineConfig, engine_config_from_json
from harness.load.engine.connection import Connection
from harness.load.engine.moving_entry import MovingEntry
from harness.load.engine.recorder import SIZE_MAX, Recorder
from harness.load.engine.response import Head
from harness.load.engine.schedule import RateProfile
from harness.load.engine.setup import (
    in_flight_limit,
    make_connector,
    make_requests,
    make_schedule,
)
from harness.load.engine.statistics import Statistics
from harness.load.engine.written import Written
from harness.model.http import WHO_ANSWERED
from harness.model.load import Load

REPORT_S, FLUSH_S, SWEEP_S, IDLE_MAX_S = 0.5, 2.0, 0.02, 10.0
STALL_S = 0.01
SENT_PER_TURN = 32
"""At most this many requests are sent before answers are read again."""
OUTPUT_MAX = 8 * 2**20
GIL_SWITCH_S = 0.0005  # the writer's thread gives way to the sending one within this
KEPT_HEADERS = {column: name.lower().encode() for column, name in WHO_ANSWERED.items()}
NO_NAMES = (0,) * len(KEPT_HEADERS)


class Engine:
    """One event loop over epoll: due arrivals, answers, commands, time-outs."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        load = Load.model_validate(config.load)
        self._timeout_s = load.timeout_s
        self._connect_timeout_s = load.connect_timeout_s or load.timeout_s
        self._requests = make_requests(config, load)
        self._schedule = make_schedule(config, load, self._requests)
        self._recorder = Recorder(Path(config.samples), config.part_name)
        names = self._recorder.names
        self._op_codes = [names["op"][request.name] for request in self._requests]
        self._statistics = Statistics(names, {r.name: r.operation.method for r in self._requests})
        self._written = {
            index: Written(request.operation.read_after_s)
            for index, request in enumerate(self._requests)
            if request.operation.reads
        }
        self._followers = {
            index: found
            for index, request in enumerate(self._requests)
            if (found := [w for i, w in self._written.items() if self._reads(i, request.name)])
        }
        self._epoll = select.epoll()
        self._open: dict[int, Connection] = {}
        self._idle: dict[tuple[str, int], list[Connection]] = {e: [] for e in config.endpoints}
        self._in_flight: dict[Connection, int] = {}  # operations, in the order they were sent
        self._next_endpoint = cycle(config.endpoints)
        self._entry = MovingEntry(config.entry_file)
        self._connect = make_connector(load)
        self._number = config.first_number
        self._rate_per_s = config.rate_per_s
        self._stop_at_s = math.inf
        self._in_flight_max = config.in_flight_max or in_flight_limit(load, len(config.endpoints))
        self._commands = b""
        self._output = bytearray()
        self._chore_s = self._report_s = self._flush_s = 0.0
        self._stalls, self._stall_max_s = 0, 0.0

    def _reads(self, op: int, name: str) -> bool:
        return self._requests[op].operation.reads == name

    def run(self) -> None:
        """Until told to stop, the owner is gone, or the longest duration is over."""
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        self._epoll.register(0, select.EPOLLIN)
        self._say({"ready": True, "pid": os.getpid()})
        now_s = monotonic()
        end_s = now_s + self.config.max_duration_s
        while not self._is_done(now_s) and now_s < end_s:
            self._send_due()
            self._do_chores(monotonic())
            waits_s = self._wait()
            turned_s = monotonic()
            self._note_stall(turned_s - now_s - waits_s)
            now_s = turned_s
        self._finish()

    def _note_stall(self, busy_s: float) -> None:
        """Nothing could be sent or received for `busy_s`."""
        if busy_s > STALL_S:
            self._stalls += 1
            self._stall_max_s = max(self._stall_max_s, busy_s)

    def _do_chores(self, now_s: float) -> None:
        if now_s < self._chore_s:
            return
        self._chore_s = now_s + SWEEP_S
        if moved := self._entry.moved():
            self._send_to(moved)
        self._sweep(now_s)
        self._statistics.add(self._recorder.collect())
        if now_s >= self._report_s:
            self._report_s = now_s + REPORT_S
            self._report()
        if now_s >= self._flush_s:
            self._flush_s = now_s + FLUSH_S
            self._recorder.flush()

    def _send_to(self, endpoints: list[tuple[str, int]]) -> None:
        """What is under way ends where it began; kept connections to elsewhere are of no use."""
        left = self._idle
        self._idle = {endpoint: left.pop(endpoint, []) for endpoint in dict.fromkeys(endpoints)}
        self._next_endpoint = cycle(endpoints)
        for connection in chain.from_iterable(left.values()):
            self._forget(connection)

    def _is_done(self, now_s: float) -> bool:
        if self._stop_at_s == math.inf or now_s >= self._stop_at_s:
            return now_s >= self._stop_at_s
        return not self._in_flight and self._schedule.due_s == math.inf

    def _send_due(self) -> None:
        schedule, in_flight = self._schedule, self._in_flight
        for turn in range(SENT_PER_TURN):
            if schedule.due_s > monotonic():
                return
            if turn and len(in_flight) >= self._in_flight_max:
                return  # there may be answers by now; nothing is dropped before they are read
            self._send(schedule.due_s, schedule.op, schedule.key)
            schedule.advance()

    def _send(self, due_s: float, op: int, key: int) -> None:
        number = self._number
        self._number = number + 1
        returned = b""
        if op in self._written:
            acknowledged = self._written[op].newest(monotonic())
            if acknowledged is None:
                return  # there is nothing to be read yet
            key, returned = acknowledged
        if len(self._in_flight) >= self._in_flight_max:
            self._record_unsent(op, key, due_s, "dropped")
            return
        endpoint = next(self._next_endpoint)
        idle = self._idle[endpoint]
        connection = idle.pop() if idle else self._new_connection(endpoint)
        if connection is None:
            self._record_unsent(op, key, due_s, "no_descriptors")
            return
        connection.begin(self._requests[op], (key, number, 0, returned), due_s)
        self._in_flight[connection] = op
        if connection.outcome is not None:
            self._end(connection)
        elif connection.wants_write or not connection.events:
            self._watch(connection)

    def _new_connection(self, endpoint: tuple[str, int]) -> Connection | None:
        try:
            connection = self._connect(endpoint)
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

    def _wait(self) -> float:
        """Handle what is there, or the first that comes before something is due; time waited."""
        # select() is exact to the microsecond; epoll's own time-out rounds up to a millisecond.
        events, waited_s = self._epoll.poll(0), 0.0
        if not events:
            now_s = monotonic()
            timeout_s = min(self._schedule.due_s, self._chore_s) - now_s
            if timeout_s > 0:
                select.select([self._epoll], (), (), timeout_s)
                waited_s = min(monotonic() - now_s, timeout_s)
                events = self._epoll.poll(0)
        for descriptor, event in events:
            if descriptor == 0:
                self._read_commands()
            elif connection := self._open.get(descriptor):
                self._handle(connection, event)
        return waited_s

    def _handle(self, connection: Connection, event: int) -> None:
        if event & select.EPOLLOUT:
            connection.write()
        if event != select.EPOLLOUT and connection.outcome is None:
            connection.read()
        if connection.outcome is not None:
            self._end(connection)
        elif connection.request is None and connection.is_closed_by_peer:
            self._idle[connection.endpoint].remove(connection)
            self._forget(connection)
        elif connection.wants_write or connection.events != select.EPOLLIN:
            self._watch(connection)

    def _end(self, connection: Connection) -> None:
        self._record(connection, self._in_flight.pop(connection))
        is_reusable = connection.is_reusable and connection.endpoint in self._idle
        connection.release()
        if is_reusable:
            if connection.events != select.EPOLLIN:
                self._watch(connection)
            self._idle[connection.endpoint].append(connection)
        else:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        del self._open[connection.descriptor]
        connection.close()

    def _sweep(self, now_s: float) -> None:
        """Time out what is too old; close what was idle for long (the server soon would)."""
        longest_s = min(self._timeout_s, self._connect_timeout_s)
        for connection in list(self._in_flight):
            if connection.sent_s + longest_s > now_s:
                break
            if connection.sent_s + self._timeout_s <= now_s:
                connection.end("timeout")
                self._end(connection)
            elif not connection.is_connected:
                connection.end("connect_timeout")
                self._end(connection)
        for idle in self._idle.values():
            while idle and idle[0].done_s < now_s - IDLE_MAX_S:
                self._forget(idle.pop(0))

    def _record(self, connection: Connection, op: int) -> None:
        request, response = self._requests[op], connection.response
        head, error, values = response.head, connection.outcome or "", connection.values
        due_s, done_s = connection.due_s, connection.done_s
        if head is None:
            status, served = 0, NO_NAMES
        else:
            status, served = head.status, head.names or self._names_of(head)
            if not error:
                error = request.error_of(response, values, done_s - due_s)
        write = request.write_outcome(head, error) if request.operation.is_write else ""
        if op in self._followers and error in ("", "too_slow"):
            kept = request.kept(values, response.body)
            for written in self._followers[op]:
                written.add(done_s, kept)
        names = self._recorder.names
        self._recorder.add(
            (
                self._op_codes[op],
                values[0],
                due_s,
                connection.sent_s,
                done_s,
                status,
                names["error"][error],
                min(response.size, SIZE_MAX),
                *served,
                names["write"][write],
            )
        )

    def _names_of(self, head: Head) -> tuple[int, ...]:
        """The codes of the headers that are recorded, found once for each head."""
        names = self._recorder.names
        head.names = tuple(
            names[column][head.header(header).decode("latin-1")]
            for column, header in KEPT_HEADERS.items()
        )
        return head.names

    def _record_unsent(self, op: int, key: int, due_s: float, error: str) -> None:
        names = self._recorder.names
        write = names["write"][self._requests[op].write_outcome(None, error)]
        unsent = (math.nan, math.nan, 0, names["error"][error], 0)
        self._recorder.add((self._op_codes[op], key, due_s, *unsent, *NO_NAMES, write))

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
        schedule, now_s = self._schedule, monotonic()
        if word == b"begin":
            # Told too late, what was due since then is sent now, and recorded as late.
            self._recorder.began_s = value
            stages = self.config.stages
            schedule.follow(RateProfile.of_stages(value, self._rate_per_s, stages))
        elif word == b"rate":
            self._rate_per_s = value
            if self._recorder.began_s:
                schedule.follow(schedule.profile.changed(now_s, value))
        elif word == b"stop":
            schedule.follow(schedule.profile.changed(now_s, 0))
            self._stop_at_s = now_s + value

    def _report(self) -> None:
        batch = self._statistics.take()
        batch["cpu_s"] = process_time()
        batch["in_flight"] = len(self._in_flight)
        batch["rate_per_s"] = self._schedule.profile.rate_at(monotonic())
        batch["stalls"], batch["stall_max_s"] = self._stalls, self._stall_max_s
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
        schedule, end_s = self._schedule, min(self._stop_at_s, monotonic())
        while schedule.due_s <= end_s:
            self._record_unsent(schedule.op, schedule.key, schedule.due_s, "dropped")
            schedule.advance()
        self._statistics.add(self._recorder.collect())
        self._recorder.close()
        os.set_blocking(1, True)
        self._report()
        self._say({"finished": True})

    def abandon(self) -> None:
        """The owner is gone: keep what is recorded, be quick."""
        self._recorder.close(1)


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
