"""A server that answers after a known delay, and that withholds all answers at recorded times.

    answers   | | | | | |              |||||| | | | | | |
                        ^ stall        ^ all that were due are answered, in their order

Counted from its first request, every `period_s` it stalls for `stall_s`, at half the period.
Select, not a framework: its waits are exact to some tens of microseconds.
"""

from __future__ import annotations

import heapq
import math
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from time import monotonic

import numpy as np

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
START_MAX_S = 20.0
Stall = tuple[float, float, float]
"""When it began, when it ended, when all answers that had been due by then were sent."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the server did; times are monotonic seconds.

    `delay_s` is the median from the reading of a request to its answer, stalls left out.
    """

    delay_s: float
    first_request_s: float
    stalls: tuple[Stall, ...]

    def response_times_s(self, due_s: np.ndarray) -> np.ndarray:
        """How long a request that is sent at each of these times waits for its answer."""
        answered_s = due_s + self.delay_s
        for start_s, end_s, all_answered_s in self.stalls:
            share = (answered_s - start_s) / (end_s - start_s)
            released_s = end_s + share * (all_answered_s - end_s)
            is_withheld = (share >= 0) & (share < 1)
            answered_s = np.where(is_withheld, released_s, answered_s)
        waited_s: np.ndarray = answered_s - due_s
        return waited_s


class StallingServer:
    """The running server."""

    def __init__(self, port: int, pipe: Connection) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/"
        self._pipe = pipe

    def truth(self) -> Truth:
        """What it did so far; RuntimeError if nothing was asked of it."""
        self._pipe.send("truth")
        if not self._pipe.poll(10):
            raise TimeoutError("the stalling server does not answer")
        delays_s, first_request_s, stalls = self._pipe.recv()
        if not delays_s:
            raise RuntimeError("the stalling server answered no request")
        return Truth(median(delays_s), first_request_s, tuple(stalls))


@contextmanager
def stalling_server(
    core: int, delay_s: float, stall_s: float, period_s: float
) -> Iterator[StallingServer]:
    """The server in a process of its own on one core, killed at the end."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, core, delay_s, stall_s, period_s)
    child = context.Process(target=_serve, args=arguments, daemon=True)
    child.start()
    try:
        if not ours.poll(START_MAX_S):
            raise TimeoutError(f"the stalling server did not start within {START_MAX_S:g} s")
        yield StallingServer(ours.recv(), ours)
    finally:
        child.kill()
        child.join(5)


def _serve(pipe: Connection, core: int, delay_s: float, stall_s: float, period_s: float) -> None:
    os.sched_setaffinity(0, {core})
    _Loop(pipe, delay_s, stall_s, period_s).run()


class _Loop:
    def __init__(self, pipe: Connection, delay_s: float, stall_s: float, period_s: float) -> None:
        self._pipe, self._delay_s = pipe, delay_s
        self._stall_s, self._period_s = stall_s, period_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)  # noqa: FBT003 - the name of the method says it
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(pipe.fileno(), select.EPOLLIN)
        self._clients: dict[int, socket.socket] = {}
        self._unread: dict[int, bytes] = {}
        self._due: list[tuple[float, int, socket.socket]] = []
        self._order = count()
        self._first_s = self._next_stall_s = self._stall_end_s = math.inf
        self._stalls: list[Stall] = []
        self._delays_s: list[float] = []

    def run(self) -> None:
        """Serve until killed."""
        self._pipe.send(self._listener.getsockname()[1])
        while True:
            self._answer_due(monotonic())
            self._wait()

    def _answer_due(self, now_s: float) -> None:
        start_s = self._next_stall_s
        is_stall_over = now_s >= self._stall_end_s
        if is_stall_over:
            self._next_stall_s += self._period_s
            self._stall_end_s = self._next_stall_s + self._stall_s
        while self._due and self._due[0][0] <= now_s and self._due[0][0] < self._next_stall_s:
            due_s, _, client = heapq.heappop(self._due)
            if client.fileno() < 0:
                continue
            client.send(ANSWER)
            if not is_stall_over:
                self._delays_s.append(monotonic() - due_s + self._delay_s)
        if is_stall_over:
            self._stalls.append((start_s, now_s, monotonic()))

    def _wait(self) -> None:
        due_s = self._due[0][0] if self._due else math.inf
        wake_s = min(self._stall_end_s, due_s if due_s < self._next_stall_s else math.inf)
        # select() is exact to the microsecond; epoll's own time-out rounds up to a millisecond.
        select.select([self._epoll], (), (), max(0.0, min(wake_s - monotonic(), 1.0)))
        for descriptor, _ in self._epoll.poll(0):
            if descriptor == self._listener.fileno():
                self._accept()
            elif descriptor == self._pipe.fileno():
                self._pipe.recv()
                self._pipe.send((self._delays_s, self._first_s, self._stalls))
            else:
                self._read(descriptor)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client.fileno()], self._unread[client.fileno()] = client, b""
        self._epoll.register(client, select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        client = self._clients[descriptor]
        try:
            data = client.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            del self._clients[descriptor], self._unread[descriptor]
            client.close()
            return
        now_s = monotonic()
        *heads, self._unread[descriptor] = (self._unread[descriptor] + data).split(b"\r\n\r\n")
        for _ in heads:
            heapq.heappush(self._due, (now_s + self._delay_s, next(self._order), client))
        if self._first_s == math.inf:
            self._first_s = now_s
            self._next_stall_s = now_s + self._period_s / 2
            self._stall_end_s = self._next_stall_s + self._stall_s
