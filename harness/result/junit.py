"""JUnit XML for CI: green where the verdict is PASS, and red wherever it is not.

Many systems show `skipped` as green, so what is INCONCLUSIVE is an `error`: JUnit's word for a
test that could not be carried out. A `failure` is a claim that was seen not to hold.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from harness.errors import HarnessError

Kind = Literal["", "failure", "error", "skipped"]
KINDS: dict[str, Kind] = {"pass": "", "fail": "failure", "inconclusive": "error"}
THE_END = "run: finishes"
ENDS = ("safeguard_tripped", "run_interrupted", "not_steady")
"""Codes of the reasons why a run did not."""
TRIPPED = "safeguard_tripped"
"""The one that is also a failure of its own: it is what the target did."""


@dataclass(frozen=True)
class Case:
    """One test case; `kind` is "" where it is green."""

    name: str
    kind: Kind = ""
    code: str = ""
    text: str = ""
    time_s: float = 0.0


def junit_xml(result: Mapping[str, Any], page: str = "") -> str:
    """A test case for the end of the run, each reason of the run, and each expectation."""
    reasons = list(_of_the_run(result["reasons"], result["judgements"]))
    failing = {row["code"] for row in result.get("surprises", ()) if row["outcome"] == "fail"}
    of_the_end = [code for code in ENDS if code != TRIPPED]
    others = _reasons(reasons, {*failing, TRIPPED}, told=of_the_end)
    cases = [_end(result), *others, *_judgements(result["judgements"])]
    is_cut_off = result["status"] != "completed" and result["verdict"] == "pass"
    verdict = "inconclusive" if is_cut_off else result["verdict"]
    return _xml(result, _agreeing(cases, verdict), page)


def junit_of_group(group: Mapping[str, Any], page: str = "") -> str:
    """A test case for each expectation, on its worst run, and for each reason of the runs."""
    judgements = [
        {**figure, "expectation_id": figure["id"], "code": _code(figure, group["reasons"])}
        for figure in group["figures"]
    ]
    reasons = list(_of_the_run(group["reasons"], judgements))
    facts = {**group, "run_id": ", ".join(group["run_ids"])}
    failing = {TRIPPED} if group["verdict"] == "fail" else set[str]()
    cases = [*_reasons(reasons, failing), *_judgements(judgements)]
    return _xml(facts, _agreeing(cases, group["verdict"]), page)


def junit_of_error(experiment: str, title: str, error: HarnessError) -> str:
    """The error of a run that did not start, or has no result."""
    text = f"{error.message}\ntry: {error.hint}" if error.hint else error.message
    case = Case(THE_END, "error", type(error).__name__, text)
    now = datetime.now(UTC).isoformat()
    facts = {"experiment": experiment, "title": title, "verdict": "error", "started_at": now}
    return _xml({**facts, "reasons": [{"code": case.code, "text": error.message}]}, [case], "")


def _end(result: Mapping[str, Any]) -> Case:
    """Whether the run finished; it has the duration of the whole run.

    One that did not is an error for every reason: what was left could not be tested.
    """
    time_s = float(result.get("lasted_s") or 0.0)
    if result["status"] == "completed":
        return Case(THE_END, time_s=time_s)
    found = next((r for r in result["reasons"] if r["code"] in ENDS), None)
    code = found["code"] if found else "run_interrupted"
    text = found["text"] if found else f"the run ended as {result['status']}"
    return Case(THE_END, "error", code, text, time_s)


def _of_the_run(
    reasons: Sequence[Mapping[str, str]], judgements: Sequence[Mapping[str, Any]]
) -> Iterator[Mapping[str, str]]:
    """The reasons that are not one expectation's."""
    said = tuple(f"{_name(item)}, but " for item in judgements)
    return (reason for reason in reasons if not reason["text"].startswith(said))


def _reasons(
    reasons: Sequence[Mapping[str, str]], failing: Set[str], told: Sequence[str] = ()
) -> Iterator[Case]:
    """A case for each code, in their order, with the texts of all its reasons.

    Codes that are `failing` fail the run by themselves, others leave it without evidence.
    """
    by_code: dict[str, list[str]] = {}
    for reason in reasons:
        if reason["code"] not in told:
            by_code.setdefault(reason["code"], []).append(reason["text"])
    for code, texts in by_code.items():
        kind: Kind = "failure" if code in failing else "error"
        yield Case(f"run: {code}", kind, code, "\n".join(texts))


def _judgements(judgements: Sequence[Mapping[str, Any]]) -> Iterator[Case]:
    for item in judgements:
        yield Case(_name(item), KINDS[item["outcome"]], item["code"], item["evidence"])


def _name(judgement: Mapping[str, Any]) -> str:
    return f"{judgement['expectation_id'].rpartition('.')[0]}: {judgement['text']}"


def _code(figure: Mapping[str, Any], reasons: Sequence[Mapping[str, str]]) -> str:
    where = f"{figure['phase']}.{figure['subject']}: {figure['text']}, but "
    return next((r["code"] for r in reasons if r["text"].startswith(where)), "not_measured")


def _agreeing(cases: Sequence[Case], verdict: str) -> list[Case]:
    """The cases, red if and only if the verdict is not `pass`.

    A reason that comes with a PASS is a remark. A FAIL that no case explains is a reason's.
    """
    if verdict == "pass":
        return [replace(case, kind="skipped") if case.kind else case for case in cases]
    kinds = {case.kind for case in cases}
    if verdict == "fail" and "failure" not in kinds:
        cases = [replace(c, kind="failure") if _is_reason(c) and c.kind else c for c in cases]
    if not kinds & {"failure", "error"}:
        return [*cases, Case("verdict", KINDS[verdict], verdict, f"the verdict is {verdict}")]
    return list(cases)


def _is_reason(case: Case) -> bool:
    return case.name.startswith("run: ") and case.name != THE_END


def _xml(facts: Mapping[str, Any], cases: Sequence[Case], page: str) -> str:
    """In the order and with the attributes that the schemas of Jenkins and of Ant ask for."""
    name = _clean(facts["experiment"])
    suite = ET.Element("testsuite", name=name, hostname="localhost")
    counts = {"tests": len(cases)}
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        counts[attribute] = sum(case.kind == kind for case in cases)
    suite.attrib.update({key: str(value) for key, value in counts.items()})
    suite.set("time", f"{sum(case.time_s for case in cases):.3f}")
    if started_at := facts.get("started_at"):
        suite.set("timestamp", _timestamp(started_at))
    properties = ET.SubElement(suite, "properties")
    for key in ("run_id", "status", "verdict", "command"):
        if value := facts.get(key):
            ET.SubElement(properties, "property", name=key, value=_clean(str(value)))
    if page:
        ET.SubElement(properties, "property", name="report", value=_clean(page))
    for case in cases:
        _add_case(suite, name, case)
    ET.SubElement(suite, "system-out").text = _clean(_words(facts, page))
    ET.SubElement(suite, "system-err")
    ET.indent(suite)
    text = ET.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _add_case(suite: ET.Element, classname: str, case: Case) -> None:
    facts = {"name": _clean(case.name), "classname": classname, "time": f"{case.time_s:.3f}"}
    element = ET.SubElement(suite, "testcase", facts)
    if case.kind:
        text = _clean(case.text)
        ET.SubElement(element, case.kind, message=text, type=case.code).text = text


def _words(facts: Mapping[str, Any], page: str) -> str:
    """What a person reads first, and where the rest is."""
    lines = [f"{facts['verdict'].upper()}: {facts['title']}"]
    lines += [f"{reason['code']}: {reason['text']}" for reason in facts["reasons"]]
    return "\n".join([*lines, *([f"report: {page}"] if page else [])])


def _timestamp(started_at: str) -> str:
    """The start in UTC, without a zone: so the schemas want it."""
    return f"{datetime.fromisoformat(started_at).astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 forbids."""
    return "".join(
        c
        for c in text
        if c in "\t\n" or " " <= c <= "\ud7ff" or "\udfff" < c < "\ufffe" or c > "\uffff"
    )
