"""What two sets of runs are compared by. Less is always better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from harness.model.metric import Unit

Kind = Literal["response_time", "error_rate", "duration", "count", "never"]
"""How a figure is compared; `never` is what must not happen at all, such as a lost write."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of a comparison; `subject` is an operation, `breaker.NAME`, `status` or an aspect."""

    phase: str
    subject: str
    metric: str
    kind: Kind
    unit: Unit

    @property
    def id(self) -> str:
        """`fault.create.p95`, as in the findings."""
        return f"{self.phase}.{self.subject}.{self.metric}"

    @property
    def never(self) -> float | None:
        """The value that is bad news even in a single run; None if it takes more of them."""
        if self.metric == "recovery_time":
            return math.inf
        return 1.0 if self.kind == "never" else None


@dataclass(frozen=True, slots=True)
class Measured:
    """The value in one run, infinite for what did not recover; out of how many requests."""

    value: float
    requests: int = 0
