"""What a plan will send: how many requests an expectation can have, and how many it needs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from harness.model.experiment import Experiment, Phase
from harness.model.load import Load


@dataclass(frozen=True, slots=True)
class Need:
    """How many `unit` a figure takes to be judged, and about how many will be sent."""

    needed: float
    sent: float
    unit: str


def phase_of(name: str, experiment: Experiment) -> Phase:
    """The phase called `name`; `run` is all that is judged."""
    if name != "run":
        return experiment.phase(name)
    judged = [phase for phase in experiment.phases if phase.is_judged]
    start_s = judged[0].start_s if judged else 0.0
    return Phase(name="run", start_s=start_s, end_s=experiment.end_s)


def requests_due(load: Load, operation: str, phase: Phase) -> float:
    """How many of an operation are due in a phase, of main load and canary.

    Of a step of a chain, if no step before it fails.
    """
    share = load.shares.get(operation, 0.0)
    canary_per_s = load.canary_rate_per_s if operation in load.canaries else 0.0
    main = share * main_requests(load, phase.start_s, phase.end_s)
    return main + canary_per_s * (phase.end_s - phase.start_s)


def main_requests(load: Load, start_s: float, end_s: float) -> float:
    """How many arrivals of the main load are due in a stretch of the run.

    The integral of its rate, which is linear between the corners of its stages.
    """
    corners = [(0.0, load.rate_per_s)]
    for stage in load.stages:
        at_s, _ = corners[-1]
        corners.append((at_s + stage.ramp_s, stage.rate_per_s))
        corners.append((at_s + stage.ramp_s + stage.hold_s, stage.rate_per_s))
    last_s, last = corners[-1]
    corners.append((max(last_s, end_s), last))
    total = 0.0
    for (from_s, rate), (to_s, next_rate) in pairwise(corners):
        first_s, until_s = max(from_s, start_s), min(to_s, end_s)
        if until_s <= first_s:
            continue
        slope = (next_rate - rate) / (to_s - from_s)
        middle_s = (first_s + until_s) / 2 - from_s
        total += (until_s - first_s) * (rate + slope * middle_s)
    return total
