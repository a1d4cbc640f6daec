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
from itertools import chain
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from harness.errors import LoadError
from harness.load.engine.config import EngineConfig, engine_config_from_json
from harness.load.engine.connection import Connection
from harness.load.engine.examples import Examples
from harness.load.engine.moving_entry import Entries
from harness.load.engine.recorder import NAME_LENGTH_MAX, SIZE_MAX, Recorder
from harness.load.engine.request import KEY, NUMBER, Request, Values
from harness.load.engine.response import Head
from harness.load.engine.schedule import RateProfile
from harness.load.engine.setup import (
    in_flight_limit,
    make_connector,
    make_headers,
    make_requests,
    make_schedule,
    make_walks,
    make_written,
)
from harness.load.engine.statistics import Statistics
from harness.load.engine.walks import Walk
from harness.model.http import WHO_ANSWERED
from harness.model.load import Load

REPORT_S, FLUSH_S, SWEEP_S = 0.5, 2.0, 0.02
IDLE_MAX_S = 1.5
"""A connection idle for longer is not used: servers close theirs after 2 s (gunicorn) or more."""
STALL_S = 0.01
SENT_PER_TURN = 32
"""At most this many requests are sent before answers are read again."""
OUTPUT_MAX = 8 * 2**20
GIL_SWITCH_S = 0.0005  # the writer's thread gives way to the sending one within this
ANSWERED = ("", "too_slow")
Step = tuple[float, int, Values, Walk]
"""When a request of a walk is due, which one it is, its values, the walk."""
READABLE = select.EPOLLIN | select.EPOLLRDHUP  # something came, or nothing more will
NO_NAMES = (0,) * len(WHO_ANSWERED)


class Engine:
    """One event loop over epoll: due arrivals, answers, commands, time-outs."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        load = Load.model_validate(config.load)
        self._timeout_s = load.timeout_s
        self._connect_timeout_s = load.connect_timeout_s or load.timeout_s
        self._requests = make_requests(config, load)
        self._walks = make_walks(config, load, self._requests)
        self._walking: dict[Connection, Walk] = {}
        self._schedule = make_schedule(config, load, self._requests)
        self._headers = make_headers(config)
        self._recorder = Recorder(Path(config.samples), config.part_name)
        self._examples = Examples(config.stream, config.run_id)
        names = self._recorder.names
        self._op_codes = [names["op"][request.name] for request in self._requests]
        self._statistics = Statistics(names, {r.name: r.operation.method for r in self._requests})
        self._written, self._followers = make_written(self._requests)
        self._special = frozenset(self._written) | frozenset(self._walks)
        self._epoll = select.epoll()
        self._open: dict[int, Connection] = {}
        self._in_flight: dict[Connection, int] = {}  # operations, in the order they were sent
        self._entries = Entries(config.all_entries, [r.operation.entry for r in self._requests])
        self._next_endpoint = self._entries.turns
        self._idle = {address: list[Connection]() for address in self._entries.addresses}
        self._connect = make_connector(load)
        self._number = config.worker  # of the whole stream's arrivals
        self._rate_per_s, self._stop_at_s = config.rate_per_s, math.inf
        self._in_flight_max = config.in_flight_max or in_flight_limit(
            load, self._entries.fewest, config.workers
        )
        self._commands, self._output = b"", bytearray()
        self._chore_s = self._report_s = self._flush_s = 0.0
        self._stalls, self._stall_max_s, self._not_reached = 0, 0.0, 0

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
        if self._entries.have_moved():
            self._move()
        self._sweep(now_s)
        self._statistics.add(self._recorder.collect())
        if now_s >= self._report_s:
            self._report_s = now_s + REPORT_S
            self._report()
        if now_s >= self._flush_s:
            self._flush_s = now_s + FLUSH_S
            self._recorder.flush()

    def _move(self) -> None:
        """What is under way ends where it began; kept connections to elsewhere are of no use."""
        self._next_endpoint = self._entries.turns
        left = self._idle
        self._idle = {address: left.pop(address, []) for address in self._entries.addresses}
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
            number = self._number
            self._number = number + self.config.workers
            if schedule.op in self._special:
                self._send_special(schedule.due_s, schedule.op, schedule.key, number)
            else:
                self._send(schedule.due_s, schedule.op, (schedule.key, number, 0, b""))
            schedule.advance()

    def _send_special(self, due_s: float, op: int, key: int, number: int) -> None:
        """What reads a write back, unless there is none yet; the first step of a walk."""
        if op in self._walks:
            walk, values = self._walks.begin(op, key, number)
            self._send(due_s, op, values, walk)
        elif acknowledged := self._written[op].newest(monotonic()):
            written, returned = acknowledged
            self._send(due_s, op, (written, number, 0, returned))

    def _send(self, due_s: float, op: int, values: Values, walk: Walk | None = None) -> None:
        if len(self._in_flight) >= self._in_flight_max:
            self._record_unsent(op, values[KEY], due_s, "dropped", walk)
            return
        endpoint = next(self._next_endpoint[op])
        connection = self._connection_to(endpoint)
        if connection is None:
            self._record_unsent(op, values[KEY], due_s, "no_descriptors", walk)
            return
        connection.begin(self._requests[op], values, due_s)
        self._in_flight[connection] = op
        if walk is not None:
            self._walking[connection] = walk
        if connection.outcome is not None:
            self._end(connection)
        elif connection.wants_write or not connection.events:
            self._watch(connection)

    def _connection_to(self, endpoint: tuple[str, int]) -> Connection | None:
        """The one used last, unless it was idle for too long, or a new one; None if there is none.

        After a stall the sweep comes later than what is due, so it alone closes too late.
        """
        idle = self._idle[endpoint]
        if idle and idle[-1].done_s >= monotonic() - IDLE_MAX_S:
            return idle.pop()
        try:
            connection = self._connect(endpoint)
        except OSError:
            return None
        self._open[connection.descriptor] = connection
        return connection

    def _watch(self, connection: Connection) -> None:
        """Have epoll watch for what the connection waits for."""
        events = READABLE | (select.EPOLLOUT if connection.wants_write else 0)
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
        if event & select.EPOLLRDHUP:
            connection.is_closed_by_peer = True
        if event & select.EPOLLOUT:
            connection.write()
        if event != select.EPOLLOUT and connection.outcome is None:
            connection.read()
        if connection.outcome is not None:
            self._end(connection)
        elif connection.request is None and connection.is_closed_by_peer:
            self._idle[connection.endpoint].remove(connection)
            self._forget(connection)
        elif connection.wants_write or connection.events != READABLE:
            self._watch(connection)

    def _end(self, connection: Connection) -> None:
        error = self._record(connection, self._in_flight.pop(connection))
        step = self._next_step(connection, error) if connection in self._walking else None
        is_reusable = connection.is_reusable and connection.endpoint in self._idle
        connection.release()
        if is_reusable:
            if connection.events != READABLE:
                self._watch(connection)
            self._idle[connection.endpoint].append(connection)
        else:
            self._forget(connection)
        if step is not None:
            self._send(*step)

    def _next_step(self, connection: Connection, error: str) -> Step | None:
        """What follows in the walk: due now that the answer is there, unless that was an error.

        An answer that is only too slow is one to go on with. When the load is over, nothing is.
        """
        walk = self._walking.pop(connection)
        if error not in ANSWERED:
            self._not_reached += walk.left
        elif self._stop_at_s == math.inf:
            found = self._walks.go_on(walk, connection.response, connection.values)
            if found is not None:
                return connection.done_s, *found, walk
        return None

    def _forget(self, connection: Connection) -> None:
        del self._open[connection.descriptor]
        connection.close()

    def _sweep(self, now_s: float) -> None:
        """Time out what is too old; close what was idle for long."""
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

    def _record(self, connection: Connection, op: int) -> str:
        """Keep what came of a request; its class of error."""
        request, response = self._requests[op], connection.response
        head, error, values = response.head, connection.outcome or "", connection.values
        due_s, done_s = connection.due_s, connection.done_s
        if head is None:
            status, served = 0, NO_NAMES
        else:
            status, served = head.status, head.names or self._names_of(head)
            if not error:
                error = request.error_of(response, values, done_s - due_s)
            if error and self._examples.wants(request.name, error, done_s):
                self._examples.add(request, connection, error)
        write = request.write_outcome(head, error) if request.operation.is_write else ""
        if op in self._followers and error in ANSWERED:
            self._keep(connection, op)
        if request.returns_token and write == "ok":
            self._recorder.add_token((values[0], request.token_in(response.body)))
        is_sampled = request.is_sampled(values)
        if error or is_sampled:
            self._note_trace(connection, request, error, is_sampled=is_sampled)
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
        return error

    def _keep(self, connection: Connection, op: int) -> None:
        """Keep what was written for those who read it back."""
        kept = self._requests[op].kept(connection.values, connection.response.body)
        for written in self._followers[op]:
            written.add(connection.done_s, kept)

    def _note_trace(
        self, connection: Connection, request: Request, error: str, *, is_sampled: bool
    ) -> None:
        """Keep the number of a request that failed or was sampled: what its trace id is made of."""
        number, head = connection.values[NUMBER], connection.response.head
        name, header = self._headers["served_by"]
        who = header.means(head.header(name).decode("latin-1")) if head else ""
        times = (connection.due_s, connection.done_s)
        answer = (head.status if head else 0, error, who[:NAME_LENGTH_MAX])
        self._recorder.add_traced((number, request.name, *times, *answer, is_sampled))

    def _names_of(self, head: Head) -> tuple[int, ...]:
        """The codes of the headers that are recorded, found once for each head."""
        names = self._recorder.names
        head.names = tuple(
            names[column][header.means(head.header(name).decode("latin-1"))]
            for column, (name, header) in self._headers.items()
        )
        return head.names

    def _record_unsent(
        self, op: int, key: int, due_s: float, error: str, walk: Walk | None = None
    ) -> None:
        if walk is not None:
            self._not_reached += walk.left
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
        batch["not_reached"] = self._not_reached
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
            key = schedule.key
            if schedule.op in self._walks:
                _, (key, *_) = self._walks.begin(schedule.op, key, self._number)
            self._record_unsent(schedule.op, key, schedule.due_s, "dropped")
            self._number += 1
            schedule.advance()
        self._statistics.add(self._recorder.collect())
        self._recorder.close()
        self._write_examples()
        os.set_blocking(1, True)
        self._report()
        self._say({"finished": True})

    def abandon(self) -> None:
        """The owner is gone: keep what is recorded, be quick."""
        self._recorder.close(1)
        self._write_examples()

    def _write_examples(self) -> None:
        config = self.config
        self._examples.write(Path(config.samples), config.part_name, self._recorder.began_s)


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
