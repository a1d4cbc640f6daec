"""A plan: what happens when, as pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.model.experiment import FaultSpec, RemedySpec

Action = Literal["phase", "inject", "heal", "remedy", "end"]


@dataclass(frozen=True, slots=True)
class Step:
    """At `at_s` seconds since run start do `action` on `name`: a phase's name, or an id.

    A `remedy` is due then; it is begun when the one before it is over.
    """

    at_s: float
    action: Action
    name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in order of time, and the seed that all random choices of the run come from.

    Of `remedies` those that wait for a fault, or for one another, are no steps.
    """

    experiment: str
    seed: int
    steps: tuple[Step, ...]
    faults: tuple[FaultSpec, ...]
    end_s: float
    remedies: tuple[RemedySpec, ...] = ()
