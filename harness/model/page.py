"""What an aspect shows in a report: key figures and tables. How they look is the report's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Cell = object
"""A figure, written as its column says; a text is shown as it is."""
Format = Literal["seconds", "clock", "share", "count", "flag", "plain", "text", "uncertainty"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure below the verdict; `tone` is good, bad or ""."""

    label: str
    value: Cell
    note: str
    tone: str = ""
    uncertainty_s: float | None = None
    format: Format = "count"


@dataclass(frozen=True, slots=True)
class Column:
    """`plain` cells are words, those of `text` many of them, all others numbers."""

    label: str
    format: Format = "plain"

    @property
    def is_number(self) -> bool:
        """Whether its cells stand to the right."""
        return self.format not in ("plain", "text")


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under a common name, "" for none."""

    name: str
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Table:
    """`id` is the place in the page, "" for a table below another; `text` stands above it."""

    title: str
    columns: Sequence[Column]
    groups: Sequence[Group]
    id: str = ""
    text: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not any(group.rows for group in self.groups)
