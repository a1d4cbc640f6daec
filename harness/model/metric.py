"""A figure that can be expected of a run: its unit, its scope, and the code of a missed limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["s", "share", "count", "flag"]
Scope = Literal["phase", "fault", "run"]
OPERATION, BREAKER, CHECK, COUNTER = "operation", "breaker", "check", "counter"
ALERT, ALERTS = "alert", "alerts"
REGION, LAG = "region", "lag"
"""Subjects that stand for names: that of an operation, `breaker.NAME`, and so on."""
NAMED = (BREAKER, CHECK, COUNTER, ALERT, REGION, LAG)
"""Those that are followed by a name."""
ANY = "*"
"""The metric of a subject whose metrics are names of parts, and `min` and `max` over them."""
VICTIM, OTHERS = "victim", "others"
"""Names of parts, too: the one that a fault of the phase broke, and each of all others."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`code` is the stable reason of a missed limit.

    `scope` says where it may stand: `phase` in every judged phase and in `run`; `fault` in a phase
    in which a fault starts (it is about those faults) and in `run`; `run` nowhere else.
    `needs_load`: no figure without a healthy load generator.
    `is_invariant`: no load and no busy machine excuses a miss.
    """

    unit: Unit
    code: str
    scope: Scope = "run"
    needs_load: bool = False
    is_invariant: bool = False
