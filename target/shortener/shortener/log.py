"""Log lines as JSON, one object each: time, level, part, message; of a request its trace id.

The audit trail is in them: a line for each link that was created, before its creation is
acknowledged, with the token that the client has for it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

FAILURES_PER_S = 20
"""An outage fails hundreds of requests a second; a line for each would be a load of its own."""
TRACEPARENT = b"traceparent"

FAILURES = logging.getLogger("requests")
"""Of requests that failed: the first ones of each second."""
AUDIT = logging.getLogger("audit")
"""Of links that were created: all of them, whatever the level of the others."""


def log_as_json(part: str, level: int = logging.WARNING, stream: TextIO = sys.stderr) -> None:
    """From now on all loggers of this process write JSON to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(part))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    FAILURES.filters[:] = [FirstOfEachSecond(FAILURES_PER_S)]
    AUDIT.setLevel(logging.INFO)


def request_failed(error: BaseException, request: str, trace: str) -> None:
    """Log why a request failed; `trace` is its trace id, "" for none."""
    FAILURES.error("%s: %s: %s", request, type(error).__name__, error, extra={"trace_id": trace})


def link_created(code: str, token: str, trace: str) -> None:
    """Log that the link `code` is there; `token` is its creation's idempotency key, "" for none."""
    AUDIT.info("link created: %s", code, extra={"token": token, "trace_id": trace})


def trace_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The trace id in a request's `traceparent`, "" for none, or another form."""
    for name, value in headers:
        if name == TRACEPARENT:
            parts = value.decode("latin-1").split("-")
            return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else ""
    return ""


class JsonFormatter(logging.Formatter):
    """Every record is one line, a traceback included."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": self._part,
            "message": record.getMessage(),
        }
        for name in ("trace_id", "token"):
            if value := getattr(record, name, ""):
                line[name] = value
        if left_out := getattr(record, "left_out", 0):
            line["left_out"] = left_out
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class FirstOfEachSecond(logging.Filter):
    """Lets so many records of a second pass; the next one that does says how many did not."""

    def __init__(self, per_s: int) -> None:
        super().__init__()
        self._per_s = per_s
        self._second, self._count, self._left_out = 0, 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is one of the first of its second; it then knows how many were left out."""
        second = int(record.created)
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > self._per_s:
            self._left_out += 1
            return False
        record.left_out, self._left_out = self._left_out, 0
        return True
