"""One rule for all numbers in a file: six digits after the point, None for what is not a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from harness.aspects.base import shallow


def rounded(value: Any) -> Any:
    """`value` as plain JSON data, with floats rounded and NaN and infinities as None."""
    if is_dataclass(value):
        return {name: rounded(item) for name, item in shallow(value).items()}
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float):
        return round(plain, 6) if math.isfinite(plain) else None
    return plain
