"""What a store of traces (Zipkin, version 2 of its interface) knows of one request of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

TRACES_LABEL = "harness.probe.traces"
"""The label of the store: the port at which it is asked."""
SPANS_MAX, READ_MAX = 100, 4_096
"""How many spans of a trace, and how much of each text, are read."""
TAGS = (
    *("http.status_code", "http.response.status_code", "http.method", "http.request.method"),
    *("http.route", "cache", "db.system", "db.system.name", "route", "node", "outcome", "error"),
)
"""The only tags that are kept: statements and whole URLs may hold secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Some work of one part for a request; `parent` is the id of the span that asked for it.

    `start_s` is in seconds since run start, by the wall clock of the part.
    """

    id: str
    parent: str = ""
    part: str
    name: str
    start_s: float
    duration_s: float
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """What went wrong in it, "" for nothing."""
        return self.tags.get("error", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRequest:
    """One request of a run, as the client recorded it, and its spans in order of their starts.

    `why` it was looked at: `failed` or `slow`. `problem` says why there are no spans, or not all.
    """

    trace_id: str
    stream: str
    operation: str
    why: str
    intended_s: float
    done_s: float
    status: int = 0
    error: str = ""
    served_by: str = ""
    spans: Sequence[Span] = ()
    problem: str = ""

    @property
    def took_s(self) -> float:
        """As the client saw it, from when it was due."""
        return self.done_s - self.intended_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """The requests of a run that were looked at; `left_out` are those that were too many.

    `problem` says why the store was not asked for all of them, "" if it was.
    """

    requests: Sequence[TracedRequest] = ()
    left_out: int = 0
    problem: str = ""


def read_spans(document: Any) -> list[tuple[Span, float]] | None:
    """The spans of one trace, each with its start in seconds since the epoch; None for no trace.

    Those without a time are left out, and those beyond SPANS_MAX. Their `start_s` is not known yet.
    """
    if not isinstance(document, list):
        return None
    try:
        found = [_Span.model_validate(one) for one in document]
    except ValidationError:
        return None
    merged = {one.id: one for one in sorted(found, key=lambda one: one.duration)}
    timed = sorted((one for one in merged.values() if one.timestamp), key=lambda one: one.timestamp)
    return [(_as_span(one), one.timestamp / 1e6) for one in timed[:SPANS_MAX]]


def _as_span(one: _Span) -> Span:
    tags = {name: one.tags[name][:READ_MAX] for name in TAGS if name in one.tags}
    part = one.local_endpoint.service_name or one.remote_endpoint.service_name
    return Span(
        id=one.id,
        parent=one.parent_id or "",
        part=part[:READ_MAX],
        name=one.name[:READ_MAX],
        start_s=0.0,
        duration_s=one.duration / 1e6,
        tags=tags,
    )


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Endpoint(_Read):
    service_name: str = Field(default="", alias="serviceName")


class _Span(_Read):
    id: str = Field(pattern="^[0-9a-f]{1,16}$")
    parent_id: str | None = Field(default=None, alias="parentId", max_length=16)
    name: str = ""
    timestamp: int = Field(default=0, ge=0, lt=2**62)  # microseconds since the epoch
    duration: int = Field(default=0, ge=0, lt=2**62)  # microseconds
    local_endpoint: _Endpoint = Field(default=_Endpoint(), alias="localEndpoint")
    remote_endpoint: _Endpoint = Field(default=_Endpoint(), alias="remoteEndpoint")
    tags: dict[str, str] = Field(default_factory=dict)
