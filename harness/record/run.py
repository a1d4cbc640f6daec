"""One run as it was recorded: what was planned, what happened, every request.

The tables of requests come from `analysis.reading`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.model.experiment import Experiment, Phase
from harness.model.findings import RemedyFound
from harness.model.planned import phase_of
from harness.record.wall_times import WallTimes

if TYPE_CHECKING:
    import pandas as pd

NOT_THE_TARGETS = ("dropped", "no_descriptors", "unfinished")
"""Errors that are not evidence about the target: the generator's own, and the end of the run."""


Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Record:
    """`main` and `canary` have columns of SAMPLES (see analysis.reading), in order of due time.

    Times are seconds since run start.
    """

    experiment: Experiment
    events: list[dict[str, Any]]
    main: pd.DataFrame
    canary: pd.DataFrame
    faults: list[dict[str, Any]] = field(default_factory=list)
    remedies: list[RemedyFound] = field(default_factory=list)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All phases that began before the run ended."""
        return self.experiment.phases

    @property
    def judged(self) -> list[Phase]:
        """The phases that are judged, then `run`: all of them together."""
        phases = [phase for phase in self.phases if phase.is_judged]
        return [*phases, phase_of("run", self.experiment)]

    @property
    def injected(self) -> list[dict[str, Any]]:
        """The faults that were injected, in the plan's order."""
        return [fault for fault in self.faults if fault["start_s"] is not None]

    @property
    def fault_starts_s(self) -> list[float]:
        """When each of them was."""
        return [float(fault["start_s"]) for fault in self.injected]

    @property
    def changes_s(self) -> list[float]:
        """The same; in a run without any, when each remedy was begun: what the run is about."""
        begun = [each.start_s for each in self.remedies if each.start_s is not None]
        return self.fault_starts_s if self.faults else begun

    @property
    def operations_s(self) -> list[float]:
        """When each planned operation began: a remedy at its own time, while no fault lasted."""
        if not self.remedies:
            return []
        planned = {spec.id for spec in self.experiment.remedies if spec.start_s is not None}
        begun = [each.start_s for each in self.remedies if each.remedy in planned]
        return [at_s for at_s in begun if at_s is not None and not self._is_broken(at_s)]

    def _is_broken(self, at_s: float) -> bool:
        spans = [(fault["start_s"], fault["healed_s"]) for fault in self.injected]
        return any(start <= at_s and (end is None or end > at_s) for start, end in spans)

    @property
    def status(self) -> str:
        """How the run ended; `interrupted` where not even that was written."""
        finished = self.events_of("run.finished")
        return str(finished[-1]["status"]) if finished else "interrupted"

    @property
    def message(self) -> str:
        """What the runner said at the end."""
        finished = self.events_of("run.finished")
        return str(finished[-1].get("message", "")) if finished else "the run was cut off"

    def events_of(self, *names: str) -> list[dict[str, Any]]:
        """The events called one of `names`, in order of time."""
        return sorted((e for e in self.events if e["event"] in names), key=lambda e: e["t_s"])

    def notes(self) -> list[str]:
        """What the reader should know about gaps in the evidence."""
        gaps: dict[str, int] = {}
        for gap in self.events_of("probe.gap"):
            text = f"{gap.get('probe')}: {gap.get('error')}"
            gaps[text] = gaps.get(text, 0) + 1
        counted = [f"{text} ({count} times)" for text, count in sorted(gaps.items())]
        return [*counted, *self._unanswered_at_end()]

    def _unanswered_at_end(self) -> list[str]:
        """The probes that still got no answer when all was healed, by name."""
        last = {e["probe"]: e for e in self.events_of("probe.unanswered", "probe.answered")}
        return [
            f"{name}: no answer from {event['t_s']:.1f} s to the end: {event['error']}"
            for name, event in sorted(last.items())
            if event["event"] == "probe.unanswered"
        ]

    def monotonic_of(self, wall_s: float) -> float:
        """Seconds since run start of a wall-clock time, by the nearest pair of clock readings."""
        return WallTimes(self.events).since_start_s(wall_s)

    def wall_uncertainty_s(self) -> float:
        """How wrong that can be: the most by which two neighbouring pairs disagree."""
        pairs = self.events_of("run.clock")
        offsets_s = [float(pair["wall_s"]) - float(pair["t_s"]) for pair in pairs]
        moved_s = [abs(later - earlier) for earlier, later in pairwise(offsets_s)]
        return max(moved_s, default=nan)


def bounds(samples: pd.DataFrame, phase: Phase) -> slice:
    """Which rows were due in `phase`."""
    times = samples["intended_s"].to_numpy()
    first, last = np.searchsorted(times, [phase.start_s, phase.end_s])
    return slice(int(first), int(last))


def within(samples: pd.DataFrame, phase: Phase) -> pd.DataFrame:
    """The requests that were due in `phase`."""
    return samples.iloc[bounds(samples, phase)]


def is_the_targets(samples: pd.DataFrame) -> Array:
    """For each request whether it says something about the target."""
    return ~samples["error"].isin(NOT_THE_TARGETS).to_numpy()


def codes_of(samples: pd.DataFrame, column: str) -> tuple[list[str], Array]:
    """The names in a column of names, and for each row the place of its own among them."""
    names = samples[column].astype("category").array
    return [str(name) for name in names.categories], np.asarray(names.codes)


def clock_uncertainty_s(record: Record, service: str) -> float | None:
    """By how much a time that the service tells may be off; None if its clock was not measured."""
    event = clock_offsets(record).get(service)
    return abs(event["offset_s"]) + event["uncertainty_s"] if event else None


def workers_of(record: Record) -> list[dict[str, Any]]:
    """What is known of each worker of the main load (model.load.WorkerState); [] if it had none."""
    summary = (record.events_of("load.summary") or [{}])[-1]
    return [state for state in summary.get("workers") or () if isinstance(state, dict)]


def load_clock_uncertainty_s(record: Record, stream: str) -> float:
    """By how much a time of a stream may be off, because a worker's clock recorded it."""
    workers = workers_of(record) if stream == "main" else []
    return max((float(state.get("uncertainty_s") or 0.0) for state in workers), default=0.0)


def clock_offsets(record: Record) -> dict[str, dict[str, Any]]:
    """By service the measurement of its clock with the least uncertainty."""
    best: dict[str, dict[str, Any]] = {}
    for event in record.events_of("clock.offset"):
        known = best.get(event["service"])
        if known is None or event["uncertainty_s"] < known["uncertainty_s"]:
            best[event["service"]] = event
    return best
