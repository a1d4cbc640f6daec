"""From an experiment and a seed to a plan: sorted steps at offsets from run start. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, FaultSpec
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


def plan_to_json(plan: Plan, experiment: Experiment) -> dict[str, Any]:
    """Plan and resolved experiment as plain data: all that later stages need of both."""
    hypothesis = [asdict(item) for item in experiment.hypothesis]
    return {
        "plan": {
            "experiment": plan.experiment,
            "seed": plan.seed,
            "end_s": plan.end_s,
            "steps": [asdict(step) for step in plan.steps],
        },
        "experiment": {
            **experiment.model_dump(mode="json", exclude={"hypothesis"}),
            "hypothesis": hypothesis,
        },
    }


def experiment_from_json(value: dict[str, Any]) -> Experiment:
    """The experiment that `plan_to_json` wrote."""
    data = dict(value["experiment"])
    data["hypothesis"] = tuple(Expectation(**item) for item in data["hypothesis"])
    return Experiment.model_validate(data)


def plan_from_json(value: dict[str, Any]) -> Plan:
    """The plan that `plan_to_json` wrote."""
    plan = value["plan"]
    faults = tuple(FaultSpec.model_validate(fault) for fault in value["experiment"]["faults"])
    steps = tuple(Step(**step) for step in plan["steps"])
    return Plan(plan["experiment"], plan["seed"], steps, faults, plan["end_s"])
