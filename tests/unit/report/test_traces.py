"""One click from a failed request to its trace, its log lines and the fault of that time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from made_up_run import make_run

from harness.aspects.findings_json import read_findings
from harness.model.log_line import LogLine
from harness.model.span import Span, TracedRequest, Traces
from harness.record.folder import RunFolder
from harness.record.logs import PartLogs, as_json, write_about, writing
from harness.record.traces import write_traces
from harness.report.render import render
from harness.report.traces import LINES_MAX, shown_traces, waterfall

TRACE = "0af7651916cd43dd8448eb211c80319c"


def request(trace: str = TRACE, **changes: Any) -> TracedRequest:
    values: dict[str, Any] = {
        "trace_id": trace, "stream": "canary", "operation": "create", "why": "failed",
        "intended_s": 40.0, "done_s": 41.0, "status": 503, "error": "wrong_status",
        "served_by": "app-2",
    }  # fmt: skip
    return TracedRequest(**{**values, **changes})


def span(id_: str, parent: str, part: str, start_s: float, took_s: float, **tags: str) -> Span:
    return Span(
        id=id_, parent=parent, part=part, name="get", start_s=start_s, duration_s=took_s, tags=tags
    )


SPANS = (
    span("e", "of the client", "edge", 40.1, 0.8),
    span("l", "e", "lb", 40.2, 0.7),
    span("a", "l", "app-2", 40.3, 0.6, **{"http.status_code": "503", "error": "503"}),
    span("r", "a", "app-2", 40.3, 0.1, outcome="breaker open", error="breaker open"),
    span("d", "a", "app-2", 40.5, 0.4, node="db-1", outcome="ok"),
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path, series={})


def page(folder: RunFolder, *requests: TracedRequest, **more: Any) -> str:
    write_traces(folder, Traces(requests=requests, **more))
    result = folder.read_json("result.json")
    return render(folder, read_findings(folder), result).read_text(encoding="utf-8")


def log(folder: RunFolder, *lines: tuple[float, str, str]) -> None:
    """Lines of app-2: when, of which trace, what."""
    with writing(folder, "app-2") as writer:
        for t_s, trace, message in lines:
            line = LogLine(t_s=t_s, part="app-2", level="error", message=message, trace=trace)
            writer.write(as_json(line))
    write_about(folder, [PartLogs(part="app-2", lines=len(lines), bytes=1)])


def test_a_waterfall_begins_with_the_client_and_has_each_part_below_who_asked() -> None:
    bars = list(waterfall(request(spans=SPANS)))
    assert [(bar.part, bar.depth) for bar in bars] == [
        ("client", 0), ("edge", 1), ("lb", 2), ("app-2", 3), ("app-2", 4), ("app-2", 4),
    ]  # fmt: skip
    assert [round(bar.left, 6) for bar in bars] == [0.0, 0.1, 0.2, 0.3, 0.3, 0.5]
    assert [round(bar.width, 6) for bar in bars] == [1.0, 0.8, 0.7, 0.6, 0.1, 0.4]
    assert [bar.notes for bar in bars] == ["wrong_status", "", "", "503", "breaker open", "db-1"]
    assert [bar.is_bad for bar in bars] == [True, False, False, True, True, False]


def test_work_after_the_answer_is_within_the_picture() -> None:
    late = span("f", "a", "app-2", 41.0, 1.0)
    bars = list(waterfall(request(spans=[*SPANS, late])))
    assert (bars[0].width, bars[-1].left, bars[-1].width) == (0.5, 0.5, 0.5)


def test_spans_in_a_circle_are_all_shown_once() -> None:
    spans = [span("a", "b", "x", 40.1, 0.1), span("b", "a", "y", 40.2, 0.1)]
    assert [bar.part for bar in waterfall(request(spans=spans))] == ["client", "x", "y"]
    own = [span("a", "a", "x", 40.1, 0.1)]
    assert [bar.depth for bar in waterfall(request(spans=own))] == [0, 1]


def test_one_click_shows_trace_lines_and_fault(folder: RunFolder) -> None:
    log(folder, (40.4, TRACE, "<b>no</b> database"), (40.5, "1" * 32, "another request"))
    text = page(folder, request(spans=SPANS))
    [opened] = re.findall(rf'<details class="trace" id="trace-{TRACE}">.*?</details>', text, re.S)
    assert "create" in opened.partition("</summary>")[0]
    assert "wrong status 503" in opened
    assert opened.count("<rect") == 6
    assert "breaker open" in opened
    assert "&lt;b&gt;no&lt;/b&gt; database" in opened
    assert "another request" not in opened
    assert 'href="#faults"' in opened
    assert f"harness logs {folder.run_id} --trace {TRACE}" in opened
    assert text.index('id="faults"') < text.index('id="traces"')
    assert 'href="http' not in opened


@pytest.mark.parametrize(("at_s", "is_active"), [(10.0, False), (40.0, True), (1e5, False)])
def test_a_fault_is_named_only_if_it_was_there_then(
    folder: RunFolder, at_s: float, is_active: bool
) -> None:
    [fault, *_] = read_findings(folder).run.faults
    assert fault.start_s is not None
    assert fault.healed_s is not None
    assert 10.5 < fault.start_s < 40 < fault.healed_s < 1e5
    text = page(folder, request(intended_s=at_s, done_s=at_s + 0.5))
    assert ("No fault was active." in text) is not is_active


def test_lines_beyond_a_few_are_counted(folder: RunFolder) -> None:
    log(folder, *((40.0 + n / 100, TRACE, f"line {n}") for n in range(LINES_MAX + 3)))
    write_traces(folder, Traces(requests=[request()]))
    found = shown_traces(folder, read_findings(folder).run)
    assert found is not None
    assert (len(found.requests[0].lines), found.requests[0].more_lines) == (LINES_MAX, 3)


def test_what_is_missing_is_said(folder: RunFolder) -> None:
    why = "no service has the label"
    text = page(folder, request(), problem=why, left_out=12)
    assert f'<p class="note">Traces: {why}.</p>' in text
    assert text.count(why) == 1
    assert "No logs were kept." in text
    assert "12 more failed or were slow" in text
    log(folder, (40.4, "1" * 32, "another request"))
    assert "No line of a log names it." in page(folder, request(problem="no trace of it"))


def test_a_run_without_traces_has_no_such_section(folder: RunFolder) -> None:
    result = folder.read_json("result.json")
    text = render(folder, read_findings(folder), result).read_text(encoding="utf-8")
    assert 'id="traces"' not in text
    assert 'id="traces"' not in page(folder)
