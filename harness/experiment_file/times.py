"""Which fields of a model are times, in which unit, and how a file writes them."""

from __future__ import annotations

from pydantic import BaseModel

from harness.faults.base import TimeIn


def unit_s(model: type[BaseModel], name: str) -> float | None:
    """The unit of a field in seconds: a plain number is so many of it. None if it is no time."""
    field = model.model_fields.get(name)
    if field is None:
        return None
    marks = [mark.seconds for mark in field.metadata if isinstance(mark, TimeIn)]
    if name.endswith("_s") and not name.endswith("_per_s"):
        marks.append(1.0)
    return marks[0] if marks else None


def field_of(model: type[BaseModel], key: str) -> str:
    """The field that a key stands for: `hold` for `hold_s`, as a duration has its unit itself."""
    is_short = key not in model.model_fields and unit_s(model, f"{key}_s") is not None
    return f"{key}_s" if is_short else key
