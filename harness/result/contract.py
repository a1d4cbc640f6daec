"""result.json: the verdict, and every figure that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harness.model.experiment import Experiment
from harness.model.verdict import Verdict

SCHEMA_VERSION = 1
FAULT_KEYS = ("fault", "kind", "target", "phase", "start_s", "effect_s", "healed_s", "detail")
LATER_KEYS = ("evidence", "planned_s", "held_s", "lost_s")
"""Not in the findings of older versions."""
LEFT_OUT = ("schema_version", "faults", "series")
"""Findings that are no part of a result as they stand."""


def make_result(
    experiment: Experiment, findings: Mapping[str, Any], verdict: Verdict
) -> dict[str, Any]:
    """The contract with scripts; times in seconds since run start, shares from 0 to 1."""
    return {
        **{
            name: _without_series(found) for name, found in findings.items() if name not in LEFT_OUT
        },
        "surprises": list(findings.get("surprises") or ()),
        "schema_version": SCHEMA_VERSION,
        "experiment": experiment.name,
        "title": experiment.title,
        **({"description": experiment.description} if experiment.description else {}),
        "tags": list(experiment.tags),
        "verdict": verdict.outcome,
        "reasons": [asdict(reason) for reason in verdict.reasons],
        "judgements": [asdict(judgement) for judgement in verdict.judgements],
        "faults": [
            {
                **{key: fault[key] for key in FAULT_KEYS},
                **{key: fault[key] for key in LATER_KEYS if key in fault},
                "proven": bool(fault["proven"]),
                "healed": bool(fault["healed"]),
            }
            for fault in findings["faults"]
        ],
    }


def _without_series(found: Any) -> Any:
    """A section without what is for charts, and grows with each second of the run."""
    if not isinstance(found, Mapping):
        return found
    return {name: value for name, value in found.items() if name != "series"}
