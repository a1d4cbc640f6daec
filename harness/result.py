"""The verdict and figures that scripts rely on: result.json, its schema, JUnit XML, Markdown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.model.experiment import Experiment
from harness.model.surprise import SURPRISES
from harness.model.verdict import Judgement, Verdict

SCHEMA_VERSION = 1
SHOWN_MAX = 8
"""How many surprises are listed where there is little room."""
_FAULT_KEYS = ("fault", "kind", "target", "phase", "start_s", "effect_s", "healed_s", "detail")


def make_result(
    experiment: Experiment, findings: Mapping[str, Any], verdict: Verdict
) -> dict[str, Any]:
    """The contract with scripts; times in seconds since run start, shares from 0 to 1."""
    keys = ("run_id", "status", "phases", "operations", "recovery", "writes", "breakers")
    shares = ("traffic_share", "replica_share", "cache_share", "rotation", "target", "load")
    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": experiment.name,
        "title": experiment.title,
        "tags": list(experiment.tags),
        "verdict": verdict.outcome,
        "reasons": [asdict(reason) for reason in verdict.reasons],
        "judgements": [asdict(judgement) for judgement in verdict.judgements],
        "faults": [
            {**{key: fault[key] for key in _FAULT_KEYS}, **_flags(fault)}
            for fault in findings["faults"]
        ],
        "surprises": list(findings.get("surprises") or ()),
        **{key: findings[key] for key in (*keys, *shares)},
    }


def _flags(fault: Mapping[str, Any]) -> dict[str, bool]:
    return {"proven": bool(fault["proven"]), "healed": bool(fault["healed"])}


def junit_xml(result: Mapping[str, Any]) -> str:
    """One test case per expectation, for CI."""
    judgements = result["judgements"]
    counts = {
        "tests": len(judgements),
        "failures": sum(item["outcome"] == "fail" for item in judgements),
        "errors": 0,
        "skipped": sum(item["outcome"] == "inconclusive" for item in judgements),
    }
    suite = ET.Element("testsuite", name=result["experiment"])
    suite.attrib.update({key: str(value) for key, value in counts.items()})
    for item in judgements:
        name = f"{item['expectation_id'].rpartition('.')[0]}: {item['text']}"
        case = ET.SubElement(suite, "testcase", classname=result["experiment"], name=_clean(name))
        tag = {"fail": "failure", "inconclusive": "skipped"}.get(item["outcome"])
        if tag:
            text = _clean(item["evidence"])
            ET.SubElement(case, tag, message=text, type=item["code"])
    ET.indent(suite)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"
    )


def summary_markdown(result: Mapping[str, Any]) -> str:
    """The verdict, its reasons and every expectation, for a pull request."""
    lines = [f"## {result['verdict'].upper()}: {_cell(result['title'])}", ""]
    lines += [f"- `{reason['code']}` {_cell(reason['text'])}" for reason in result["reasons"]]
    lines += _surprises(result.get("surprises") or ())
    lines += ["", "| | phase | expected | measured |", "|---|---|---|---|"]
    marks = {"pass": "✓ pass", "fail": "✗ FAIL", "inconclusive": "? inconclusive"}
    for item in result["judgements"]:
        where = item["expectation_id"].rpartition(".")[0]
        cells = (marks[item["outcome"]], where, _cell(item["text"]), _cell(item["evidence"]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Run `{result['run_id']}`", ""])


def _surprises(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What happened that no fault explains, the gravest first."""
    if not rows:
        return []
    lines = ["", "No fault explains:", ""]
    lines += [
        f"- {row['at_s']:.1f} s: {_cell(row['text'])} (`{row['code']}`)" for row in rows[:SHOWN_MAX]
    ]
    more = len(rows) - SHOWN_MAX
    return [*lines, f"- {more} more in result.json"] if more > 0 else lines


def _cell(text: str) -> str:
    text = text.replace("|", "\\|").replace("\n", " ")
    return text.replace("<", "&lt;").replace("[", "\\[")  # no tag, link or image


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 forbids."""
    return "".join(c for c in text if c in "\t\n" or " " <= c <= "\ud7ff" or c > "\udfff")


def result_schema() -> dict[str, Any]:
    """A JSON Schema of result.json."""
    number = {"type": ["number", "null"]}
    text, flag, anything = {"type": "string"}, {"type": "boolean"}, {"type": "object"}
    outcome = {"enum": ["pass", "fail", "inconclusive"]}
    judgement: dict[str, Any] = {name: {} for name in Judgement.__dataclass_fields__}
    judgement["outcome"] = outcome
    fault: dict[str, Any] = dict.fromkeys(("fault", "kind", "target", "phase", "detail"), text)
    fault |= dict.fromkeys(("start_s", "effect_s", "healed_s"), number)
    properties: dict[str, Any] = {
        "schema_version": {"const": SCHEMA_VERSION},
        **dict.fromkeys(("experiment", "title", "run_id"), text),
        "tags": {"type": "array", "items": text},
        "status": {"enum": ["completed", "aborted", "interrupted", "error"]},
        "verdict": outcome,
        "reasons": _list_of({"code": text, "text": text}),
        "judgements": _list_of(judgement),
        "faults": _list_of({**fault, "proven": flag, "healed": flag}),
        "phases": {"type": "object", "additionalProperties": anything},
        "surprises": _list_of(_surprise_schema()),
        "recovery": {"type": "object", "additionalProperties": _recovery_schema()},
        **dict.fromkeys(("operations", "writes", "breakers", "load"), anything),
        **dict.fromkeys(("traffic_share", "replica_share", "cache_share", "target"), anything),
        "rotation": {"type": "array", "items": anything},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "harness result",
        **_object(properties),
    }


def _surprise_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "code": {"enum": [*SURPRISES]},
        "at_s": {"type": "number"},
        **dict.fromkeys(("who", "text", "phase"), text),
        "outcome": {"enum": ["fail", "inconclusive", "note"]},
    }


def _recovery_schema() -> dict[str, Any]:
    """One operation's recovery; what is not required is missing in results of older versions."""
    number, count = {"type": ["number", "null"]}, {"type": "integer"}
    flag, facts = {"type": "boolean"}, {"type": ["object", "null"]}
    outage = _object(
        {**dict.fromkeys(("start_s", "end_s", "uncertainty_s"), number), "failed": count}
    )
    outage["properties"] |= {
        "kind": {"enum": ["total", "partial"]},
        "error_rate": number,
        "probes": count,
    }
    recovery = _object(
        {
            **dict.fromkeys(("recovery_time_s", "uncertainty_s", "fault_start_s"), number),
            **dict.fromkeys(("failed_requests", "probes"), count),
            "recovered": {"type": ["boolean", "null"]},
            "never_failed": flag,
            "outages": {"type": "array", "items": outage},
            "degradation_time_s": number,
            "parts": {"type": "object"},
            "by_fault": {"type": "object"},
            "stream": {"enum": ["canary", "main"]},
        }
    )
    mark = {"part": {"type": "string"}, "at_s": number, "uncertainty_s": number}
    recovery["properties"] |= {
        "error_budget": number,
        "scattered": facts,
        "degradation": facts,
        "marks": _list_of({**mark, "evidence": {"type": "string"}}),
    }
    return recovery


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": sorted(properties), "properties": properties}


def _list_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": _object(properties)}
