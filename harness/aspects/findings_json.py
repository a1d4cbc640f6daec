"""Findings to JSON data and back, and their JSON Schema: all by the types of the findings."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from harness.aspects import ASPECTS, Findings
from harness.aspects.base import EACH_FIELD, Aspect, Found
from harness.errors import RunFolderError
from harness.model.findings import Run
from harness.record.folder import RunFolder

Schema = dict[str, Any]
FINDINGS: Mapping[str, type] = {
    "schema_version": int,
    **dict.fromkeys(("run_id", "status"), str),
    **dict.fromkeys(("faults", "rotation"), list),
    **dict.fromkeys(("phases", "load", "operations", "recovery", "writes", "breakers"), dict),
    **dict.fromkeys(("traffic_share", "replica_share", "cache_share", "target"), dict),
}
"""What findings.json must have to be judged."""
_NAMES: Mapping[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def read_findings(folder: RunFolder) -> Findings:
    """findings.json of a run; RunFolderError where it is missing or cannot be understood."""
    return understood(folder, folder.read_json("findings.json", FINDINGS))


def understood(folder: RunFolder, value: Mapping[str, Any]) -> Findings:
    """The findings in what was read of findings.json; RunFolderError says what is wrong with it."""
    try:
        return findings_from_json(value)
    except ValueError as error:
        where = folder.path / "findings.json"
        raise RunFolderError(
            f"{where}: invalid content: {error}", f"harness analyze {folder.path}"
        ) from error


def findings_from_json(value: Mapping[str, Any]) -> Findings:
    """The findings in JSON data, of this version or an older one; ValueError says what is wrong.

    What is null, or not there, is as if nothing had been found.
    """
    known = {name: found for name, found in value.items() if found is not None}
    run: Run = _read(Run, known, "")
    return Findings(run, {aspect.section: section_of(aspect, known) for aspect in ASPECTS})


def section_of(aspect: Aspect[Found], value: Mapping[str, Any]) -> Found:
    """What findings.json or result.json says of one aspect; ValueError says what is wrong."""
    if aspect.section == EACH_FIELD:
        return cast(Found, _read(aspect.found, value, ""))
    mine = value.get(aspect.section) or _nothing(aspect.found)
    return cast(Found, _read(aspect.found, mine, aspect.section))


def section_schemas() -> dict[str, Schema]:
    """The JSON Schema of each section of the findings, without what is only for charts."""
    found = _properties(Run)
    for aspect in ASPECTS:
        is_each = aspect.section == EACH_FIELD
        found |= _properties(aspect.found) if is_each else {aspect.section: schema(aspect.found)}
    return found


def schema(of: Any) -> Schema:
    """The JSON Schema of a type: what a value of it may hold, and perhaps more.

    Only what a dataclass lists in ALWAYS is required: older versions had it, too.
    """
    origin, args = get_origin(of), get_args(of)
    if is_dataclass(of):
        always = getattr(of, "ALWAYS", ())
        found: Schema = {"type": "object", "properties": _properties(of)}
        return {**found, "required": sorted(always)} if always else found
    if origin in (Union, types.UnionType):
        return _either([schema(arg) for arg in args])
    if origin is Literal:
        return {"enum": list(args)}
    if origin is not None and issubclass(origin, Mapping):
        below = schema(args[1])
        return {"type": "object", **({"additionalProperties": below} if below else {})}
    if origin is not None and issubclass(origin, Sequence):
        return {"type": "array", "items": schema(args[0])}
    return {"type": _NAMES[of]} if of in _NAMES else {}


def _properties(of: Any) -> dict[str, Schema]:
    hidden = getattr(of, "FOR_CHARTS", ())
    hints = get_type_hints(of)
    return {f.name: schema(hints[f.name]) for f in fields(of) if f.name not in hidden}


def _either(schemas: Sequence[Schema]) -> Schema:
    """One schema for a value that is of one of several types; all words of them are its own."""
    found: Schema = {}
    for one in schemas:
        found |= one
    return {**found, "type": [one.get("type", "null") for one in schemas]}


def _nothing(of: Any) -> Any:
    origin = get_origin(of)
    return [] if origin is not None and not issubclass(origin, Mapping) else {}


@cache
def _adapter(of: Any) -> TypeAdapter[Any]:
    return TypeAdapter(of)


def _read(of: Any, value: Any, section: str) -> Any:
    try:
        return _adapter(of).validate_python(value)
    except ValidationError as error:
        raise ValueError(next(_words(error, section))) from error


def _words(error: ValidationError, section: str) -> Iterator[str]:
    for found in error.errors():
        place = ".".join(str(step) for step in (section, *found["loc"]) if step != "")
        yield f"{place}: {found['msg']}"
