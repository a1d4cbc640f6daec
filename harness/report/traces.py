"""Failed and slow requests, each with its waterfall, its log lines and the faults of that time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.model.findings import FaultFound, Run
from harness.model.log_line import LogLine
from harness.model.span import Span, TracedRequest, Traces
from harness.record.folder import RunFolder
from harness.record.logs import read_logs
from harness.record.traces import read_traces

LINES_MAX = 8
"""Of one request."""
BEFORE_S, AFTER_S = 1.0, 5.0
"""A part logs a request while it answers, or somewhat later if nobody waits for it any more."""
CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a waterfall; `left` and `width` are shares of its whole time, `depth` from 0."""

    part: str
    name: str
    depth: int
    left: float
    width: float
    duration_s: float
    notes: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """One request, and all that is known of it."""

    request: TracedRequest
    bars: tuple[Bar, ...]
    faults: tuple[FaultFound, ...]
    lines: tuple[LogLine, ...]
    more_lines: int


@dataclass(frozen=True, slots=True)
class ShownTraces:
    """What the report shows; `has_logs` says whether logs were kept at all."""

    requests: tuple[ShownRequest, ...]
    left_out: int
    problem: str
    has_logs: bool


def shown_traces(folder: RunFolder, run: Run) -> ShownTraces | None:
    """All requests that were looked at, in order of time; None where there are none."""
    traces = read_traces(folder)
    if traces is None or not traces.requests:
        return None
    lines = _lines_by_trace(folder, traces)
    shown = tuple(
        _shown(request, run, (lines or {}).get(request.trace_id, [])) for request in traces.requests
    )
    return ShownTraces(shown, traces.left_out, traces.problem, lines is not None)


def _shown(request: TracedRequest, run: Run, lines: Sequence[LogLine]) -> ShownRequest:
    faults = tuple(fault for fault in run.faults if _was_active(fault, request))
    more = max(0, len(lines) - LINES_MAX)
    return ShownRequest(request, tuple(waterfall(request)), faults, tuple(lines[:LINES_MAX]), more)


def waterfall(request: TracedRequest) -> Iterator[Bar]:
    """The client first, then each span below the one that asked for it, in order of their starts.

    A span whose parent is not there is below the client.
    """
    ends_s = [request.done_s, *(span.start_s + span.duration_s for span in request.spans)]
    begin_s = min([request.intended_s, *(span.start_s for span in request.spans)])
    whole_s = max(max(ends_s) - begin_s, 1e-6)
    what = request.error or (f"status {request.status}" if request.status else "")
    rows = [
        (CLIENT, request.operation, 0, request.intended_s, request.took_s, what, request.error),
        *(
            (span.part, span.name, depth, span.start_s, span.duration_s, _notes(span), span.problem)
            for span, depth in _in_order(request.spans)
        ),
    ]
    for part, name, depth, start_s, took_s, notes, problem in rows:
        left, width = (start_s - begin_s) / whole_s, took_s / whole_s
        yield Bar(part, name, depth, left, width, took_s, notes, bool(problem))


def _in_order(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    """Each span and its depth, parents before children; no chain of parents is followed twice."""
    ids = {span.id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in spans:
        parent = span.parent if span.parent in ids and span.parent != span.id else ""
        below.setdefault(parent, []).append(span)
    seen: set[str] = set()
    stack = [(span, 1) for span in reversed(below.get("", []))]
    while stack:
        span, depth = stack.pop()
        if span.id not in seen:
            seen.add(span.id)
            yield span, depth
            stack += [(child, depth + 1) for child in reversed(below.get(span.id, []))]
    yield from ((span, 1) for span in spans if span.id not in seen)  # parents in a circle


def _notes(span: Span) -> str:
    """Who answered, and what went wrong."""
    told = [span.tags.get("node", ""), span.tags.get("cache", ""), span.problem]
    status = span.tags.get("http.status_code") or span.tags.get("http.response.status_code", "")
    return ", ".join(filter(None, [*told, "" if status == span.problem else status]))


def _was_active(fault: FaultFound, request: TracedRequest) -> bool:
    """Whether the fault was there at any time of the request."""
    if fault.start_s is None or request.done_s < fault.start_s:
        return False
    ends_s = [at_s for at_s in (fault.lost_s, fault.healed_s) if at_s is not None]
    return not ends_s or request.intended_s <= min(ends_s)


def _lines_by_trace(folder: RunFolder, traces: Traces) -> dict[str, list[LogLine]] | None:
    """What was logged of each request, by its trace id; None where no logs were kept."""
    logs = read_logs(folder)
    if logs is None or not logs.names:
        return None
    wanted = {request.trace_id for request in traces.requests}
    from_s = min(request.intended_s for request in traces.requests) - BEFORE_S
    to_s = max(request.done_s for request in traces.requests) + AFTER_S
    found: dict[str, list[LogLine]] = {}
    for line in logs.lines(logs.names, from_s, to_s):
        if line.trace in wanted:
            found.setdefault(line.trace, []).append(line)
    return found
