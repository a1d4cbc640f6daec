"""From an operation to bytes, and from an answer to success or a class of error."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any, Final, TypeAlias

from harness.load.engine.content import Content
from harness.load.engine.response import Head, Response
from harness.load.engine.writing import Writer, as_target, body_writer, in_a_target
from harness.model.json_path import value_at
from harness.model.load import RETURNED as BY_RETURNS
from harness.model.load import Operation, percent_format
from harness.model.place import OWN_PLACES, begins_with_a_place
from harness.model.request_line import EXPECTS_BODY, encoded, merged

NEVER_SENT = ("dropped", "no_descriptors", "unresolved")
OF_THE_REQUEST = frozenset({400, 401, 403, 405, 406, 411, 413, 414, 415, 417, 422, 431})
"""Refusals for what the request is: an earlier try would have been refused just so."""
SAY_NOTHING = (408, 429)
Values: TypeAlias = tuple[int, int, int, bytes, *tuple[bytes, ...]]
"""What fills the places of one request: its key or the number of the write that it reads, its own
number, the length of its body, what the write that it reads returned. A request of a walk (see
walks.py) has more: the line with its cookies, and the values that have a name."""
KEY: Final = 0
NUMBER: Final = 1
LENGTH: Final = 2
RETURNED: Final = 3
COOKIES: Final = 4
NAMED: Final = 5
"""From here on, in the order of `Places.named`."""
TOKEN_KEPT_MAX = 100
_WORD = re.compile(rb"[\x21-\x7e]{1,1000}")
"""What may be put into a request: a target must not write lines of its own into it."""
Filler = Callable[[Values], Any]


@dataclass(frozen=True)
class Places:
    """How `{key}`, `{token}`, `{written}`, ... are written, in the way of `%`.

    `named` are the user's own places; `write` says how their values are written here, None: as
    they are. Each `sampled_every`-th request asks to be traced, by its number; `is_sampled` says
    so of a text for one kind of them, None: for both.
    """

    key_format: str
    token_start: str
    trace_start: str
    named: tuple[str, ...] = ()
    write: Writer | None = None
    sampled_every: int = 1
    is_sampled: bool | None = None

    def sampled(self, is_sampled: bool) -> Places:  # noqa: FBT001
        """The same for requests that are all sampled, or none."""
        return replace(self, is_sampled=is_sampled)

    def in_a_path(self) -> Places:
        """The same with what a path may not hold raw as %XX."""
        return replace(self, key_format=encoded(self.key_format), write=in_a_target)

    def written(self, write: Writer | None) -> Places:
        """The same with values of the user's own written so."""
        return replace(self, write=write)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds a place; its name is the group."""
        return re.compile(rf"\{{({'|'.join([*OWN_PLACES, *self.named])})\}}")

    def of(self, name: str) -> tuple[str, tuple[int | Filler, ...]]:
        """The format of a place, and which of the values fill it, or what makes its filling."""
        if name in self.named:
            at = NAMED + self.named.index(name)
            return "%s", (at if self.write is None else _written(at, self.write),)
        return {
            "key": (percent_format(self.key_format), (KEY,)),
            "token": (f"{_escape(self.token_start)}%d", (NUMBER,)),
            "written": (f"{_escape(self.token_start)}%d", (KEY,)),
            "returned": ("%s", (RETURNED,)),
            "trace": self._trace(),
            "length": ("%d", (LENGTH,)),
        }[name]

    def _trace(self) -> tuple[str, tuple[int | Filler, ...]]:
        """Trace id and span id, derived from run, stream and number; whether it is sampled."""
        ids, every = f"00-{self.trace_start}%016x-1%015x-", self.sampled_every
        is_sampled = True if every == 1 else self.is_sampled
        if is_sampled is None:
            return f"{ids}%02x", (NUMBER, NUMBER, lambda values: values[NUMBER] % every == 0)
        return f"{ids}{is_sampled:02x}", (NUMBER, NUMBER)


class Template:
    """Text with places in it, prepared once so that filling is one `%`.

    A part is text, text with places, or what makes bytes out of the values.
    """

    def __init__(self, *parts: str | tuple[str, Places] | Filler) -> None:
        made, picked = "", list[int | Filler]()
        for part in parts:
            if isinstance(part, str):
                made += _escape(part)
            elif isinstance(part, tuple):
                form, values = _parsed(*part)
                made += form
                picked += values
            else:
                made += "%s"
                picked.append(part)
        self._text = made.encode()
        self._pick: Filler = _picker(picked)

    def fill(self, values: Values) -> bytes:
        """The text with its places filled."""
        filled: bytes = self._text % self._pick(values)
        return filled


def _parsed(text: str, places: Places) -> tuple[str, list[int | Filler]]:
    made, picked = "", list[int | Filler]()
    *pairs, last = places.pattern.split(text)
    for before, name in zip(pairs[::2], pairs[1::2], strict=True):
        form, values = places.of(name)
        made += _escape(before) + form
        picked += values
    return made + _escape(last), picked


def _picker(picked: list[int | Filler]) -> Filler:
    """All that fills a text; only indices, as in most of them, cost the least."""
    indices = [each for each in picked if isinstance(each, int)]
    if len(indices) == len(picked):
        return itemgetter(*indices) if indices else _nothing
    fillers = [itemgetter(each) if isinstance(each, int) else each for each in picked]
    return lambda values: tuple(fill(values) for fill in fillers)


def _written(at: int, write: Writer) -> Filler:
    pick: Filler = itemgetter(at)
    return lambda values: write(pick(values))


class Request:
    """One kind of request, ready to be rendered for its values, and checked."""

    def __init__(
        self, name: str, operation: Operation, host: str, places: Places, *, is_walked: bool = False
    ) -> None:
        self.name, self.operation = name, operation
        self.has_body = operation.method != "HEAD"
        self.draws_key = operation.draws_key
        self.content = Content.of(operation, lambda text: Template((text, places)).fill)
        self._of_head = self.content if self.content.of_head else None
        self.returns_token = operation.returns_token
        self.reads_body = bool(
            operation.body_contains
            or operation.returns
            or operation.returns_token
            or self.content.reads_body
        )
        self.path = Template(*_path_parts(operation, places)) if is_walked else None
        self._sampled_every = places.sampled_every
        # One for each flag: to fill it in would cost each request more than to choose.
        self._head, self._head_unsampled = (
            Template(*_head_parts(operation, host, places.sampled(flag), is_walked=is_walked))
            for flag in (True, False)
        )
        body, location, contains = operation.body, operation.location, operation.body_contains
        self._body = Template((body, places.written(body_writer(operation)))) if body else None
        self._location = Template((location, places)) if location else None
        self._contains = Template((contains, places)) if contains else None
        self._returns = re.compile(operation.returns.encode()) if operation.returns else None

    def render(self, values: Values) -> bytes:
        """The bytes to send."""
        head = self._head if self.is_sampled(values) else self._head_unsampled
        if self._body is None:
            return head.fill(values)
        body = self._body.fill(values)
        return head.fill((values[KEY], values[NUMBER], len(body), *values[RETURNED:])) + body

    def is_sampled(self, values: Values) -> bool:
        """Whether this one asks to be traced."""
        return values[NUMBER] % self._sampled_every == 0

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
        if self._of_head and not self._of_head.is_in_head(head, values):
            return "wrong_content"
        if self.reads_body and not self._is_in(response.body, values):
            return "wrong_content" if response.is_whole else "too_long"
        return "too_slow" if took_s > self.operation.limit_s else ""

    def _is_in(self, body: bytes, values: Values) -> bool:
        """Whether the body holds what the operation says of it."""
        if self._contains and self._contains.fill(values) not in body:
            return False
        if self.content.reads_body and not self.content.is_in_body(body, values):
            return False
        if self.returns_token and not self.token_in(body):
            return False
        return not self._returns or bool(self._returned(body))

    def token_in(self, body: bytes) -> str:
        """By what this write is read back, out of its answer; "" if it is not there.

        The start of it, if it is too long to be looked up.
        """
        if self.operation.writes == BY_RETURNS:
            return self._returned(body).decode()[:TOKEN_KEPT_MAX]
        value = value_at(self.content.document(body), self.operation.writes)
        is_token = isinstance(value, str) or type(value) is int
        return str(value)[:TOKEN_KEPT_MAX] if is_token else ""

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

    def expected(self, error: str, values: Values) -> bytes:
        """What an answer of this class of error (wrong_status, wrong_content) lacks, in words.

        Where rows of data or earlier answers fill places, as it is written: they may hold secrets.
        """
        operation = self.operation
        if error == "wrong_status":
            return b"status " + b" or ".join(b"%d" % each for each in operation.status)
        texts = (
            ("Location", operation.location, self._location),
            ("a body with", operation.body_contains, self._contains),
        )
        found = [
            b"%s %s" % (what.encode(), written.encode() if operation.named else made.fill(values))
            for what, written, made in texts
            if written and made
        ]
        return b"; ".join([*found, *(each.encode() for each in _looked_for(operation))])

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


def _head_parts(
    operation: Operation, host: str, places: Places, *, is_walked: bool
) -> list[str | tuple[str, Places] | Filler]:
    """Request line and headers, with the empty line that ends them."""
    cookies = [itemgetter(COOKIES)] if is_walked and not _has_header(operation, "cookie") else []
    return [
        f"{operation.method} ",
        *_path_parts(operation, places),
        (f" HTTP/1.1\r\n{_header_lines(operation, host)}", places),
        *_authorization(operation, places),
        *cookies,
        "\r\n",
    ]


def _path_parts(operation: Operation, places: Places) -> list[tuple[str, Places]]:
    """The path; one that begins with a value, as `{location}`, has that as it is."""
    path = encoded(operation.path)
    if not begins_with_a_place(path):
        return [(path, places.in_a_path())]
    end = path.index("}") + 1
    whole = places.in_a_path().written(as_target)
    return [(path[:end], whole), (path[end:], places.in_a_path())]


def _authorization(operation: Operation, places: Places) -> list[str | tuple[str, Places] | Filler]:
    """The header line Authorization, in parts; none where the operation does not say it."""
    auth = operation.auth
    if auth is None:
        return []
    # A secret out of the environment is no text with places, whatever is in it.
    secret: str | tuple[str, Places] = auth.secret if auth.secret_from else (auth.secret, places)
    if auth.kind == "bearer":
        return ["Authorization: Bearer ", secret, "\r\n"]
    both = Template((auth.user, places), ":", secret)
    return ["Authorization: Basic ", lambda values: b64encode(both.fill(values)), "\r\n"]


def _has_header(operation: Operation, name: str) -> bool:
    return any(each.lower() == name for each in operation.headers)


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


def _looked_for(operation: Operation) -> Iterator[str]:
    """What must be in an answer besides a Location and a text."""
    if operation.returns:
        yield f"a body that matches {operation.returns}"
    for name, value in operation.expect_headers.items():
        yield f"{name}: {value}"
    for path, wanted in operation.expect_json.items():
        yield f"{path} == {json.dumps(wanted, ensure_ascii=False)}"
    for name, take in operation.take.items():
        yield f"{{{name}}} from {' '.join(filter(None, (take.kind, take.source, take.regex)))}"
    if operation.writes.startswith("$"):
        yield f"a text or a whole number at {operation.writes}"
