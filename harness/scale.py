"""An experiment at a fraction of its rates, for a machine that is too small for all of them. Pure.

Rates are multiplied and nothing else is: phases keep their length, limits stay what they are. So
fewer requests are sent, and what was enough of them at full rate may be too few for a figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from harness.aspects import aspect_of
from harness.errors import UsageError
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.load import Load

STEPS = (1.0, 0.75, 0.5, 0.35, 0.25)
"""What `auto` chooses from: few, so that runs on one machine mostly have the same rates."""


def scaled(experiment: Experiment, scale: float) -> Experiment:
    """The same with all rates multiplied: main load, its stages, canary.

    UsageError if it cannot be scaled, or if an expectation could not have enough requests then.
    """
    if scale == 1:
        return experiment
    if experiment.load.replay:
        text = f"{experiment.name}: a replay keeps its recorded rate"
        raise UsageError(text, "leave out --scale")
    load = _scaled_load(experiment.load, scale)
    found = experiment.model_copy(update={"load": load, "scale": scale})
    _check_floors(found, experiment)
    return found


def smallest_scale(experiment: Experiment) -> float:
    """Below this an expectation that has enough requests at full rate would have too few."""
    return max((need.scale for need in _needs(experiment) if need.scale <= 1), default=0.0)


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
        f"{need.unit}, but only about {need.sent:,.0f} would be sent"
        for need in missed
        if need.item.id in enough_before
    ]
    if problems:
        text = f"{found.name}: --scale {found.scale:g} leaves too few requests\n" + "\n".join(
            problems
        )
        raise UsageError(text, f"--scale {ceil(100 * least) / 100:g} or more, or longer phases")


def _needs(experiment: Experiment) -> Iterator[_Need]:
    for item in experiment.hypothesis:
        need = _need(item, experiment)
        if need is not None:
            yield need


def _need(item: Expectation, experiment: Experiment) -> _Need | None:
    """None for what needs no number of requests."""
    need = aspect_of(item).needs(item, experiment)
    return _Need(item, need.needed, need.sent, need.unit) if need else None
