"""From an operation to bytes, and from an answer to success or a class of error."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.load.http_parse import Response
from harness.model.load import Operation

_PLACES = re.compile(r"\{(key|token|trace)\}")


class Template:
    """Text with `{key}`, `{token}` and `{trace}` in it, split once so that filling is a join."""

    def __init__(self, text: str) -> None:
        self._parts = _PLACES.split(text)
        self.is_constant = len(self._parts) == 1

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with its places filled."""
        parts = self._parts
        if self.is_constant:
            return parts[0]
        return "".join(part if index % 2 == 0 else values[part] for index, part in enumerate(parts))


class Request:
    """One kind of request, ready to be rendered for a key and a token, and checked."""

    def __init__(self, name: str, operation: Operation, host: str) -> None:
        self.name, self.operation = name, operation
        self.needs_key = "{key}" in f"{operation.path}{operation.body}{operation.location}"
        self._path = Template(operation.path)
        headers = {"Host": host, "traceparent": "{trace}", **operation.headers}
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        self._head = Template(f" HTTP/1.1\r\n{lines}")
        self._body = Template(operation.body) if operation.body else None
        self._location = Template(operation.location) if operation.location else None
        contains = operation.body_contains
        self._contains = Template(contains) if contains else None

    def render(self, values: Mapping[str, str]) -> bytes:
        """The bytes to send."""
        start = f"{self.operation.method} {self._path.fill(values)}{self._head.fill(values)}"
        if self._body is None:
            return f"{start}\r\n".encode()
        body = self._body.fill(values).encode()
        return f"{start}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def error_of(self, answer: Response, values: Mapping[str, str], took_s: float) -> str:
        """The class of error, "" for a success: the right status and content in time."""
        if answer.status not in self.operation.status:
            return "wrong_status"
        if self._location and answer.header(b"location") != self._location.fill(values):
            return "wrong_content"
        if self._contains and self._contains.fill(values).encode() not in answer.body:
            return "wrong_content"
        return "too_slow" if took_s > self.operation.limit_s else ""

    def write_outcome(self, answer: Response | None, error: str) -> str:
        """`ok`, `failed` (surely not attempted) or `unknown`; "" for a read.

        After Jepsen: only a refusal (4xx), a 503 that says `X-Write-Attempted: no`, and a request
        that was never sent count as failed; whatever else went wrong may have been done.
        """
        if not self.operation.is_write:
            return ""
        if not error or (error == "too_slow" and answer is not None):
            return "ok"
        if error in ("dropped", "refused", "unresolved", "no_descriptors"):
            return "failed"
        if answer is None or error != "wrong_status":
            return "unknown"
        is_refusal = 400 <= answer.status < 500 and answer.status not in (408, 429)
        is_not_tried = answer.status == 503 and answer.header(b"x-write-attempted") == "no"
        return "failed" if is_refusal or is_not_tried else "unknown"
