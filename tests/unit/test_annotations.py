"""What GitHub shows of a run: escaped, at most ten lines, the gravest first."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import EngineError
from harness.result import junit_of_error
from harness.result.annotations import (
    Annotation,
    of_junit,
    of_problems,
    of_result,
    workflow_commands,
)


def _result(verdict: str, *texts: str, status: str = "completed") -> dict[str, Any]:
    reasons = [{"code": "c", "text": text} for text in texts]
    return {"experiment": "x", "verdict": verdict, "status": status, "reasons": reasons}


def _lines(*found: Annotation) -> list[str]:
    return list(workflow_commands(found))


@pytest.mark.parametrize(
    ("verdict", "status", "line"),
    [
        ("fail", "completed", "::error title=FAIL x::c: why"),
        ("inconclusive", "completed", "::warning title=INCONCLUSIVE x::c: why"),
        ("pass", "completed", "::notice title=PASS x::c: why"),
        ("pass", "error", "::error title=ERROR x::c: why"),
        ("inconclusive", "interrupted", "::error title=INTERRUPTED x::c: why"),
        ("fail", "aborted", "::error title=ABORTED x::c: why"),
    ],
)
def test_each_reason_is_a_line_as_grave_as_the_exit_code(
    verdict: str, status: str, line: str
) -> None:
    assert _lines(*of_result(_result(verdict, "why", status=status))) == [line]


def test_a_run_that_did_not_come_to_its_end_is_never_without_a_line() -> None:
    found = of_result(_result("pass", status="error"))
    assert _lines(*found) == ["::error title=ERROR x::the run is error"]
    assert of_result(_result("pass")) == []


def test_the_report_is_named() -> None:
    [found] = of_result(_result("fail", "why"), "reports/1/index.html")
    assert found.text == "c: why (report: reports/1/index.html)"


def test_what_a_target_says_starts_no_command() -> None:
    text = "50% of\r\n::add-mask::x\x1b[31m"
    [line] = _lines(Annotation("error", "a:b,c%\n", text, "d,e:f.yaml", 3))
    assert line == (
        "::error file=d%2Ce%3Af.yaml,line=3,title=a%3Ab%2Cc%25%0A::50%25 of%0D%0A::add-mask::x[31m"
    )


def test_a_long_text_is_cut() -> None:
    [line] = _lines(Annotation("notice", "t", "x" * 1001))
    assert line == f"::notice title=t::{'x' * 999}…"
    assert _lines(Annotation("notice", "t", "x" * 1000)) == [f"::notice title=t::{'x' * 1000}"]


@pytest.mark.parametrize(("count", "more"), [(10, 0), (11, 2), (25, 16)])
def test_ten_at_most_and_the_last_one_says_how_many_more(count: int, more: int) -> None:
    lines = _lines(*of_result(_result("fail", *map(str, range(count)))))
    assert len(lines) == 10
    assert lines[8] == "::error title=FAIL x::c: 8"
    wanted = f"::error title=harness::{more} more: see the job's summary, or the reports"
    assert lines[9] == (wanted if more else "::error title=FAIL x::c: 9")


def test_the_gravest_come_first_and_are_never_those_that_are_left_out() -> None:
    remarks = of_result(_result("pass", *map(str, range(12))))
    doubts = of_result(_result("inconclusive", "doubt"))
    lines = _lines(*remarks, *doubts, *of_result(_result("fail", "first", "second")))
    assert lines[:3] == [
        "::error title=FAIL x::c: first",
        "::error title=FAIL x::c: second",
        "::warning title=INCONCLUSIVE x::c: doubt",
    ]
    assert lines[9] == "::notice title=harness::6 more: see the job's summary, or the reports"


def test_a_run_that_was_refused_is_known_by_its_junit_file() -> None:
    text = junit_of_error("x", "A claim", EngineError("no engine", "start it"))
    assert of_junit(text) == [Annotation("error", "ERROR x", "no engine\ntry: start it")]


def test_a_problem_of_a_file_is_shown_at_its_line() -> None:
    problems = ["line 12: faults[0].at: no phase x", "not UTF-8"]
    assert of_problems("chaos/a.yaml", problems) == [
        Annotation("error", "invalid experiment", "faults[0].at: no phase x", "chaos/a.yaml", 12),
        Annotation("error", "invalid experiment", "not UTF-8", "chaos/a.yaml"),
    ]
