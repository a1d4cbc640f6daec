"""A lean HTTP/1.1 server: one event loop, no task for what can be answered at once.

    connection --bytes--> parser --Request--> handler --Response--> connection

A handler answers at once or later. What is asked beyond the bound on requests under way, or after
its deadline (`X-Deadline`, set by the load balancer), is refused at once without any work: a queue
that nobody waits for any more is what keeps an overloaded server overloaded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Container
from email.utils import formatdate
from http import HTTPStatus
from time import monotonic, time
from typing import cast
from urllib.parse import unquote

import httptools

Headers = list[tuple[bytes, bytes]]
REQUESTS_MAX = 160  # under way in this process; both load balancers together send 128 at most
PIPELINED_MAX, HEADERS_MAX, HEADER_BYTES_MAX, BODY_MAX = 16, 100, 32_768, 16_384
IDLE_S = 90.0  # longer than the load balancer keeps a connection idle
SWEEP_S, STOP_S = 10.0, 1.0
BACKLOG = 512
# 429 tells the load balancer that this server is well, only busy; it makes a 503 of it.
BUSY = 429


class Request:
    """One request; header names are lower case, `path` is decoded, without the query."""

    __slots__ = ("body", "deadline_s", "headers", "is_too_large", "keeps_alive", "method", "path")

    def __init__(self) -> None:
        self.method, self.path, self.body = "", "", b""
        self.headers: Headers = []
        self.deadline_s: float | None = None  # wall time
        self.is_too_large, self.keeps_alive = False, True


class Response:
    """Status, headers and body of one answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or []


Handler = Callable[[Request], Response | Awaitable[Response]]
"""Answers at once or later; must not raise."""


class HttpServer:
    """Serves `handler` on one port."""

    def __init__(
        self,
        handler: Handler,
        name: str,
        never_refused: Container[str] = (),
        wall_clock: Callable[[], float] = time,
    ) -> None:
        """`never_refused`: paths that are answered however busy it is, as the health check's."""
        self.handler, self.wall_clock = handler, wall_clock
        self._never_refused = never_refused
        self.under_way = 0
        self.refused = 0
        self._connections: set[HttpConnection] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._served_by = b"x-served-by: " + name.encode() + b"\r\ndate: "
        self._date_s, self._common = 0, b""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: HttpConnection(self), host, port, backlog=BACKLOG
        )
        self._sweep()

    async def stop(self) -> None:
        """Take nothing new; answer what is under way, for 1 s at most; close everything."""
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.close_when_idle()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)
        for connection in list(self._connections):
            connection.abort()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def refusal(self, request: Request) -> Response | None:
        """The answer to what is not worth any work, None for all else."""
        if request.is_too_large:
            return Response(413, b'{"error": "the body is too large"}', [JSON])
        is_late = request.deadline_s is not None and self.wall_clock() >= request.deadline_s
        if self.under_way < REQUESTS_MAX and not is_late:
            return None
        if request.path in self._never_refused:
            return None
        self.refused += 1
        why = b"came after its deadline" if is_late else b"has too many requests under way"
        headers = [JSON, (b"retry-after", b"1"), (b"cache-control", b"no-store")]
        if request.method not in ("GET", "HEAD"):
            headers.append((b"x-write-attempted", b"no"))
        return Response(BUSY, b'{"error": "overloaded: ' + why + b'"}', headers)

    def answer_later(
        self, request: Request, answer: Awaitable[Response], done: Callable[[Response], None]
    ) -> None:
        """Call `done` with the answer once it is there."""
        self.under_way += 1

        async def wait() -> None:
            try:
                response = await answer
            except Exception:
                logging.exception("%s %s", request.method, request.path)
                response = Response(500)
            finally:
                self.under_way -= 1
            done(response)

        task = asyncio.get_running_loop().create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def common_headers(self) -> bytes:
        """Those of every answer; made anew each second, for their date."""
        now_s = int(time())
        if now_s != self._date_s:
            self._date_s = now_s
            self._common = self._served_by + formatdate(now_s, usegmt=True).encode() + b"\r\n"
        return self._common

    def opened(self, connection: HttpConnection) -> None:
        """A connection is there."""
        self._connections.add(connection)

    def closed(self, connection: HttpConnection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)

    def _sweep(self) -> None:
        """Close connections that nobody used for long; again and again."""
        for connection in list(self._connections):
            if connection.idle_s() > IDLE_S:
                connection.abort()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)


JSON = (b"content-type", b"application/json")
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class HttpConnection(asyncio.Protocol):
    """One client's connection: its requests are answered one after the other."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request = Request()
        self._url, self._header_bytes = b"", 0
        self._waiting: deque[Request] = deque()
        self._is_busy, self._closes = False, False
        self._used_s = monotonic()

    def idle_s(self) -> float:
        """Seconds since anything came in; 0 while it waits for our answer."""
        return 0.0 if self._is_busy else monotonic() - self._used_s

    def close_when_idle(self) -> None:
        """Close after the answer that is under way, if any."""
        self._closes = True
        if not self._is_busy:
            self.abort()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's: it is open."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Asyncio's: it is closed; an answer under way finds nobody."""
        self._transport = None
        self._server.closed(self)
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Asyncio's: requests, or parts of them."""
        self._used_s = monotonic()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # _TooMuch is wrapped
            self._closes = True
            if not self._is_busy:
                self._write(self._request, Response(400, b'{"error": "no HTTP request"}', [JSON]))

    def pause_writing(self) -> None:
        """Asyncio's: the client does not read; so nothing more is read of it."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Asyncio's: the client reads again."""
        if self._transport is not None and len(self._waiting) < PIPELINED_MAX:
            self._transport.resume_reading()

    def on_message_begin(self) -> None:
        """The parser's: a request begins."""
        self._request = Request()
        self._url, self._header_bytes = b"", 0

    def on_url(self, url: bytes) -> None:
        """The parser's: a piece of the URL."""
        self._url += url
        self._bound(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's: one header."""
        self._bound(len(name) + len(value))
        name = name.lower()
        if name == b"x-deadline" and value.isdigit():
            self._request.deadline_s = int(value) / 1000
        elif name == b"expect" and value.lower() == b"100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._request.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """The parser's: a piece of the body."""
        if len(self._request.body) + len(body) > BODY_MAX:
            self._request.is_too_large = True  # what follows is read and forgotten
        else:
            self._request.body += body

    def on_message_complete(self) -> None:
        """The parser's: a request is whole."""
        request = self._request
        request.method = self._parser.get_method().decode("ascii", "replace")
        request.path = _path(self._url)
        request.keeps_alive = self._parser.should_keep_alive()
        if self._is_busy:
            self._waiting.append(request)
            if len(self._waiting) >= PIPELINED_MAX and self._transport is not None:
                self._transport.pause_reading()
        else:
            self._answer(request)

    def _bound(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > HEADER_BYTES_MAX or len(self._request.headers) >= HEADERS_MAX:
            raise _TooMuch

    def _answer(self, request: Request) -> None:
        response = self._server.refusal(request)
        if response is None:
            answer = self._server.handler(request)
            if not isinstance(answer, Response):
                self._is_busy = True
                self._server.answer_later(request, answer, lambda r: self._answered(request, r))
                return
            response = answer
        self._write(request, response)

    def _answered(self, request: Request, response: Response) -> None:
        self._is_busy = False
        self._used_s = monotonic()
        self._write(request, response)
        while self._waiting and not self._is_busy and self._transport is not None:
            if len(self._waiting) <= PIPELINED_MAX:
                self._transport.resume_reading()
            self._answer(self._waiting.popleft())

    def _write(self, request: Request, response: Response) -> None:
        """Head and body in one piece."""
        if self._transport is None or self._transport.is_closing():
            return
        closes = self._closes or not request.keeps_alive
        head = [
            STATUS_LINES[response.status],
            self._server.common_headers(),
            b"content-length: %d\r\n" % len(response.body) if response.status != 204 else b"",
        ]
        head += [name + b": " + value + b"\r\n" for name, value in response.headers]
        head.append(b"connection: close\r\n\r\n" if closes else b"\r\n")
        if request.method != "HEAD":
            head.append(response.body)
        self._transport.write(b"".join(head))
        if closes:
            self._transport.close()


class _TooMuch(Exception):
    """A head that is larger than any request needs."""


def _path(url: bytes) -> str:
    """The path of a request's target, decoded, without its query."""
    path = url.split(b"?", 1)[0].decode("latin-1")
    if not path.startswith("/") and "://" in path:  # the absolute form
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    return unquote(path) if "%" in path else path
