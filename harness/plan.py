"""From an experiment and a seed to a plan: victims, and sorted steps at offsets from run start.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from harness.model.experiment import Experiment, FaultSpec
from harness.model.timeline import Plan, Step

# At one moment: fix first, then name the phase, then break, then help; the end comes last.
_ORDER = {"heal": 0, "phase": 1, "inject": 2, "remedy": 3, "end": 4}


def aimed(experiment: Experiment, seed: int, repetition: int = 0) -> Experiment:
    """The experiment with a victim chosen for each fault that has candidates.

    The same place in every list, and the next one in each repetition: with n candidates, n runs in
    a row hit each of them once, and two faults with the same list hit the same one.
    """
    faults = tuple(_aimed(fault, seed + repetition) for fault in experiment.faults)
    return experiment.model_copy(update={"faults": faults})


def with_replicas(experiment: Experiment, containers: Mapping[str, Sequence[str]]) -> Experiment:
    """A fault at a service that has several containers gets them as candidates, by name.

    `containers` are all names by service. A fault at a role takes the first that runs by then.
    """
    faults = tuple(_of_containers(fault, containers) for fault in experiment.faults)
    return experiment.model_copy(update={"faults": faults})


def _of_containers(fault: FaultSpec, containers: Mapping[str, Sequence[str]]) -> FaultSpec:
    named = fault.candidates or (fault.selector.get("service", ""),)
    found = [containers.get(name, ()) for name in named]
    if "service" not in fault.selector or all(len(names) < 2 for names in found):
        return fault
    victims = tuple(chain.from_iterable(found))
    return fault.model_copy(update={"selector": {"container": victims[0]}, "candidates": victims})


def _aimed(fault: FaultSpec, place: int) -> FaultSpec:
    if not fault.candidates:
        return fault
    [how] = fault.selector
    victim = fault.candidates[place % len(fault.candidates)]
    return fault.model_copy(update={"selector": {how: victim}})


def make_plan(experiment: Experiment, seed: int) -> Plan:
    """The plan of `experiment`; the same seed gives the same plan."""
    steps = [Step(phase.start_s, "phase", phase.name) for phase in experiment.phases]
    for fault in experiment.faults:
        steps += [Step(fault.start_s, "inject", fault.id), Step(fault.end_s, "heal", fault.id)]
    steps += [
        Step(each.start_s, "remedy", each.id)
        for each in experiment.remedies
        if each.start_s is not None
    ]
    steps.append(Step(experiment.end_s, "end", "end"))
    ordered = sorted(steps, key=lambda step: (step.at_s, _ORDER[step.action], step.name))
    facts = experiment.faults, experiment.end_s, experiment.remedies
    return Plan(experiment.name, seed, tuple(ordered), *facts)
