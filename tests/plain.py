"""Findings as they stand in findings.json, but not rounded: what tests look things up in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from harness.aspects.base import shallow


def plain(value: Any) -> Any:
    """`value` with each dataclass in it as a dictionary."""
    if is_dataclass(value):
        return {name: plain(item) for name, item in shallow(value).items()}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
