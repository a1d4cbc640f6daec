"""The headers by which a target says who answered, and what their values mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.model.http import WHO_ANSWERED

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
Who = Literal["server", "cache", "database"]
COLUMNS: Mapping[Who, str] = {"server": "served_by", "cache": "cache", "database": "db_node"}
"""The column of the samples, by what a target calls it."""


class Header(BaseModel):
    """`values`: what a value stands for, by patterns (`HIT*`, `*`) of which the first one counts;
    case does not matter. A value that fits none stands for itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    values: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(f"{value!r} is not the name of a header; write it like X-Served-By")
        return value

    @field_validator("values", mode="before")
    @classmethod
    def _are_texts(cls, value: object) -> object:
        """YAML reads a bare 1 as a number."""
        if not isinstance(value, Mapping):
            return value
        return {str(k): str(v) if type(v) is int else v for k, v in value.items()}

    def means(self, value: str) -> str:
        """What a value stands for; "" only for a header that is not there."""
        lower = value.lower()
        found = (m for pattern, m in self.values.items() if fnmatchcase(lower, pattern.lower()))
        return next(found, value) if value else ""

    @property
    def names(self) -> frozenset[str]:
        """All that it can stand for; none if that may be anything."""
        return frozenset(self.values.values()) if "*" in self.values else frozenset()


def headers_by_column(said: Mapping[Any, Any]) -> dict[str, Header]:
    """The header of each column: as the target says, else the one that every target may send.

    `said` are headers, or JSON data of headers, by key of COLUMNS.
    """
    found = {column: Header(name=name) for column, name in WHO_ANSWERED.items()}
    own = {COLUMNS[key]: Header.model_validate(header) for key, header in said.items()}
    return {**found, **own}
