"""What a target's monitoring is asked for after a run, and how it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

QUERY_MAX = 2_000
SERIES_MAX = 30
"""How many charts of its own a target may have."""
Kind = Literal["errors", "signal", "chart"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Charted(_Frozen):
    """One chart: a query (PromQL), and the unit of its values: `share`, `s`, `bytes`, `/s`, ..."""

    query: str = Field(min_length=1, max_length=QUERY_MAX)
    unit: str = Field(default="", max_length=40)


class Monitoring(_Frozen):
    """`errors`: failed requests a second as the monitoring knows them, "" if nobody says.

    `series`: what the report shows of the target's own metrics, by name.
    """

    errors: str = Field(default="", max_length=QUERY_MAX)
    series: Mapping[str, Charted] = Field(default_factory=dict, max_length=SERIES_MAX)


@dataclass(frozen=True, slots=True)
class Line:
    """One time series: seconds since the epoch and finite values, in order of time."""

    labels: Mapping[str, str]
    at_s: Sequence[float]
    values: Sequence[float]


def signal_name(query: str) -> str:
    """The name in the record of what a rule compares; no chart is called so by accident."""
    return f"signal {query}"


def read_matrix(document: Any) -> list[Line] | None:
    """The series in an answer to `/api/v1/query_range`; None if it is no such answer.

    What is not a number, as of 0/0, is left out.
    """
    try:
        answer = _Answer.model_validate(document)
        return [_line(one) for one in answer.data.result]
    except (ValidationError, ValueError):
        return None


def _line(one: _Series) -> Line:
    found = [(at_s, float(text)) for at_s, text in one.values]
    known = [(at_s, value) for at_s, value in found if isfinite(at_s) and isfinite(value)]
    return Line(one.metric, [at_s for at_s, _ in known], [value for _, value in known])


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Series(_Read):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Matrix(_Read):
    result_type: Literal["matrix"] = Field(alias="resultType")
    result: list[_Series]


class _Answer(_Read):
    status: Literal["success"]
    data: _Matrix
