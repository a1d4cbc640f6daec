"""From an operation to bytes, and from an answer to success or a class of error."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.load.http_parse import Response
from harness.model.load import Operation

NEVER_SENT = ("dropped", "no_descriptors", "unresolved")
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
        places = [operation.path, operation.body, *operation.headers.values()]
        # A write is found again by its number, a read by the index of its key.
        self.draws_key = not operation.is_write and any("{key}" in text for text in places)
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
        if error in ("", "too_slow"):
            return "ok"
        if error in NEVER_SENT or (error == "wrong_status" and answer and _is_refusal(answer)):
            return "failed"
        return "unknown"


def _is_refusal(answer: Response) -> bool:
    if answer.status == 503:
        return answer.header(b"x-write-attempted").lower() == "no"
    return 400 <= answer.status < 500 and answer.status not in (408, 429)
