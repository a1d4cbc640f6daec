"""The traces of failed and slow requests, read from a store with Zipkin's interface after a run.

target/traces.json   the requests that were looked at, each with its spans

Nothing here is an error of the run: that there is no store, or that it does not answer, is written
down, for a request and its trace id are worth showing without its spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest
from math import isfinite
from statistics import median
from typing import Any

import pyarrow.compute as pc

from harness.faults.base import Engine
from harness.load.excerpt import without_secrets
from harness.model.clock import Clock
from harness.model.container import first_url
from harness.model.http import Http
from harness.model.span import TRACES_LABEL, Span, TracedRequest, Traces, read_spans
from harness.model.trace import trace_id
from harness.record.events import run_start
from harness.record.folder import RunFolder
from harness.record.traces import write_traces
from harness.record.wall_times import WallTimes

FAILED_MAX, SLOW_MAX, LOAD_MAX = 30, 10, 10
"""Of the canaries, those that failed and those that were slow; of the main load, failures."""
SLOW_FACTOR = 4.0
"""A canary's request is slow if it took that many times the median of its operation."""
ASK_S, READ_S = 1.0, 15.0
"""For one trace, and for all of them."""
TEXT_MAX = 120
"""Of a name or a tag of a span."""
NO_STORE = f"no service that runs has the label {TRACES_LABEL}, so none were read"
NOT_WITHIN = f"not all were read within {READ_S:.0f} s"
NO_TRACE = "the store has no trace of it: no part that makes spans has answered it"
Row = dict[str, Any]
"""One of TRACED."""


class TracesReading:
    """Chooses requests of the run by its record, and asks the store for each by its trace id."""

    name = "traces"

    def __init__(self, engine: Engine, http: Http, clock: Clock) -> None:
        self._engine, self._http, self._clock = engine, http, clock

    def take_before(self) -> None:
        """Nothing: the ids are this run's own."""

    def take_after(self, folder: RunFolder) -> None:
        """Read them; nothing is written where no request failed or was slow."""
        chosen, left_out = chosen_of(folder)
        if not chosen:
            return
        events = folder.read_events()
        requests, problem = self._with_spans(chosen, WallTimes(events, run_start(events)))
        write_traces(folder, Traces(requests=requests, left_out=left_out, problem=problem))

    def _with_spans(
        self, chosen: Sequence[TracedRequest], times: WallTimes
    ) -> tuple[list[TracedRequest], str]:
        url = first_url(self._engine.containers(), TRACES_LABEL)
        if not url:
            return list(chosen), NO_STORE
        found: list[TracedRequest] = []
        until_s = self._clock.now_s() + READ_S
        problem = ""
        for request in chosen:
            if not problem and self._clock.now_s() >= until_s:
                problem = NOT_WITHIN
            if not problem:
                request, problem = self._asked(url, request, times)
            found.append(request)
        return found, problem

    def _asked(
        self, url: str, request: TracedRequest, times: WallTimes
    ) -> tuple[TracedRequest, str]:
        """The request with its spans; and why the store need not be asked again, "" if it may."""
        answer = self._http.ask(f"{url}/api/v2/trace/{request.trace_id}", ASK_S)
        if answer.status == 404:
            return replace(request, problem=NO_TRACE), ""
        spans = read_spans(answer.json()) if answer.status == 200 else None
        if spans is None:
            return request, f"the store does not answer with traces: {answer.complaint}"
        placed = [_placed(span, times.since_start_s(wall_s)) for span, wall_s in spans]
        known = [span for span in placed if isfinite(span.start_s)]
        return replace(request, spans=known, problem="" if known else NO_TRACE), ""


def chosen_of(folder: RunFolder) -> tuple[list[TracedRequest], int]:
    """The requests to be looked at in order of time, and how many more there were."""
    canary: list[Row] = folder.read_traced("canary").to_pylist()
    main = folder.read_traced("main")
    is_wanted = pc.and_(main["is_sampled"], pc.not_equal(main["error"], ""))
    load: list[Row] = main.filter(is_wanted).to_pylist()
    failed = [row for row in canary if row["error"]]
    slow = _slow([row for row in canary if not row["error"]])
    groups = [
        ("canary", "failed", in_turn(failed), FAILED_MAX),
        ("canary", "slow", slow, SLOW_MAX),
        ("main", "failed", in_turn(load), LOAD_MAX),
    ]
    chosen = [
        _request(folder.run_id, stream, why, row)
        for stream, why, rows, limit in groups
        for row in rows[:limit]
    ]
    left_out = sum(max(0, len(rows) - limit) for _, _, rows, limit in groups)
    return sorted(chosen, key=lambda one: (one.intended_s, one.trace_id)), left_out


def in_turn(rows: Iterable[Row]) -> list[Row]:
    """The first of each operation and class of error, then the second of each, and so on.

    Else a thousand time-outs would hide the one wrong answer.
    """
    kinds: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["intended_s"], row["n"])):
        kinds.setdefault((row["op"], row["error"]), []).append(row)
    return [row for each in zip_longest(*kinds.values()) for row in each if row is not None]


def _slow(successes: Sequence[Row]) -> list[Row]:
    """Those that took far longer than others of their operation, the slowest first."""
    took_s: dict[str, list[float]] = {}
    for row in successes:
        took_s.setdefault(row["op"], []).append(_took_s(row))
    limits_s = {op: SLOW_FACTOR * median(times_s) for op, times_s in took_s.items()}
    slow = [row for row in successes if _took_s(row) > limits_s[row["op"]]]
    return sorted(slow, key=_took_s, reverse=True)


def _took_s(row: Row) -> float:
    took_s: float = row["done_s"] - row["intended_s"]
    return took_s


def _request(run_id: str, stream: str, why: str, row: Row) -> TracedRequest:
    return TracedRequest(
        trace_id=trace_id(run_id, stream, row["n"]),
        stream=stream,
        operation=row["op"],
        why=why,
        intended_s=row["intended_s"],
        done_s=row["done_s"],
        status=row["status"],
        error=row["error"],
        served_by=row["served_by"],
    )


def _placed(span: Span, start_s: float) -> Span:
    """The span in seconds since run start, without secrets that its texts may have."""
    tags = {key: _shown(value) for key, value in span.tags.items()}
    part, name = _shown(span.part), _shown(span.name)
    return replace(span, start_s=start_s, part=part, name=name, tags=tags)


def _shown(text: str) -> str:
    """Its beginning; cut only then, for half a secret is not recognised."""
    return without_secrets(text)[:TEXT_MAX]
