"""How one experiment ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.model.verdict import RunStatus

VERDICT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3}
STATUS_CODES = {"error": 4, "interrupted": 130, "aborted": 5}
WORDS = {code: name.upper() for name, code in {**VERDICT_CODES, **STATUS_CODES}.items()}
"""By exit code: a run that was not completed has another one than its verdict."""
GRAVEST_FIRST = (4, 130, 5, 1, 3, 0)
"""Of several exit codes, the first that occurred is that of them all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`code` is the exit code, `result` what result.json says, None for a run without one.

    `is_broken`: a fault could not be healed; nothing else may start.
    """

    name: str
    code: int
    result: dict[str, Any] | None = None
    folder: Path | None = None
    message: str = ""
    is_broken: bool = False


def exit_code(status: RunStatus, verdict: str) -> int:
    """The verdict decides where the status does not."""
    return STATUS_CODES.get(status, VERDICT_CODES[verdict])
