"""A three-valued verdict with the evidence for each expectation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]
RunStatus = Literal["completed", "aborted", "interrupted", "error", "not_steady"]
"""How a run ended; `not_steady`: before its first fault, because it missed its limits already."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict, or one figure, is not a plain pass: a `code` for scripts, which is stable, and
    a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One expectation held against its figure; `value` is None where nothing was measured."""

    expectation_id: str
    text: str
    outcome: Outcome
    value: float | None
    limit: float
    unit: str
    evidence: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """FAIL over INCONCLUSIVE over PASS; a pass has evidence for every expectation."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    judgements: tuple[Judgement, ...]
