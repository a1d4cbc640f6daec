"""One keep-alive connection with at most one request on it."""

from __future__ import annotations

import errno
import socket
import ssl
from time import monotonic

from typing_extensions import override

from harness.load.engine.request import Request, Values
from harness.load.engine.response import BadResponse, Heads, Response

READ_MAX = 65_536


class Connection:
    """Non-blocking; OSError if no socket is to be had. It never sends a request twice.

    `outcome` is None while the request is under way, "" once a whole answer is there, and else the
    class of the error; `release` makes the connection ready for the next request.
    """

    def __init__(self, endpoint: tuple[str, int], heads: Heads) -> None:
        self.endpoint = endpoint
        self._socket = socket.socket(socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET)
        self._socket.setblocking(False)  # noqa: FBT003 - the name of the method says it
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.descriptor = self._socket.fileno()
        self.events = 0  # what epoll watches it for
        self.is_connected = False
        self._connect_error = self._socket.connect_ex(endpoint)
        self._unsent = b""
        self.request: Request | None = None
        self.response = Response(heads)
        self.values: Values = (0, 0, 0, b"")
        self.due_s = self.sent_s = self.done_s = 0.0
        self.outcome: str | None = None
        self.is_closed_by_peer = False  # what came before that may still be there to be read

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow the one that has ended."""
        is_whole = self.outcome == "" and self.response.keeps_connection and not self._unsent
        return is_whole and not self.is_closed_by_peer

    @property
    def wants_write(self) -> bool:
        """Whether it waits for the connection to stand, or to take the rest of a request."""
        return not self.is_connected or bool(self._unsent)

    def begin(self, request: Request, values: Values, due_s: float) -> None:
        """Send `request`; on a new connection as soon as it stands."""
        self.request, self.values, self.due_s = request, values, due_s
        self.response.begin(
            has_body=request.has_body,
            reads_body=request.reads_body,
            expected=request.operation.status,
        )
        self._unsent = request.render(values)
        self.sent_s = monotonic()
        if self.is_connected:
            self._send()
        elif self._connect_error not in (0, errno.EINPROGRESS):
            self.end(_class_of(self._connect_error))

    def release(self) -> None:
        """The request that ended has been looked at."""
        self.request = self.outcome = None

    def write(self) -> None:
        """The socket can be written: it stands now, or failed to."""
        if not self.is_connected:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.end(_class_of(error))
                return
            self.is_connected = True
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
        self._take(data)

    def end(self, outcome: str) -> None:
        """The request is over; with an error, the connection is not used again."""
        self.done_s = monotonic()
        self.outcome = outcome

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

    def _take(self, data: bytes) -> None:
        if not data:
            self._lost("closed")
        elif self.request is None:
            self._lost("bad_response")  # bytes that nobody asked for
        else:
            try:
                self.response.feed(data)
            except BadResponse:
                self.end("bad_response")
                return
            if self.response.is_complete:
                self.end("")

    def _lost(self, error: str) -> None:
        self.is_closed_by_peer = True
        if self.request is None:
            return
        if error == "closed":
            self.response.close()
            if self.response.is_complete:
                error = ""
        self.end(error)


class TlsConnection(Connection):
    """The same through TLS; a handshake that fails is the error class `tls`."""

    def __init__(
        self, endpoint: tuple[str, int], heads: Heads, context: ssl.SSLContext, server_name: str
    ) -> None:
        super().__init__(endpoint, heads)
        self._context, self._server_name = context, server_name
        self._tls: ssl.SSLSocket | None = None
        self._handshake_writes = True

    @property
    @override
    def wants_write(self) -> bool:
        """As for any connection; during the handshake, what TLS waits for."""
        return bool(self._unsent) if self.is_connected else self._handshake_writes

    @override
    def write(self) -> None:
        """The socket can be written: go on with the handshake or the request."""
        if self._tls is None:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.end(_class_of(error))
                return
            self._wrap()
        self._go_on()

    @override
    def read(self) -> None:
        """Take all that came: what TLS holds already is not told by epoll again."""
        if not self.is_connected:
            self._go_on()
        while self.is_connected and self.outcome is None:
            try:
                data = self._socket.recv(READ_MAX)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            except ssl.SSLEOFError:
                data = b""
            except OSError as error:
                self._lost("tls" if isinstance(error, ssl.SSLError) else _class_of(error.errno))
                return
            self._take(data)
            if self.request is None:
                return

    def _wrap(self) -> None:
        self._tls = self._context.wrap_socket(
            self._socket, server_hostname=self._server_name, do_handshake_on_connect=False
        )
        self._socket = self._tls

    def _go_on(self) -> None:
        if self._tls is not None and not self.is_connected:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._handshake_writes = False
                return
            except ssl.SSLWantWriteError:
                self._handshake_writes = True
                return
            except OSError as error:
                is_tls = isinstance(error, ssl.SSLError)
                self._lost("tls" if is_tls else _class_of(error.errno))
                return
            self.is_connected = True
        if self.is_connected:
            self._send()

    @override
    def _send(self) -> None:
        try:
            super()._send()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return


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
