"""The JSON Schema of result.json: of the findings by their types, of the verdict by hand.

What is `required` was there in the first version that promised this schema; what came later is
typed, and may be missing. So a result of an older version is valid too.
"""

from __future__ import annotations

from typing import Any

from harness.aspects.findings_json import schema, section_schemas
from harness.model.surprise import SURPRISES
from harness.model.verdict import Judgement, Reason
from harness.result.contract import FAULT_KEYS, LATER_KEYS, SCHEMA_VERSION

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
FIRST = (
    *("run_id", "status", "experiment", "title", "phases", "recovery", "operations", "writes"),
    *("breakers", "load", "traffic_share", "replica_share", "cache_share", "target", "rotation"),
)
"""Sections that every result has; those of earlier versions lack some of the others."""
VERDICT = ("schema_version", "tags", "verdict", "reasons", "judgements", "faults")


def result_schema() -> Schema:
    """A JSON Schema of result.json."""
    found = section_schemas()
    verdict: Schema = {
        "schema_version": {"const": SCHEMA_VERSION},
        "tags": _list(TEXT),
        "verdict": {"enum": ["pass", "fail", "inconclusive"]},
        "reasons": _list(_whole(schema(Reason))),
        "judgements": _list(_whole(schema(Judgement))),
        "faults": _list(_fault(found["faults"]["items"])),
        "machine": {**found["machine"], "type": ["object", "null"]},
        "surprises": _list(_surprise(found["surprises"]["items"])),
    }
    statuses = {"enum": ["completed", "aborted", "interrupted", "error", "not_steady"]}
    texts = dict.fromkeys(("command", "description"), TEXT)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "harness result",
        "type": "object",
        "required": sorted([*VERDICT, *FIRST]),
        "properties": {**found, **verdict, "status": statuses, **texts},
    }


def _fault(found: Schema) -> Schema:
    """As in the findings, without what a result leaves out."""
    always = [*FAULT_KEYS, "proven", "healed"]
    properties = {name: found["properties"][name] for name in (*always, *LATER_KEYS)}
    return {"type": "object", "required": sorted(always), "properties": properties}


def _surprise(found: Schema) -> Schema:
    found = _whole(found)
    return {**found, "properties": {**found["properties"], "code": {"enum": [*SURPRISES]}}}


def _whole(found: Schema) -> Schema:
    """An object with all of its properties."""
    return {**found, "required": sorted(found["properties"])}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}
