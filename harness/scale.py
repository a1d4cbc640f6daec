"""An experiment at a fraction of its rates, for a machine that is too small for all of them. Pure.

Rates are multiplied and nothing else is: phases keep their length, limits stay what they are. So
fewer requests are sent, and what was enough of them at full rate may be too few for a figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from harness.errors import UsageError
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load
from harness.model.samples import (
    ACKNOWLEDGED_MIN,
    P50_SAMPLES_MIN,
    P95_SAMPLES_MIN,
    P99_SAMPLES_MIN,
    READS_MIN,
    SHARE_SAMPLES_MIN,
)

AUTO = "auto"
"""The scale that fits the machine, measured before the run."""
STEPS = (1.0, 0.75, 0.5, 0.35, 0.25)
"""What `auto` chooses from: few, so that runs on one machine mostly have the same rates."""
_PERCENTILES = {"p50": P50_SAMPLES_MIN, "p95": P95_SAMPLES_MIN, "p99": P99_SAMPLES_MIN}


def scaled(experiment: Experiment, scale: float) -> Experiment:
    """The same with all rates multiplied: main load, its stages, canary.

    UsageError if it cannot be scaled, or if an expectation could not have enough requests then.
    """
    if scale == 1:
        return experiment
    if experiment.load.replay:
        text = f"{experiment.name}: a replay sends what was recorded, at its rate"
        raise UsageError(text, "leave out --scale")
    load = _scaled_load(experiment.load, scale)
    found = experiment.model_copy(update={"load": load, "scale": scale})
    _check_floors(found, experiment)
    return found


def smallest_scale(experiment: Experiment) -> float:
    """Below this an expectation that has enough requests at full rate would have too few."""
    return max((need.scale for need in _needs(experiment) if need.scale <= 1), default=0.0)


def peak_rate(load: Load) -> float:
    """Requests a second at most, of the main load and of all canaries together."""
    return load.peak_per_s + load.canary_rate_per_s * len(_sent(load))


def _scaled_load(load: Load, scale: float) -> Load:
    stages = tuple(
        stage.model_copy(update={"rate_per_s": stage.rate_per_s * scale}) for stage in load.stages
    )
    rates = {
        "rate_per_s": load.rate_per_s * scale,
        "canary_rate_per_s": load.canary_rate_per_s * scale,
    }
    return load.model_copy(update={**rates, "stages": stages})


@dataclass(frozen=True, slots=True)
class _Need:
    """What an expectation needs to be judged, and what it gets; `unit` says of what."""

    item: Expectation
    needed: float
    sent: float
    unit: str

    @property
    def scale(self) -> float:
        """The part of what is sent that is enough."""
        return self.needed / self.sent if self.sent > 0 else float("inf")


def _check_floors(found: Experiment, at_full_rate: Experiment) -> None:
    least = smallest_scale(at_full_rate)
    missed = [need for need in _needs(found) if need.sent < need.needed * (1 - 1e-9)]
    enough_before = {need.item.id for need in _needs(at_full_rate) if need.scale <= 1}
    problems = [
        f"  {need.item.phase}.{need.item.subject}: {need.item.text} needs {ceil(need.needed):,} "
        f"{need.unit}, and about {need.sent:,.0f} would be sent"
        for need in missed
        if need.item.id in enough_before
    ]
    if problems:
        text = f"{found.name}: --scale {found.scale:g} is too small\n" + "\n".join(problems)
        raise UsageError(text, f"--scale {ceil(100 * least) / 100:g} or more, or longer phases")


def _needs(experiment: Experiment) -> Iterator[_Need]:
    for item in experiment.hypothesis:
        need = _need(item, experiment)
        if need is not None:
            yield need


def _need(item: Expectation, experiment: Experiment) -> _Need | None:
    """None for what needs no number of requests."""
    load, phase = experiment.load, _phase(item, experiment)
    if item.aspect == "operation":
        needed = _of_operation(item)
        sent = _requests(load, item.subject, phase)
        return _Need(item, needed, sent, f"requests in {item.phase}") if needed else None
    if item.aspect in ("traffic_share", "cache", "replica_share"):
        sent = _answers(item.aspect, experiment, phase)
        return _Need(item, SHARE_SAMPLES_MIN, sent, f"answers in {item.phase}")
    if item.aspect == "reads":
        readers = [name for name in _sent(load) if experiment.operations[name].reads]
        sent = sum(_requests(load, name, phase) for name in readers)
        return _Need(item, READS_MIN, sent, "reads of acknowledged writes")
    if item.aspect == "writes" and experiment.faults:
        first_s = min(fault.start_s for fault in experiment.faults)
        second = Phase(name="before", start_s=first_s - 1, end_s=first_s)
        writers = [name for name in _sent(load) if experiment.operations[name].is_write]
        sent = sum(_requests(load, name, second) for name in writers)
        return _Need(item, ACKNOWLEDGED_MIN, sent, "writes in the second before the fault")
    return None


def _of_operation(item: Expectation) -> float:
    """How many requests its figure takes, as the judge has it; 0 if any number will do."""
    if item.metric == "error_rate":
        return 3 / item.limit if item.limit > 0 else 0
    if item.metric == "requests" and item.comparison in (">=", ">"):
        return item.limit
    return _PERCENTILES.get(item.metric, 0)


def _answers(aspect: str, experiment: Experiment, phase: Phase) -> float:
    """Every answer names its server, every read its tier; only cold reads surely reach a node."""
    load = experiment.load
    reads = [name for name in _sent(load) if not experiment.operations[name].is_write]
    if aspect == "replica_share":
        return load.canary_rate_per_s * len(reads) * (phase.end_s - phase.start_s)
    names = _sent(load) if aspect == "traffic_share" else reads
    return sum(_requests(load, name, phase) for name in names)


def _phase(item: Expectation, experiment: Experiment) -> Phase:
    if item.phase != "run":
        return experiment.phase(item.phase)
    judged = [phase for phase in experiment.phases if phase.is_judged]
    start_s = judged[0].start_s if judged else 0.0
    return Phase(name="run", start_s=start_s, end_s=experiment.end_s)


def _requests(load: Load, operation: str, phase: Phase) -> float:
    """How many of an operation are due in a phase, of main load and canary."""
    share = load.mix.get(operation, 0.0) / (sum(load.mix.values()) or 1.0)
    canary = load.canary_rate_per_s * (phase.end_s - phase.start_s) if share > 0 else 0.0
    return share * _main_requests(load, phase.start_s, phase.end_s) + canary


def _main_requests(load: Load, start_s: float, end_s: float) -> float:
    """The integral of the main rate, which is linear between the corners of its stages."""
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


def _sent(load: Load) -> list[str]:
    return [name for name, weight in load.mix.items() if weight > 0]
