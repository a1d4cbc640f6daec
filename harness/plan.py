"""From an experiment and a seed to a plan: sorted steps at offsets from run start. Pure."""

from __future__ import annotations

from harness.model.experiment import Experiment
from harness.model.timeline import Plan, Step

# At one moment: mend first, then name the phase, then break; the end comes last.
_ORDER = {"heal": 0, "phase": 1, "inject": 2, "end": 3}


def make_plan(experiment: Experiment, seed: int) -> Plan:
    """The plan of `experiment`; the same seed gives the same plan."""
    steps = [Step(phase.start_s, "phase", phase.name) for phase in experiment.phases]
    for fault in experiment.faults:
        steps += [Step(fault.start_s, "inject", fault.id), Step(fault.end_s, "heal", fault.id)]
    steps.append(Step(experiment.end_s, "end", "end"))
    ordered = sorted(steps, key=lambda step: (step.at_s, _ORDER[step.action], step.name))
    return Plan(experiment.name, seed, tuple(ordered), experiment.faults, experiment.end_s)
