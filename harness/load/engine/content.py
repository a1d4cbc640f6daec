"""What must be in an answer beyond its status, and what is taken out of it for later requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.load.engine.cookies import cookie_of
from harness.load.engine.response import Head, Response
from harness.model.answer import Take
from harness.model.json_path import value_at
from harness.model.load import Operation

Fill = Callable[[Any], bytes]
"""From the values of a request to a text with its places filled."""
_TAKEN = re.compile(rb"[^\x00-\x1f\x7f]{1,8192}")
"""What may be put into a request: a target must not write lines of its own into it."""


@dataclass(slots=True)
class Content:
    """Checks the answers to one kind of request; nothing is looked for unless somebody asks."""

    headers: Mapping[bytes, Fill]
    values: Mapping[str, Any | Fill]  # by JSON path; what has places in it is a Fill
    takes: Mapping[str, Taker]
    of_head: bool = field(init=False)
    reads_body: bool = field(init=False)
    _parsed: tuple[bytes, Any] = field(init=False, default=(b"", None))

    def __post_init__(self) -> None:
        self.of_head = bool(self.headers) or any(t.is_of_head for t in self.takes.values())
        self.reads_body = bool(self.values) or any(not t.is_of_head for t in self.takes.values())

    @classmethod
    def of(cls, operation: Operation, template: Callable[[str], Fill]) -> Content:
        """Out of what an operation expects and takes; `template` prepares a text with places."""
        return cls(
            headers={n.lower().encode(): template(t) for n, t in operation.expect_headers.items()},
            values={
                path: template(value) if isinstance(value, str) and "{" in value else value
                for path, value in operation.expect_json.items()
            },
            takes={name: Taker(take) for name, take in operation.take.items()},
        )

    def is_in_head(self, head: Head, values: Any) -> bool:
        """Whether the headers are as expected, and hold what is taken out of them."""
        if not all(_is_same(head.header(n), fill(values)) for n, fill in self.headers.items()):
            return False
        return all(t.from_head(head) for t in self.takes.values() if t.is_of_head)

    def is_in_body(self, body: bytes, values: Any) -> bool:
        """Whether the body has the values expected, and holds what is taken out of it."""
        document = self._document(body)
        if not all(_is_value(document, path, v, values) for path, v in self.values.items()):
            return False
        return all(t.from_body(body, document) for t in self.takes.values() if not t.is_of_head)

    def taken(self, response: Response) -> dict[str, bytes]:
        """The values of an answer that has passed, by name."""
        assert response.head is not None
        document = self._document(response.body) if self.reads_body else None
        return {
            name: taker.from_head(response.head)
            if taker.is_of_head
            else taker.from_body(response.body, document)
            for name, taker in self.takes.items()
        }

    def _document(self, body: bytes) -> Any:
        """The body as JSON where a path is asked for; nothing else is read."""
        if not self.values and not any(t.is_of_json for t in self.takes.values()):
            return None
        return self.document(body)

    def document(self, body: bytes) -> Any:
        """The body as JSON, None if it is none; read once, however often it is asked for."""
        if body is not self._parsed[0]:
            try:
                self._parsed = body, json.loads(body)
            except (ValueError, RecursionError):  # the latter for thousands of brackets
                self._parsed = body, None
        return self._parsed[1]


class Taker:
    """Takes one value out of an answer: empty if it is not there, or cannot be sent."""

    __slots__ = ("_kind", "_regex", "_source", "is_of_head", "is_of_json")

    def __init__(self, take: Take) -> None:
        self._kind, self._source = take.kind, take.source
        self._regex = re.compile(take.regex.encode()) if take.regex else None
        self.is_of_head = take.kind in ("header", "cookie")
        self.is_of_json = take.kind == "json"

    def from_head(self, head: Head) -> bytes:
        """The value in a header or a cookie."""
        if self._kind == "cookie":
            return _sendable(cookie_of(head.cookies, self._source.encode()))
        return self._matched(head.header(self._source.lower().encode()))

    def from_body(self, body: bytes, document: Any) -> bytes:
        """The value in the body, which `document` is as JSON."""
        if self.is_of_json:
            return _sendable(_text_of(value_at(document, self._source)))
        return self._matched(body)

    def _matched(self, text: bytes) -> bytes:
        if self._regex is None:
            return _sendable(text)
        match = self._regex.search(text)
        return _sendable(match[1] or b"") if match else b""


def _text_of(value: Any) -> bytes:
    """A value of a JSON document as text; empty for null, and for what is no single value."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return b"" if value is None or isinstance(value, dict | list) else json.dumps(value).encode()


def _sendable(value: bytes) -> bytes:
    return value if _TAKEN.fullmatch(value) else b""


def _is_value(document: Any, path: str, expected: Any | Fill, values: Any) -> bool:
    """Whether that is there; what was filled in is compared as text."""
    found = value_at(document, path)
    if callable(expected):
        return _text_of(found) == expected(values)
    is_flag = isinstance(found, bool) or isinstance(expected, bool)
    return bool(found == expected) and (not is_flag or found is expected)


def _is_same(found: bytes, expected: bytes) -> bool:
    """`application/json` stands for any with parameters, such as a charset."""
    return found == expected or found.startswith(expected + b";")
