"""One keep-alive connection with at most one request on it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from time import monotonic

from harness.load.http_parse import BadResponse, Response
from harness.load.request import Request

READ_MAX = 65_536


class Ended:
    """How one request ended; `error` is "" where a whole response came."""

    __slots__ = (
        "done_s",
        "due_s",
        "error",
        "is_reusable",
        "key",
        "request",
        "response",
        "sent_s",
        "values",
    )

    def __init__(self, connection: Connection, error: str, *, is_reusable: bool) -> None:
        assert connection.request is not None
        self.request: Request = connection.request
        self.response = connection.response
        self.values = connection.values
        self.key = connection.key
        self.due_s, self.sent_s = connection.due_s, connection.sent_s
        self.done_s = connection.done_s
        self.error = error
        self.is_reusable = is_reusable


class Connection:
    """Non-blocking; OSError if no socket is to be had. It never sends a request twice."""

    def __init__(self, endpoint: tuple[str, int]) -> None:
        self.endpoint = endpoint
        self._socket = socket.socket(socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET)
        self._socket.setblocking(False)  # noqa: FBT003 - the name of the method says it
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.descriptor = self._socket.fileno()
        self.events = 0  # what epoll watches it for
        self._is_connected = False
        self._connect_error = self._socket.connect_ex(endpoint)
        self._unsent = b""
        self.request: Request | None = None
        self.response: Response | None = None
        self.values: Mapping[str, str] = {}
        self.key = 0
        self.due_s = self.sent_s = self.done_s = 0.0
        self.ended: Ended | None = None
        self.is_closed_by_peer = False

    @property
    def is_idle(self) -> bool:
        """Whether no request is on it."""
        return self.request is None

    @property
    def wants_write(self) -> bool:
        """Whether it waits for the connection to stand, or to take the rest of a request."""
        return not self._is_connected or bool(self._unsent)

    def begin(self, request: Request, values: Mapping[str, str], key: int, due_s: float) -> None:
        """Send `request`; on a new connection as soon as it stands."""
        self.request, self.values, self.key, self.due_s = request, values, key, due_s
        self.response = Response(request.operation.method)
        self._unsent = request.render(values)
        self.sent_s = monotonic()
        if self._is_connected:
            self._send()
        elif self._connect_error not in (0, errno.EINPROGRESS):
            self.end(_class_of(self._connect_error))

    def write(self) -> None:
        """The socket can be written: it stands now, or failed to."""
        if not self._is_connected:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.end(_class_of(error))
                return
            self._is_connected = True
        self._send()

    def read(self) -> None:
        """Take what came."""
        try:
            data = self._socket.recv(READ_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(_class_of(error.errno))
            return
        if not data:
            self._lost("closed")
        elif self.response is None:
            self._lost("bad_response")  # bytes that nobody asked for
        else:
            self._feed(self.response, data)

    def end(self, error: str) -> None:
        """The request is over with `error`; the connection is not used again."""
        self.done_s = monotonic()
        self.ended = Ended(self, error, is_reusable=False)

    def take_end(self) -> Ended:
        """How the request ended; the connection is idle from now on."""
        assert self.ended is not None
        ended, self.ended = self.ended, None
        self.request = self.response = None
        return ended

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self) -> None:
        if not self._unsent:
            return
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(_class_of(error.errno))

    def _feed(self, response: Response, data: bytes) -> None:
        try:
            response.feed(data)
        except BadResponse:
            self.end("bad_response")
            return
        if response.is_complete:
            self.done_s = monotonic()
            is_reusable = response.keeps_connection and not self._unsent
            self.ended = Ended(self, "", is_reusable=is_reusable)

    def _lost(self, error: str) -> None:
        self.is_closed_by_peer = True
        if self.request is None:
            return
        if error == "closed" and self.response is not None:
            self.response.close()
            if self.response.is_complete:
                error = ""
        self.end(error)


def _class_of(number: int | None) -> str:
    if number == errno.ECONNREFUSED:
        return "refused"
    if number in (errno.ECONNRESET, errno.EPIPE):
        return "reset"
    return _RARE.get(number or 0, "closed")


_RARE = {
    errno.ETIMEDOUT: "timeout",
    errno.EADDRNOTAVAIL: "no_descriptors",  # no local port is left
    errno.EAGAIN: "no_descriptors",
    errno.EMFILE: "no_descriptors",
}
