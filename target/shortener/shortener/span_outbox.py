"""Spans on their way to Zipkin: a bounded queue, and a thread that sends batches of it.

OpenTelemetry's own exporter for Zipkin is deprecated, and would bring `requests` along; its batch
processor logs what it loses, and counts nothing. Zipkin's format is a list of flat objects.

While nobody answers there, `is_open` is False and no spans are made at all; one short try follows
after the other, ever less often. Nothing of this is an error of the application: it is counted, not
logged.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan

from shortener.sampled import SpanCounts

QUEUE_MAX, BATCH_MAX = 2_000, 200
EVERY_S, SEND_S, CLOSE_S = 0.5, 1.0, 0.5
"""Between batches; for one of them; for what is left at the end."""
FIRST_PAUSE_S, PAUSE_MAX_S = 0.5, 5.0
PART = "part"
"""The attribute of a span of another part: of whom it is."""
Send = Callable[[bytes], None]
"""Hands a batch over; OSError or HTTPException if it was not taken."""


class SpanOutbox:
    """`is_open` says whether the last try to hand something over worked."""

    def __init__(self, url: str, server: str, send: Send | None = None) -> None:
        self._server = server
        self._send = send or Zipkin(url).send
        self._queue: deque[ReadableSpan] = deque()
        self._is_over = Event()
        self._pause_s = FIRST_PAUSE_S / 2
        self._thread = Thread(target=self._work, name="spans", daemon=True)
        self.is_open = False
        self.counts = SpanCounts()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def add(self, span: ReadableSpan) -> None:
        """Keep a span to be sent; what has no room is counted. Never waits."""
        if len(self._queue) >= QUEUE_MAX:
            self.counts.dropped += 1
        else:
            self._queue.append(span)

    def close(self) -> None:
        """Send what is left, within half a second."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def turn(self) -> float:
        """Send one batch, or ask whether anybody is there; how long to wait until the next turn."""
        batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
        try:
            if batch or not self.is_open:
                self._send(as_json(batch, self._server))
        except (OSError, HTTPException):
            self.counts.dropped += len(batch) + self._forget()
            self.is_open = False
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
            return self._pause_s
        self.counts.exported += len(batch)
        self.is_open, self._pause_s = True, FIRST_PAUSE_S / 2
        return 0.0 if len(self._queue) >= BATCH_MAX else EVERY_S

    def _forget(self) -> int:
        """Drop what waits: by the time that somebody answers it would be old."""
        count = len(self._queue)
        for _ in range(count):
            self._queue.popleft()
        return count

    def _work(self) -> None:
        wait_s = 0.0
        while not self._is_over.wait(wait_s):
            wait_s = self.turn()
        if self.is_open and self._queue:
            self.turn()


class Zipkin:
    """Zipkin's HTTP interface, on a connection of its own for each batch."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._path = parts.path or "/"

    def send(self, batch: bytes) -> None:
        """Hand over a batch; OSError or HTTPException unless Zipkin took it."""
        connection = HTTPConnection(*self._address, timeout=SEND_S)
        try:
            connection.request("POST", self._path, batch, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise HTTPException(f"status {answer.status}")
        finally:
            connection.close()


def as_json(spans: Sequence[ReadableSpan], server: str) -> bytes:
    """Spans as Zipkin's version 2 has them."""
    return json.dumps([_object(span, server) for span in spans]).encode()


def _object(span: ReadableSpan, server: str) -> dict[str, Any]:
    context, start_ns, end_ns = span.get_span_context(), span.start_time or 0, span.end_time or 0
    assert context is not None
    tags = {name: str(value) for name, value in (span.attributes or {}).items()}
    part = tags.pop(PART, server)
    found: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "id": f"{context.span_id:016x}",
        "name": span.name,
        "kind": span.kind.name,
        "timestamp": start_ns // 1000,
        "duration": max(1, (end_ns - start_ns) // 1000),
        "localEndpoint": {"serviceName": part},
        "tags": tags,
    }
    if span.parent is not None:
        found["parentId"] = f"{span.parent.span_id:016x}"
    if "route" in tags:
        found["remoteEndpoint"] = {"serviceName": tags["route"]}
    return found
