"""junit.xml: the shape that CI systems read, and never green where the verdict is not PASS."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import TargetError
from harness.model.verdict import RunStatus
from harness.result import junit_of_error, junit_of_group, junit_xml

ORDER = ("properties", "testcase", "system-out", "system-err")
KINDS = ("failure", "error", "skipped")
OUTCOMES = st.sampled_from(["pass", "fail", "inconclusive"])
WORDS = st.text(max_size=12)


def parsed(text: str) -> ET.Element:
    """The suite, as the schemas of Ant and Jenkins ask for it: order, attributes, counts."""
    suite = ET.fromstring(text)
    assert suite.tag == "testsuite"
    assert {"name", "hostname", "tests", "failures", "errors", "skipped", "time"} <= set(
        suite.keys()
    )
    tags = [child.tag for child in suite]
    assert tags == sorted(tags, key=ORDER.index)
    assert tags.count("properties") == tags.count("system-out") == tags.count("system-err") == 1
    cases = suite.findall("testcase")
    for case in cases:
        assert set(case.keys()) == {"name", "classname", "time"}
        assert len(case) <= 1
        for child in case:
            assert child.tag in KINDS
            assert {"message", "type"} == set(child.keys())
    counts = {kind: len(suite.findall(f"testcase/{kind}")) for kind in KINDS}
    assert int(suite.get("tests", "")) == len(cases)
    assert int(suite.get("failures", "")) == counts["failure"]
    assert int(suite.get("errors", "")) == counts["error"]
    assert int(suite.get("skipped", "")) == counts["skipped"]
    total_s = sum(float(case.get("time", "")) for case in cases)
    assert float(suite.get("time", "")) == pytest.approx(total_s, abs=0.001)
    return suite


def kinds(suite: ET.Element) -> dict[str, str]:
    """Case -> what is the matter with it, "" for nothing."""
    return {
        case.get("name", ""): case[0].tag if len(case) else "" for case in suite.findall("testcase")
    }


def result(**changes: Any) -> dict[str, Any]:
    return {
        "experiment": "x", "title": "A claim", "run_id": "20270101-x", "status": "completed",
        "verdict": "pass", "reasons": [], "judgements": [judgement("pass")],
        "started_at": "2027-01-01T12:00:00+02:00", "lasted_s": 71.5, "command": "harness run x",
        **changes,
    }  # fmt: skip


def judgement(outcome: str, text: str = "p95 < 1s") -> dict[str, Any]:
    code = {"pass": "", "fail": "response_time_exceeded"}.get(outcome, "too_few_samples")
    return {
        "expectation_id": "fault.redirect.p95", "text": text, "outcome": outcome, "value": 1.0,
        "limit": 1.0, "unit": "s", "evidence": "1 s over 9 requests", "code": code,
    }  # fmt: skip


def reason(code: str, text: str = "why") -> dict[str, str]:
    return {"code": code, "text": text}


def test_a_pass_says_when_how_long_and_where_the_report_is() -> None:
    suite = parsed(junit_xml(result(), "20270101-x/index.html"))
    assert kinds(suite) == {"run: finishes": "", "fault.redirect: p95 < 1s": ""}
    assert suite.get("timestamp") == "2027-01-01T10:00:00"
    assert suite.get("time") == "71.500"
    properties = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert properties == {
        "run_id": "20270101-x", "status": "completed", "verdict": "pass",
        "command": "harness run x", "report": "20270101-x/index.html",
    }  # fmt: skip
    assert suite.findtext("system-out") == "PASS: A claim\nreport: 20270101-x/index.html"


def test_a_safeguard_is_a_failure_of_its_own_and_the_run_an_error() -> None:
    tripped = reason("safeguard_tripped", "a safeguard aborted the run: errors")
    suite = parsed(junit_xml(result(status="aborted", verdict="fail", reasons=[tripped])))
    assert kinds(suite) == {
        "run: finishes": "error", "run: safeguard_tripped": "failure",
        "fault.redirect: p95 < 1s": "",
    }  # fmt: skip
    assert (suite.get("errors"), suite.get("failures")) == ("1", "1")
    [failure] = suite.findall("testcase/failure")
    assert (failure.get("type"), failure.text) == ("safeguard_tripped", tripped["text"])
    of_a_part = result(status="aborted", verdict="inconclusive", reasons=[tripped])
    assert kinds(parsed(junit_xml(of_a_part)))["run: finishes"] == "error"


@pytest.mark.parametrize("status", ["interrupted", "error"])
def test_a_run_without_its_end_is_an_error(status: str) -> None:
    found = result(
        status=status, verdict="inconclusive", judgements=[judgement("inconclusive")],
        reasons=[reason("run_interrupted", f"the run is {status}: no engine")],
    )  # fmt: skip
    suite = parsed(junit_xml(found))
    assert kinds(suite) == {"run: finishes": "error", "fault.redirect: p95 < 1s": "error"}
    assert suite.find("testcase/error").text == f"the run is {status}: no engine"


@pytest.mark.parametrize("status", ["aborted", "interrupted", "error"])
@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
def test_a_run_that_did_not_finish_is_red_whatever_else_is_right(status: str, verdict: str) -> None:
    for judgements in ([], [judgement("pass")]):
        suite = parsed(junit_xml(result(status=status, verdict=verdict, judgements=judgements)))
        assert (suite.get("errors"), suite.get("skipped")) == ("1", "0")
        assert kinds(suite)["run: finishes"] == "error"


def test_each_reason_of_the_run_is_a_case_and_an_expectations_own_is_not_told_twice() -> None:
    mine = "fault.redirect: p95 < 1s, but 1 s over 9 requests"
    found = result(
        verdict="inconclusive",
        judgements=[judgement("inconclusive")],
        reasons=[
            reason("fault_not_proven", "kill app-1"),
            reason("fault_not_proven", "kill app-2"),
            reason("load_unhealthy", "sent late"),
            reason("machine_disturbed", "a reason that comes later"),
            reason("too_few_samples", mine),
        ],
    )
    suite = parsed(junit_xml(found))
    assert kinds(suite) == {
        "run: finishes": "", "run: fault_not_proven": "error",
        "run: load_unhealthy": "error", "run: machine_disturbed": "error",
        "fault.redirect: p95 < 1s": "error",
    }  # fmt: skip
    assert suite.find("testcase/error").text == "kill app-1\nkill app-2"


def test_a_reason_that_fails_the_run_by_itself_is_a_failure() -> None:
    found = result(verdict="fail", reasons=[reason("instrument_died", "app-3 was killed")])
    assert kinds(parsed(junit_xml(found)))["run: instrument_died"] == "failure"


def test_a_surprise_that_fails_the_run_is_a_failure_beside_another() -> None:
    died = reason("container_died", "app-3 was killed")
    gone = reason("probe_gap", "nobody looked")
    row = {**died, "at_s": 3.0, "who": "app-3", "phase": "fault", "outcome": "fail"}
    found = result(
        verdict="fail", judgements=[judgement("fail")], reasons=[died, gone], surprises=[row]
    )
    seen = kinds(parsed(junit_xml(found)))
    assert seen["run: container_died"] == "failure"
    assert seen["run: probe_gap"] == "error"


def test_a_remark_beside_a_pass_is_not_red() -> None:
    suite = parsed(junit_xml(result(reasons=[reason("load_unhealthy", "sent late")])))
    assert kinds(suite)["run: load_unhealthy"] == "skipped"


def test_a_result_of_an_older_version() -> None:
    old = result()
    for key in ("started_at", "lasted_s", "command"):
        del old[key]
    suite = parsed(junit_xml(old))
    assert suite.get("timestamp") is None
    assert suite.get("time") == "0.000"


def test_a_refused_start() -> None:
    error = TargetError("x is not healthy", "harness status")
    suite = parsed(junit_of_error("x", "A claim", error))
    assert kinds(suite) == {"run: finishes": "error"}
    [found] = suite.findall("testcase/error")
    assert (found.get("type"), found.text) == (
        "TargetError",
        "x is not healthy\ntry: harness status",
    )
    assert suite.get("timestamp")


def group(verdict: str, outcome: str, reasons: list[dict[str, str]]) -> dict[str, Any]:
    figure = {
        "id": "fault.redirect.p95", "phase": "fault", "subject": "redirect", "text": "p95 < 1s",
        "outcome": outcome, "evidence": "2 s",
    }  # fmt: skip
    return {
        "experiment": "x", "title": "A claim", "run_ids": ["a", "b"], "verdict": verdict,
        "reasons": reasons, "figures": [figure],
    }  # fmt: skip


def test_a_group_with_an_expectation_that_failed_and_a_run_that_was_aborted() -> None:
    why = "fault.redirect: p95 < 1s, but missed in 1 of 2 runs; worst: 2 s"
    reasons = [
        reason("response_time_exceeded", why),
        reason("safeguard_tripped", "b ended as aborted"),
        reason("runs_missing", "2 of 3 runs have a result"),
    ]
    suite = parsed(junit_of_group(group("fail", "fail", reasons), "g/index.html"))
    assert kinds(suite) == {
        "run: safeguard_tripped": "failure", "run: runs_missing": "error",
        "fault.redirect: p95 < 1s": "failure",
    }  # fmt: skip
    types = [case.get("type") for case in suite.iter("failure")]
    assert types == ["safeguard_tripped", "response_time_exceeded"]
    assert "g/index.html" in suite.findtext("system-out", "")
    assert set(kinds(parsed(junit_of_group(group("pass", "pass", [])))).values()) == {""}
    unproven = group("inconclusive", "inconclusive", reasons[1:2])
    assert set(kinds(parsed(junit_of_group(unproven))).values()) == {"error"}


@given(
    verdict=OUTCOMES,
    status=st.sampled_from(get_args(RunStatus)),
    outcomes=st.lists(OUTCOMES, max_size=4),
    reasons=st.lists(
        st.tuples(st.sampled_from(["load_unhealthy", "safeguard_tripped", "new"]), WORDS)
    ),
    texts=WORDS,
)
def test_it_is_green_if_and_only_if_the_verdict_is_a_pass(
    verdict: str, status: str, outcomes: list[str], reasons: list[tuple[str, str]], texts: str
) -> None:
    """Whatever the parts say, and whatever the target's words are."""
    found = result(
        verdict=verdict, status=status, title=texts,
        judgements=[judgement(outcome, f"{texts} {n}") for n, outcome in enumerate(outcomes)],
        reasons=[reason(*each) for each in reasons],
    )  # fmt: skip
    suite = parsed(junit_xml(found))
    is_red = suite.get("failures") != "0" or suite.get("errors") != "0"
    assert is_red == (verdict != "pass" or status != "completed")
    if verdict == "fail":
        assert suite.get("failures") != "0" or suite.get("errors") != "0"
    as_group = group(verdict, outcomes[0] if outcomes else "pass", found["reasons"])
    grouped = parsed(junit_of_group(as_group))
    assert (grouped.get("failures"), grouped.get("errors")) == ("0", "0") or verdict != "pass"
    assert (grouped.get("failures"), grouped.get("errors")) != ("0", "0") or verdict == "pass"
