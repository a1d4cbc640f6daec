"""From an operation to bytes, and from an answer to success or a class of error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Final

from harness.load.engine.response import Head, Response
from harness.model.load import Operation, percent_format
from harness.model.request_line import EXPECTS_BODY, encoded, merged

NEVER_SENT = ("dropped", "no_descriptors", "unresolved")
OF_THE_REQUEST = frozenset({400, 401, 403, 405, 406, 411, 413, 414, 415, 417, 422, 431})
"""Refusals for what the request is: an earlier try would have been refused just so."""
SAY_NOTHING = (408, 429)
Values = tuple[int, int, int, bytes]
"""What fills the places of one request: its key or the number of the write that it reads, its own
number, the length of its body, what the write that it reads returned."""
KEY: Final = 0
NUMBER: Final = 1
LENGTH: Final = 2
RETURNED: Final = 3
_PLACES = re.compile(r"\{(key|token|trace|written|returned|length)\}")
_WORD = re.compile(rb"[\x21-\x7e]{1,1000}")
"""What may be put into a request: a target must not write lines of its own into it."""


@dataclass(frozen=True)
class Places:
    """How `{key}`, `{token}`, `{written}`, ... are written, in the way of `%`."""

    key_format: str
    token_start: str
    trace_start: str

    def in_a_path(self) -> Places:
        """The same with what a path may not hold raw as %XX."""
        return replace(self, key_format=encoded(self.key_format))

    def of(self, name: str) -> tuple[str, tuple[int, ...]]:
        """The format of a place, and which of the values fill it."""
        return {
            "key": (percent_format(self.key_format), (KEY,)),
            "token": (f"{_escape(self.token_start)}%d", (NUMBER,)),
            "written": (f"{_escape(self.token_start)}%d", (KEY,)),
            "returned": ("%s", (RETURNED,)),
            # trace id and span id, derived from seed, stream and number
            "trace": (f"00-{self.trace_start}%016x-1%015x-01", (NUMBER, NUMBER)),
            "length": ("%d", (LENGTH,)),
        }[name]


class Template:
    """Text with places in it, prepared once so that filling is one `%`."""

    def __init__(self, *parts: tuple[str, Places]) -> None:
        made, picked = "", list[int]()
        for text, places in parts:
            *pairs, last = _PLACES.split(text)
            for before, name in zip(pairs[::2], pairs[1::2], strict=True):
                form, values = places.of(name)
                made += _escape(before) + form
                picked += values
            made += _escape(last)
        self._text = made.encode()
        self._pick: Callable[[Values], Any] = itemgetter(*picked) if picked else _nothing

    def fill(self, values: Values) -> bytes:
        """The text with its places filled."""
        filled: bytes = self._text % self._pick(values)
        return filled


class Request:
    """One kind of request, ready to be rendered for its values, and checked."""

    def __init__(self, name: str, operation: Operation, host: str, places: Places) -> None:
        self.name, self.operation = name, operation
        self.has_body = operation.method != "HEAD"
        self.draws_key = operation.draws_key
        self.reads_body = bool(operation.body_contains or operation.returns)
        self._head = Template(
            (f"{operation.method} ", places),
            (encoded(operation.path), places.in_a_path()),
            (f" HTTP/1.1\r\n{_header_lines(operation, host)}\r\n", places),
        )
        body, location, contains = operation.body, operation.location, operation.body_contains
        self._body = Template((body, places)) if body else None
        self._location = Template((location, places)) if location else None
        self._contains = Template((contains, places)) if contains else None
        self._returns = re.compile(operation.returns.encode()) if operation.returns else None

    def render(self, values: Values) -> bytes:
        """The bytes to send."""
        if self._body is None:
            return self._head.fill(values)
        body = self._body.fill(values)
        filled = values[KEY], values[NUMBER], len(body), values[RETURNED]
        return self._head.fill(filled) + body

    def error_of(self, response: Response, values: Values, took_s: float) -> str:
        """The class of error, "" for a success: the right status and content in time.

        The head of `response` must be there. What is not found in a body that is too long to be
        kept whole may be in the rest of it: that is `too_long`, not wrong.
        """
        head = response.head
        assert head is not None
        if head.status not in self.operation.status:
            return "wrong_status"
        if self._location and head.header(b"location") != self._location.fill(values):
            return "wrong_content"
        if self.reads_body and not self._is_in(response.body, values):
            return "wrong_content" if response.is_whole else "too_long"
        return "too_slow" if took_s > self.operation.limit_s else ""

    def _is_in(self, body: bytes, values: Values) -> bool:
        """Whether the body holds what the operation says of it."""
        if self._contains and self._contains.fill(values) not in body:
            return False
        return not self._returns or bool(self._returned(body))

    def kept(self, values: Values, body: bytes) -> tuple[int, bytes]:
        """What an operation that reads this one asks for: a write's number, what it returned."""
        if self.operation.reads:
            return values[KEY], values[RETURNED]
        return values[NUMBER], self._returned(body)

    def _returned(self, body: bytes) -> bytes:
        """What the answer returned, empty if it is not there or is no word."""
        match = self._returns.search(body) if self._returns else None
        returned = match[1] if match else b""
        return returned if _WORD.fullmatch(returned) else b""

    def write_outcome(self, head: Head | None, error: str) -> str:
        """`ok`, `failed` (surely not attempted) or `unknown`; "" for a read.

        After Jepsen: only a refusal and a request that was never sent count as failed; whatever
        else went wrong may have been done. A balancer may have sent the request before, to a server
        that did it and whose answer was lost. So the state of things (404, 409, 503 with
        `X-Write-Attempted: no`) refuses a write only in an answer to the first try, which says
        so: `X-Attempt: 1`.
        """
        if not self.operation.is_write:
            return ""
        if error in ("", "too_slow"):
            return "ok"
        if error in NEVER_SENT or (error == "wrong_status" and head and _is_refusal(head)):
            return "failed"
        return "unknown"


def _header_lines(operation: Operation, host: str) -> str:
    """All headers, each with its line end; the operation's own win over ours."""
    headers = merged({"Host": host, "traceparent": "{trace}"}, operation.headers)
    if operation.body:
        headers["Content-Length"] = "{length}"
    elif operation.method in EXPECTS_BODY:
        headers["Content-Length"] = "0"
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _nothing(_: Values) -> tuple[()]:
    return ()


def _is_refusal(head: Head) -> bool:
    """Whether no server can have done it, by the answer of one."""
    attempt, status = head.header(b"x-attempt"), head.status
    if attempt != b"1":
        return not attempt and status in OF_THE_REQUEST
    if status == 503:
        return head.header(b"x-write-attempted").lower() == b"no"
    return 400 <= status < 500 and status not in SAY_NOTHING
