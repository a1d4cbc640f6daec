"""An incremental HTTP/1.1 response parser with bounds (RFC 9112)."""

from __future__ import annotations

import re

_LENGTH, _CHUNK_SIZE = re.compile(rb"[0-9]{1,15}"), re.compile(rb"[0-9A-Fa-f]{1,12}")
HEAD_MAX, BODY_KEPT_MAX, LINE_MAX = 65_536, 65_536, 1024


class BadResponse(Exception):
    """What came is not an HTTP/1.1 response within the bounds."""


class Response:
    """One response: feed bytes until `is_complete`; at most BODY_KEPT_MAX bytes are kept."""

    __slots__ = (
        "_buffer",
        "_chunked",
        "_headers",
        "_left",
        "_method",
        "body",
        "is_complete",
        "keeps_connection",
        "size",
        "status",
    )

    def __init__(self, method: str) -> None:
        self._method = method
        self._buffer = b""
        self._headers: bytes | None = None
        self._left = 0  # body bytes still to come; -1: until the connection closes
        self._chunked = False
        self.status = 0
        self.body = b""
        self.size = 0
        self.is_complete = False
        self.keeps_connection = True

    def header(self, name: bytes) -> str:
        """The value of the first header called `name` (lower case), "" if there is none."""
        head = self._headers or b""
        start = head.lower().find(b"\r\n" + name + b":")
        if start < 0:
            return ""
        start += len(name) + 3
        end = head.find(b"\r\n", start)
        return head[start : end if end >= 0 else len(head)].strip().decode("latin-1")

    def feed(self, data: bytes) -> None:
        """Take what came; BadResponse if it cannot be a response."""
        self.size += len(data)
        if self._headers is None:
            self._buffer += data
            if not self._take_head():
                return
            data, self._buffer = self._buffer, b""
        if self.is_complete:
            self.keeps_connection = self.keeps_connection and not data
        elif self._chunked:
            self._take_chunks(data)
        else:
            self._take_body(data)

    def close(self) -> None:
        """The peer closed: right only for a body that ends with the connection."""
        self.keeps_connection = False
        if self._headers is not None and self._left == -1 and not self._chunked:
            self.is_complete = True

    def _take_head(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > HEAD_MAX or not b"HTTP/1.".startswith(self._buffer[:7]):
                    raise BadResponse("no head")
                return False
            head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            self.status = _status(head)
            if self.status >= 200:
                break  # 1xx are followed by the real one
        self._headers = head
        self._plan_body()
        return True

    def _plan_body(self) -> None:
        option = self.header(b"connection").lower()
        is_old = (self._headers or b"").startswith(b"HTTP/1.0")
        self.keeps_connection = option == "keep-alive" if is_old else "close" not in option
        if self._method == "HEAD" or self.status in (204, 304):
            self.is_complete = True
        elif "chunked" in self.header(b"transfer-encoding").lower():
            self._chunked = True
        elif length := self.header(b"content-length"):
            if not _LENGTH.fullmatch(length.encode("latin-1")):
                raise BadResponse("Content-Length is not a number")
            self._left = int(length)
            self.is_complete = self._left == 0
        else:
            self._left = -1
            self.keeps_connection = False

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
        if len(self.body) < BODY_KEPT_MAX:
            self.body += data[: BODY_KEPT_MAX - len(self.body)]


def _status(head: bytes) -> int:
    if not head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")) or not head[9:12].isdigit():
        raise BadResponse("not an HTTP/1 status line")
    return int(head[9:12])


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not _CHUNK_SIZE.fullmatch(digits):
        raise BadResponse("not a chunk size")
    return int(digits, 16)
