"""What a fault writes down in order to undo itself: typed here, plain JSON in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Self

from pydantic import TypeAdapter

from harness.model.container import Container


@dataclass(frozen=True)
class Touched:
    """A container that a fault breaks, by the names it had when it was chosen."""

    id: str
    name: str = ""
    service: str = ""
    role: str = ""

    @classmethod
    def of(cls, container: Container) -> Self:
        """The names of `container`."""
        return cls(container.id, container.name, container.service, container.role)


@dataclass(frozen=True)
class Undo:
    """All that healing needs; on disk before the fault starts. A kind that needs more adds fields.

    `target` is what people read; `containers` is what the guard checks: none for faults on links.
    """

    kind: str
    target: str
    containers: tuple[Touched, ...]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the journal and in the run's events."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """The record that was written so; ValueError if it lacks a field or one is of no use.

        Keys that are not known are ignored. A field that earlier versions did not write has a
        default.
        """
        record: Self = _reader(cls).validate_python(raw)  # type: ignore[arg-type]  # a class hashes
        return record


@dataclass(frozen=True)
class LinkUndo(Undo):
    """`links`: the names of those that are broken."""

    links: tuple[str, ...]


@cache
def _reader(record: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(record)
