"""What pydantic finds wrong, in this project's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from harness.experiment_file.problems import suggest
from harness.experiment_file.times import unit_s

_WORDS = {
    "missing": ("missing", ""),
    "string_type": ("not text", "put it in quotes"),
    "bool_type": ("not true or false", "write true or false"),
    "bool_parsing": ("not true or false", "write true or false"),
    "int_type": ("not a whole number", ""),
    "int_parsing": ("not a whole number", ""),
    "int_from_float": ("not a whole number", ""),
    "int_parsing_size": ("too large", ""),
    "float_type": ("not a number", ""),
    "float_parsing": ("not a number", ""),
    "finite_number": ("not a number", ""),
    "tuple_type": ("not a list", "write [a, b]"),
    "list_type": ("not a list", "write [a, b]"),
    "mapping_type": ("not a mapping", "write key: value pairs"),
    "dict_type": ("not a mapping", "write key: value pairs"),
    "model_type": ("not a mapping", "write key: value pairs"),
    "greater_than": ("too small", "more than {gt}"),
    "greater_than_equal": ("too small", "{ge} or more"),
    "less_than": ("too large", "less than {lt}"),
    "less_than_equal": ("too large", "{le} or less"),
    "too_short": ("too short", "at least {min_length}"),
    "literal_error": ("not a valid value", "{expected}"),
}
"""By pydantic's name of the mistake; any other one is only said not to be valid."""


def in_our_words(problem: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong with a value, and how to fix it ("" if the first says it all)."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "value_error":
        return str(context["error"]), ""
    if kind == "extra_forbidden":
        *parents, key = problem["loc"]
        return "unknown key", suggest(str(key), _fields(model, parents))
    if kind == "string_pattern_mismatch":
        return f"{problem['input']!r} is not a valid value", _choices(context["pattern"])
    wrong, right = _WORDS.get(kind, ("not a valid value", ""))
    return wrong, right.format_map(_in_units(context, model, problem["loc"]))


def _in_units(
    context: Mapping[str, Any], model: type[BaseModel], path: Sequence[str | int]
) -> dict[str, Any]:
    """The figures of a message; bounds of a time as durations, choices without quotes."""
    unit = unit_s(model, str(path[0])) if len(path) == 1 else None
    found = {name: str(value).replace("'", "") for name, value in context.items()}
    if unit is not None:
        bounds = {name: context[name] for name in ("gt", "ge", "lt", "le") if name in context}
        found |= {name: f"{round(bound * unit, 9):g}s" for name, bound in bounds.items()}
    return found


def _fields(model: type[BaseModel], path: Iterable[str | int]) -> Iterable[str]:
    """The keys of the model that stands at `path` in a `model`."""
    for part in path:
        field = model.model_fields.get(str(part))
        choices = get_args(field.annotation) if field else ()
        model = next(
            (c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), model
        )
    return model.model_fields


def _choices(pattern: str) -> str:
    """`constant or poisson` out of the pattern `^(constant|poisson)$`."""
    return " or ".join(pattern.strip("^()$").split("|"))
