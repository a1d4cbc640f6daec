"""Plan and experiment as plain JSON data, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, FaultSpec, RemedySpec
from harness.model.timeline import Plan, Step


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
            "target": experiment.target.to_json(),
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
    written = value["experiment"].get("remedies", ())  # earlier versions had none
    remedies = tuple(RemedySpec.model_validate(remedy) for remedy in written)
    return Plan(plan["experiment"], plan["seed"], steps, faults, plan["end_s"], remedies)
