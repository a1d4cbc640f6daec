"""Spans of the requests whose `traceparent` says that they are sampled, sent to Zipkin.

    client -> edge -> lb -> app -> redis, db-ro, db-rw
              X-Edge-Start, X-Lb-Start: when it arrived there, `SECONDS MICROSECONDS`

Of all other requests nothing is known to OpenTelemetry: a look at one byte of a header is what they
cost. Of edge and load balancer only the arrival is known, so their spans end when this server has
answered; the way back is not in them. Only the event loop makes spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from time import time_ns
from types import TracebackType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from shortener.sampled import CURRENT, Note, outcome_of
from shortener.span_outbox import PART, SpanOutbox

HOPS = ((b"x-edge-start", "edge", 2), (b"x-lb-start", "lb", 3))
"""The header, whose it is, and what the ids of its spans begin with."""
STAMP = re.compile(rb"([0-9]{1,12}) ([0-9]{1,6})")
OLDEST_NS = 60 * 10**9
"""A start that is longer ago is not believed: anybody can send such a header."""
LOW_60 = (1 << 60) - 1


class Tracing:
    """Makes the spans of one server; `outbox` keeps, sends and counts them."""

    def __init__(self, server: str, outbox: SpanOutbox) -> None:
        self.outbox = outbox
        self._ids = Ids()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            id_generator=self._ids,
            resource=Resource({"service.name": server}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(Handover(outbox))
        self._tracer = provider.get_tracer("shortener")

    def request(
        self, name: str, parent: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> RequestSpans:
        """The spans of a request that begins now, to be entered; `parent` is its traceparent."""
        trace, span = int(parent[3:35], 16), int(parent[36:52], 16)
        context = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(1))
        above = set_span_in_context(NonRecordingSpan(context), Context())
        spans: list[Span] = []
        for part, own_id, start_ns in _hops(headers, span):
            self._ids.next_id = own_id
            spans.append(self._start(part, above, SpanKind.SERVER, start_ns, {PART: part}))
            above = set_span_in_context(spans[-1], Context())
        spans.append(self._start(name, above, SpanKind.SERVER, None, {}))
        return RequestSpans(self, spans)

    def child(self, parent: Span, name: str, facts: Mapping[str, str]) -> Span:
        """A span below `parent` that begins now."""
        above = set_span_in_context(parent, Context())
        return self._start(name, above, SpanKind.CLIENT, None, facts)

    def _start(
        self,
        name: str,
        above: Context,
        kind: SpanKind,
        start_ns: int | None,
        facts: Mapping[str, str],
    ) -> Span:
        span: Any = self._tracer.start_span(
            name, context=above, kind=kind, start_time=start_ns, attributes=dict(facts)
        )
        return span


class RequestSpans:
    """`with` it: calls made inside become its children; then all of its spans end at once."""

    def __init__(self, tracing: Tracing, spans: list[Span]) -> None:
        self._tracing, self._spans = tracing, spans
        self._token: Any = None

    def __enter__(self) -> RequestSpans:
        self._token = CURRENT.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        CURRENT.reset(self._token)
        if kind is not None:
            self._spans[-1].set_attribute("error", kind.__name__)
        end_ns = time_ns()
        for span in reversed(self._spans):
            span.end(end_ns)

    def answered(self, status: int, facts: Mapping[str, str]) -> None:
        """What became of the request."""
        span = self._spans[-1]
        span.set_attribute("http.status_code", str(status))
        for name, value in facts.items():
            span.set_attribute(name, value)
        if status >= 400:
            span.set_attribute("error", str(status))

    def child(self, name: str, facts: Mapping[str, str]) -> Note:
        """A call to another part begins."""
        return ChildSpan(self._tracing.child(self._spans[-1], name, facts))


class ChildSpan(Note):
    """One call to another part."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Note:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        outcome = "ok" if error is None else outcome_of(error)
        self._span.set_attribute("outcome", outcome)
        if error is not None:
            self._span.set_attribute("error", outcome)
        self._span.end()

    def answered_by(self, node: str) -> None:
        """Who answered, "" if that is not known."""
        if node:
            self._span.set_attribute("node", node)


class Handover(SpanProcessor):
    """Gives each span that has ended to the outbox."""

    def __init__(self, outbox: SpanOutbox) -> None:
        self._outbox = outbox

    def on_end(self, span: ReadableSpan) -> None:
        """Never waits."""
        self._outbox.add(span)


class Ids(RandomIdGenerator):
    """Random ids, but for a span whose id is known."""

    next_id = 0

    def generate_span_id(self) -> int:
        """The id of the next span."""
        known, self.next_id = self.next_id, 0
        return known or super().generate_span_id()


def _hops(headers: Iterable[tuple[bytes, bytes]], span: int) -> Iterable[tuple[str, int, int]]:
    """Part, span id and start of each hop before this server, the first one first.

    The id is made of the parent's and the start: when the request is sent to another server once
    more, the span of its load balancer is the same one.
    """
    found = {name: value for name, value in headers if name.startswith(b"x-")}
    last_ns = time_ns()
    for header, part, first in HOPS:
        start_ns = _time_ns(found.get(header, b""))
        if last_ns - OLDEST_NS < start_ns <= last_ns:
            yield part, first << 60 | ((span ^ start_ns // 1000) & LOW_60), start_ns


def _time_ns(value: bytes) -> int:
    """Of a header, in nanoseconds since the epoch; 0 if it has no time."""
    match = STAMP.fullmatch(value)
    return (int(match[1]) * 10**6 + int(match[2])) * 1000 if match else 0
