"""What looks tokens up: one batch after the other, each within a deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.model.load import Load

Rows = Mapping[str, int | str]
"""By token how many rows have it, 0 for none; or why that is not known."""


class Lookup(Protocol):
    """One way to ask a target what it has stored."""

    @property
    def batch(self) -> int:
        """How many tokens are asked for at once."""
        ...

    @property
    def pause_s(self) -> float:
        """From the start of one batch to that of the next, at least."""
        ...

    def check(self) -> None:
        """Before the load: TargetError if it can be known already that it will not work."""
        ...

    def open(self, load: Load, /) -> str:
        """Find where to ask after a run; its name, for reports. TargetError if it cannot be."""
        ...

    def rows(self, tokens: Sequence[str]) -> Rows:
        """What is known of each token; HarnessError if that is nothing."""
        ...
