"""A JSON Schema of experiment files, for completion in editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from harness.checks import KINDS as CHECKS
from harness.experiment_file import load, target
from harness.experiment_file.experiment import STEADY_STATES
from harness.experiment_file.names import FaultKinds
from harness.experiment_file.times import unit_s
from harness.faults.base import FaultKind
from harness.model.check import MOMENTS
from harness.model.load import WORKERS_MAX, Tls
from harness.model.surprise import SURPRISES
from harness.remedies import KINDS as REMEDIES

DURATION = {"type": "string", "pattern": r"^(\d+(\.\d+)?\s*(us|ms|s|min|m|h)\s*)+$"}
RATE = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*/\s*(s|min|m|h)$"}
TEXTS = {"type": "array", "items": {"type": "string"}}


def experiment_schema(kinds: FaultKinds) -> dict[str, Any]:
    """The schema; every kind of fault has its parameters in it."""
    by_section = {"type": "object", "additionalProperties": TEXTS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "harness experiment",
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^x-": {}},
        "required": ["title", "load", "phases", "expect"],
        "properties": {
            "title": {"type": "string"},
            "description": {"type": "string"},
            "tags": TEXTS,
            "target": _target(),
            "profiles": TEXTS,
            "allow_total_loss": {"type": "boolean"},
            "load": _load(),
            "phases": {"type": "object", "additionalProperties": DURATION},
            "faults": {"type": "array", "items": _fault(kinds)},
            "remedies": {"type": "array", "items": _remedy()},
            "expect": {"type": "object", "additionalProperties": by_section},
            "checks": {"type": "object", "additionalProperties": _check()},
            "safeguards": {"type": "object"},
            "steady_state": {"enum": [*STEADY_STATES]},
            "alerts": _closed({"allowed": TEXTS}),
            "surprises": _closed({"allow": {"type": "array", "items": {"enum": [*SURPRISES]}}}),
        },
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    """A mapping that has no other keys."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _load() -> dict[str, Any]:
    found = {
        **{key: {} for key in load.KEYS},
        "rate": RATE,
        "timeout": DURATION,
        "connect_timeout": DURATION,
        "tls": Tls.model_json_schema(),
        "replay": {"type": "string"},
        "workers": {"type": "integer", "minimum": 1, "maximum": WORKERS_MAX},
    }
    return {**_closed(found), "anyOf": [{"required": ["rate"]}, {"required": ["replay"]}]}


def _target() -> dict[str, Any]:
    """A file such as target.yaml, or what stands in one."""
    text_or_texts = {"anyOf": [{"type": "string"}, TEXTS]}
    found = {**{key: {} for key in target.KEYS}, "compose": text_or_texts, "profiles": TEXTS}
    return {"anyOf": [{"type": "string"}, _closed(found)]}


def _fault(kinds: FaultKinds) -> dict[str, Any]:
    return _closed(
        {
            "at": {"type": "string", "examples": ["fault + 0s"]},
            "for": DURATION,
            **{name: _kind(kind) for name, kind in kinds.items()},
        }
    )


def _remedy() -> dict[str, Any]:
    when = {"at": "fault + 0s", "after": "kill-1 + 10s"}
    services = {"service": {"anyOf": [{"type": "string"}, TEXTS]}}  # a list is all of them
    kinds = {
        name: {"type": "object", "properties": {**services, **_parameters(kind.parameters)}}
        for name, kind in REMEDIES.items()
    }
    return _closed(
        {
            **{key: {"type": "string", "examples": [example]} for key, example in when.items()},
            "for": DURATION,
            "within": DURATION,
            **kinds,
        }
    )


def _check() -> dict[str, Any]:
    """One of the kinds, what it must see, and when."""
    times = {"within": DURATION, "grace": DURATION, "every": DURATION, "timeout": DURATION}
    moments = {"enum": [*MOMENTS]}
    when = {"anyOf": [moments, {"type": "array", "items": moments}]}
    kinds = {name: kind.parameters.model_json_schema() for name, kind in CHECKS.items()}
    return _closed({"expect": TEXTS, "when": when, **times, **kinds})


def _kind(kind: FaultKind) -> dict[str, Any]:
    names = {"anyOf": [{"type": "string"}, TEXTS]}  # of a list one is chosen by the seed
    targets: dict[str, Any] = dict.fromkeys(sorted(kind.selectors), names)
    return {"type": "object", "properties": {**targets, **_parameters(kind.parameters)}}


def _parameters(model: type[BaseModel]) -> dict[str, Any]:
    """Its fields as a file writes them: times may be durations."""
    properties: dict[str, Any] = {}
    for name, schema in model.model_json_schema().get("properties", {}).items():
        if unit_s(model, name) is None:
            properties[name] = schema
            continue
        properties[name] = {"anyOf": [schema, DURATION]}
        if name.endswith("_s"):
            properties[name.removesuffix("_s")] = DURATION
    return properties
