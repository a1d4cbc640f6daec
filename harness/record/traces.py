"""The traces that were read after a run: target/traces.json."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.model.span import Span, TracedRequest, Traces
from harness.record.damage import DAMAGED, check_row, understood
from harness.record.folder import RunFolder

FILE = "target/traces.json"
_REQUEST = {"trace_id": str, "stream": str, "operation": str, "why": str, "intended_s": float}
_SPAN = {"id": str, "part": str, "name": str, "start_s": float, "duration_s": float}


def write_traces(folder: RunFolder, traces: Traces) -> None:
    """Write them; RecordError if they cannot be written."""
    folder.write_json(FILE, {"schema_version": 1, **asdict(traces)})


def read_traces(folder: RunFolder) -> Traces | None:
    """What was read; None for a run of which none were looked for, as of earlier versions."""
    if not folder.has(FILE):
        return None
    value = folder.read_json(FILE, {"schema_version": int, "requests": list})
    with understood(folder.path / FILE, DAMAGED):
        requests = tuple(_request(row) for row in value["requests"])
        left_out, problem = int(value.get("left_out") or 0), str(value.get("problem") or "")
    return Traces(requests=requests, left_out=left_out, problem=problem)


def _request(row: Any) -> TracedRequest:
    check_row(row, _REQUEST)
    return TracedRequest(**{**row, "spans": tuple(_span(one) for one in row.get("spans") or ())})


def _span(row: Any) -> Span:
    check_row(row, _SPAN)
    return Span(**row)
