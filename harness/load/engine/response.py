"""An incremental HTTP/1.1 response parser with bounds (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Container

HEAD_MAX, BODY_KEPT_MAX, LINE_MAX, HEADS_MAX = 65_536, 2**20, 1024, 2048
BEGIN_MAX = 1024
"""How much is kept of a body that nobody reads, if its status was not expected: it may say why."""
ANY_STATUS = range(1000)
_LENGTH, _CHUNK_SIZE = re.compile(rb"[0-9]{1,15}"), re.compile(rb"[0-9A-Fa-f]{1,12}")
UNTIL_CLOSE, CHUNKED = -1, -2


class BadResponse(Exception):
    """What came is not an HTTP/1.1 response within the bounds."""


class Head:
    """Status line and headers; names in lower case, the first of each name counts.

    `cookies` are the values of all headers `Set-Cookie`. `length` is that of the body, or
    UNTIL_CLOSE, or CHUNKED.
    """

    __slots__ = ("_headers", "cookies", "keeps_connection", "length", "names", "status")

    def __init__(self, raw: bytes) -> None:
        if not raw.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")) or not raw[9:12].isdigit():
            raise BadResponse("not an HTTP/1 status line")
        self.status = int(raw[9:12])
        self._headers: dict[bytes, bytes] = {}
        for line in raw.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            self._headers.setdefault(name.lower(), value.strip())
        self.cookies: list[bytes] = (
            _all(raw, b"set-cookie") if b"set-cookie" in self._headers else []
        )
        option = self._headers.get(b"connection", b"").lower()
        is_old = raw.startswith(b"HTTP/1.0")
        self.keeps_connection = option == b"keep-alive" if is_old else b"close" not in option
        self.length = self._length()
        self.names: tuple[int, ...] | None = None
        """For the recorder: what it calls the headers that it keeps."""

    @property
    def headers(self) -> dict[str, str]:
        """All of them by their lower names; of one that is there twice the first."""
        return {k.decode("latin-1"): v.decode("latin-1") for k, v in self._headers.items()}

    def header(self, name: bytes) -> bytes:
        """The value of the header called `name` (lower case), empty if there is none."""
        return self._headers.get(name, b"")

    def _length(self) -> int:
        if self.status in (204, 304):
            return 0
        if b"chunked" in self._headers.get(b"transfer-encoding", b"").lower():
            return CHUNKED
        length = self._headers.get(b"content-length", b"")
        if not length:
            return UNTIL_CLOSE
        if not _LENGTH.fullmatch(length):
            raise BadResponse("Content-Length is not a number")
        return int(length)


def _all(raw: bytes, name: bytes) -> list[bytes]:
    """The values of all headers called `name` (lower case)."""
    lines = (line.partition(b":") for line in raw.split(b"\r\n")[1:])
    return [value.strip() for found, _, value in lines if found.lower() == name]


class Heads:
    """Heads by their bytes: equal ones, the most of a steady load, are parsed once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def of(self, raw: bytes) -> Head:
        """The head in `raw`, which ends before the empty line; BadResponse if it is none."""
        head = self._known.get(raw)
        if head is None:
            if len(self._known) >= HEADS_MAX:
                self._known.clear()
            head = self._known[raw] = Head(raw)
        return head


class Response:
    """One response after another on one connection: `begin`, then `feed` until `is_complete`.

    At most BODY_KEPT_MAX bytes of a body are kept, and none that nobody reads, unless its status is
    not one of those that were expected: then BEGIN_MAX. `size` counts all that came.
    """

    __slots__ = (
        "_body_max",
        "_buffer",
        "_expected",
        "_has_body",
        "_heads",
        "_left",
        "_reads_body",
        "body",
        "head",
        "is_complete",
        "is_whole",
        "keeps_connection",
        "size",
    )

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self.begin(has_body=True)

    def begin(
        self, *, has_body: bool, reads_body: bool = True, expected: Container[int] = ANY_STATUS
    ) -> None:
        """Expect the next response, to a request other than HEAD if it `has_body`."""
        self._has_body, self._reads_body, self._expected = has_body, reads_body, expected
        self._body_max = BODY_KEPT_MAX
        self.is_whole = True
        self._buffer = self.body = b""
        self._left = 0  # body bytes still to come, UNTIL_CLOSE or CHUNKED
        self.head: Head | None = None
        self.size = 0
        self.is_complete = self.keeps_connection = False

    def feed(self, data: bytes) -> None:
        """Take what came; BadResponse if it cannot be a response."""
        self.size += len(data)
        if self.head is None:
            data = self._take_head(self._buffer + data if self._buffer else data)
            if self.head is None:
                return
        if self.is_complete:
            self.keeps_connection = self.keeps_connection and not data
        elif self.head.length == CHUNKED:
            self._take_chunks(data)
        else:
            self._take_body(data)

    def close(self) -> None:
        """The peer closed: right only for a body that ends with the connection."""
        self.keeps_connection = False
        if self.head is not None and self.head.length == UNTIL_CLOSE:
            self.is_complete = True

    def _take_head(self, data: bytes) -> bytes:
        """Find the head; what comes after it."""
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > HEAD_MAX or not b"HTTP/1.".startswith(data[:7]):
                    raise BadResponse("no head")
                self._buffer = data
                return b""
            head = self._heads.of(data[:end])
            data = data[end + 4 :]
            if head.status >= 200:
                break  # 1xx are followed by the real one
        self.head, self._buffer = head, b""
        if not self._reads_body:
            self._body_max = 0 if head.status in self._expected else BEGIN_MAX
        length = head.length if self._has_body else 0
        self._left = max(length, UNTIL_CLOSE)
        self.is_complete = length == 0
        self.keeps_connection = head.keeps_connection and length != UNTIL_CLOSE
        if length == CHUNKED:
            self._left = 0
        return data

    def _take_body(self, data: bytes) -> None:
        self._keep(data)
        if self._left >= 0:
            self._left -= len(data)
            if self._left < 0:
                raise BadResponse("more than Content-Length")
            self.is_complete = self._left == 0

    def _take_chunks(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer and not self.is_complete:
            if self._left > 0:
                self._take_chunk_part()
            elif not self._take_chunk_line():
                return
        if self._buffer:  # nobody asked for more
            self.keeps_connection = False

    def _take_chunk_part(self) -> None:
        part = self._buffer[: self._left]
        self._keep(part)
        self._buffer = self._buffer[len(part) :]
        self._left -= len(part)

    def _take_chunk_line(self) -> bool:
        """The end of a chunk, the size of the next one, or a trailer; False: not yet whole."""
        end = self._buffer.find(b"\r\n")
        if end > LINE_MAX or (end < 0 and len(self._buffer) > LINE_MAX):
            raise BadResponse("chunk size without end")
        if end < 0:
            return False
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        if self._left < 0:  # after the last chunk: trailers end with an empty line
            self.is_complete = not line
        elif line:
            self._left = _chunk_size(line) or -1
        return True

    def _keep(self, data: bytes) -> None:
        room = self._body_max - len(self.body)
        if room <= 0 and not self._reads_body:
            return
        self.body += data[:room]
        self.is_whole = self.is_whole and len(data) <= room


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not _CHUNK_SIZE.fullmatch(digits):
        raise BadResponse("not a chunk size")
    return int(digits, 16)
