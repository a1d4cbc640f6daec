"""As much of JSON Schema as the schema of result.json uses; anything else in it is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
    "number": (int, float), "null": type(None),
}  # fmt: skip
KNOWN = {
    "type", "required", "properties", "additionalProperties", "items", "enum", "const", "$schema",
    "title",
}  # fmt: skip


def problems(value: Any, schema: dict[str, Any], where: str = "$") -> Iterator[str]:
    """What is wrong with `value`, each with its place; nothing if it is valid."""
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not {schema['const']!r}"
    if "type" in schema and not is_a(value, schema["type"]):
        yield f"{where}: {value!r} is no {schema['type']}"
    elif isinstance(value, dict):
        yield from (f"{where}: no {key}" for key in schema.get("required", ()) if key not in value)
        for key, item in value.items():
            below = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            yield from problems(item, below, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(item, schema.get("items", {}), f"{where}[{index}]")


def is_a(value: Any, types: str | list[str]) -> bool:
    """Whether the value is of one of the types; a boolean is no number."""
    for name in [types] if isinstance(types, str) else types:
        if isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool)):
            return True
    return False


def at(schema: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    """The schema of what is at `path`; empty where nothing is said of it."""
    for step in path:
        below = schema.get("items", {}) if isinstance(step, int) else schema.get("properties", {})
        schema = (
            below
            if isinstance(step, int)
            else below.get(step, schema.get("additionalProperties", {}))
        )
    return schema
