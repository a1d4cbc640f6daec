"""A check: a hypothesis of the user's own, as an experiment file states it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Moment = Literal["before", "during", "after"]
MOMENTS: tuple[Moment, ...] = ("before", "during", "after")
WITHIN = "within"


class CheckSpec(BaseModel):
    """What is looked at, what must be seen, and when.

    `parameters` are of its `kind` (checks/__init__.py); `expect` are clauses such as `count <= 0`.
    before   at each look of the judged phases before the first fault
    during   at each look while a fault is active, from `grace_s` after it began on
    after    at each look after the last healing
    `within_s`: at one look so long after the last healing; None where that is not asked.
    It is looked at each `every_s`, for at most `timeout_s`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    parameters: Mapping[str, Any]
    expect: tuple[str, ...] = ()
    when: tuple[Moment, ...] = ()
    within_s: float | None = Field(default=None, gt=0)
    grace_s: float = Field(default=0.0, ge=0)
    every_s: float = Field(default=1.0, ge=0.5, le=60)
    timeout_s: float = Field(default=5.0, ge=0.1, le=5)
