"""Runs whose true figures are known: drawn around them, or as told."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.aspects.clause import parse_expectation
from harness.comparison import Side
from harness.comparison.sides import Run
from harness.model.compared import Compared, Kind, Measured
from harness.model.experiment import Experiment, FaultSpec, Phase
from harness.model.load import Load, Operation

PHASES = {"baseline": (0.0, 15.0), "fault": (15.0, 45.0), "recovery": (45.0, 60.0)}
TIMES_S = {"p50": 0.004, "p95": 0.100, "p99": 0.250, "p999": 0.400}
RECOVERY_S = 21.0
REQUESTS = 12_000
EXPECTED = {
    ("fault", "redirect"): ["p95 < 500ms", "recovery_time <= 30s"],
    ("run", "writes"): ["lost == 0"],
    ("run", "breaker.redis"): ["opened_on_all"],
}
RECOVERY = Compared("run", "redirect", "recovery_time", "duration", "s")


def experiment(**changes: Any) -> Experiment:
    value = Experiment(
        name="outage",
        title="Nobody notices the outage",
        load=Load(rate_per_s=100, mix={"redirect": 0.9, "create": 0.1}),
        operations={"redirect": Operation(path="/{key}"), "create": Operation(path="/")},
        phases=tuple(Phase(name=n, start_s=s, end_s=e) for n, (s, e) in PHASES.items()),
        faults=(
            FaultSpec(
                id="kill-1", kind="kill", selector={"role": "app"}, phase="fault",
                start_s=15, end_s=30,
            ),
        ),
        hypothesis=tuple(
            parse_expectation(*of, text, {"redirect", "create"})
            for of, texts in EXPECTED.items()
            for text in texts
        ),
    )  # fmt: skip
    return value.model_copy(update=changes)


EXPERIMENT = experiment()


def figure(phase: str, subject: str, metric: str) -> Compared:
    kind: Kind = "error_rate" if metric == "error_rate" else "response_time"
    return Compared(phase, subject, metric, kind, "share" if kind == "error_rate" else "s")


def made_up_run(
    seed: int, *, slower: float = 1.0, later_s: float = 0.0, noise: float = 0.02
) -> Run:
    """As many figures as a real run: p95 100 ms, recovery in 21 s, no failure.

    In phase `fault` it is `slower`, and it recovers `later_s`. With `noise` the whole run is slow
    by chance, each figure by itself too, and one in ten is far off.
    """
    rng = np.random.default_rng(seed)
    of_run = noise * rng.normal()
    figures = {
        RECOVERY: Measured(RECOVERY_S + later_s + 20 * noise * rng.normal()),
        Compared("run", "writes", "lost", "never", "count"): Measured(0.0),
    }
    for phase, operation in itertools.product(PHASES, EXPERIMENT.load.mix):
        factor = slower if phase == "fault" else 1.0
        figures[figure(phase, operation, "error_rate")] = Measured(0.0, REQUESTS)
        for metric, true_s in TIMES_S.items():
            by_chance = math.exp(of_run + noise * rng.normal())
            if noise > 0.1 and rng.random() < 0.1:
                by_chance *= rng.uniform(2, 8)
            time_s = true_s * factor * by_chance
            figures[figure(phase, operation, metric)] = Measured(time_s, REQUESTS)
    return Run(f"run-{seed}", EXPERIMENT, figures)


def side_of(*runs: Run, name: str = "side") -> Side:
    return Side(
        name,
        tuple(run for run in runs if not run.why_no_evidence),
        tuple(run for run in runs if run.why_no_evidence),
    )


def drawn(count: int, first_seed: int, **changes: Any) -> Side:
    return side_of(*(made_up_run(first_seed + at, **changes) for at in range(count)))


def with_values(name: Compared, values: Sequence[float], requests: int = REQUESTS) -> Side:
    """A side of runs with this figure, and another that nothing changes."""
    other = Compared("run", "writes", "duplicates", "never", "count")
    measured = [{name: Measured(value, requests), other: Measured(0.0)} for value in values]
    return side_of(*(Run(f"run-{at}", EXPERIMENT, one) for at, one in enumerate(measured)))


def row_of(found: dict[str, Any], name: Compared | str) -> dict[str, Any]:
    wanted = name if isinstance(name, str) else name.id
    return next(row for row in found["figures"] if row["id"] == wanted)


def findings(run_id: str = "run-1", **changes: Any) -> dict[str, Any]:
    """findings.json of a run of EXPERIMENT; `changes` take the place of whole parts."""
    return {
        "schema_version": 1,
        "run_id": run_id,
        "status": "completed",
        "phases": {n: {"start_s": s, "end_s": e} for n, (s, e) in PHASES.items()},
        "load": {"problems": []},
        "faults": [{"kind": "kill", "target": "app-2", "proven": True}],
        "operations": {"redirect": {phase: times() for phase in PHASES}},
        "recovery": {"redirect": {"recovered": True, "recovery_time_s": RECOVERY_S}},
        "writes": {"checked": True, "lost": 0, "phantom": 0, "duplicates": 0},
        "breakers": {"by_breaker": {"redis": breaker()}},
        "traffic_share": {}, "replica_share": {}, "cache_share": {}, "target": {}, "rotation": [],
        **changes,
    }  # fmt: skip


def times(requests: int = REQUESTS, error_rate: float = 0.0) -> dict[str, Any]:
    return {"requests": requests, "error_rate": error_rate, "response_time_s": TIMES_S}


def breaker(**changes: Any) -> dict[str, Any]:
    return {
        "servers": {"app-1": {}}, "opened_on_all": True, "closed_at_end": True,
        "reopened_on_all": False, "opens_within": 0.2, "closes_within": 40.0,
        "failures_to_open": 5, "failures_to_reopen": None, "probes_per_cooldown": None,
        "fast_fail_p99": None, "flaps": 0, **changes,
    }  # fmt: skip
