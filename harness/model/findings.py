"""What findings.json says of a run as a whole; what it says of each aspect is in `aspects`.

What may be missing has a default: in findings of older versions, and in runs that were cut off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar, Literal

from harness.model.coverage import Gap
from harness.model.figure import Basis
from harness.model.machine import DISTURBANCE_MARGIN_S, Disturbance, NoHeadroom
from harness.model.series import MachineSeries, Series
from harness.model.surprise import Surprise


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, in seconds since run start."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFound:
    """One fault, what was planned and what came of it. `service`: the first of those it broke."""

    fault: str = ""
    kind: str
    target: str = ""
    phase: str = ""
    detail: str = ""
    service: str | None = None
    candidates: Sequence[str] = ()
    start_s: float | None = None
    effect_s: float | None = None
    healed_s: float | None = None
    planned_s: float | None = None
    held_s: float | None = None
    lost_s: float | None = None
    evidence: str | None = None
    proven: bool
    healed: bool = False

    def began_in(self, phase: str) -> bool:
        """Whether it is one of the phase's faults; all are of `run`."""
        return phase in ("run", self.phase)


RemedyState = Literal["not begun", "unfinished", "done", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyFound:
    """What the operator did: when it was due, begun, done, and taken back; None: it was not.

    `for_s`: how long it was to last, None: it was taken back at the end of the run, if at all.

    `when` says what it waited for. `command`: the words of it, () if it ran none; `output`: the
    last lines that it printed. `detail`: what was done, or why it was not.
    """

    remedy: str
    kind: str
    target: str
    when: str = ""
    services: Sequence[str] = ()
    command: Sequence[str] = ()
    state: RemedyState = "not begun"
    asked_s: float | None = None
    start_s: float | None = None
    done_s: float | None = None
    for_s: float | None = None
    undoing_s: float | None = None
    undone_s: float | None = None
    detail: str = ""
    output: Sequence[str] = ()

    @property
    def over_s(self) -> float | None:
        """When it was done, or taken back if it was to last for a time; None: it never was."""
        return self.done_s if self.for_s is None else self.undone_s

    @property
    def took_s(self) -> float | None:
        """From its begin until it was done, or had failed."""
        return None if self.start_s is None or self.done_s is None else self.done_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFound:
    """One of several workers of the main load; its clock is in Clocks.

    `problem` says why its share is not whole, from `lost_s` on, "" if it is.
    """

    number: int
    host: str = ""
    requests: int | None = None
    problem: str = ""
    lost_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadHealth:
    """Whether the generator kept its schedule, and how it did; `lost`: a worker that is missing."""

    intended: int | None = None
    sent: int | None = None
    dropped: int | None = None
    send_lateness_s: Mapping[str, float | None] = field(default_factory=dict)
    on_schedule_share: float | None = None
    cpu_share: float | None = None
    stalls: int | None = None
    stall_max_s: float | None = None
    not_reached: int | None = None
    healthy: bool | None = None
    problems: Sequence[str] = ()
    workers: Sequence[WorkerFound] = ()
    lost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Where requests are missing, and by stream whether there was a plan to hold it against."""

    planned: Mapping[str, bool] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()

    def gap_in(self, wanted: Basis) -> str:
        """The first gap in these requests, in words; "" if none, or if nothing was counted."""
        for gap in sorted(self.gaps, key=lambda gap: gap.start_s):
            times = wanted.start_s, wanted.end_s
            if any(gap.concerns(name, wanted.operation, *times) for name in wanted.streams):
                return gap.text
        return ""


@dataclass(frozen=True, slots=True)
class Busy:
    """A process of others and its share of the usable processor time."""

    name: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A disturbance, as in the findings."""

    start_s: float
    end_s: float
    share: float
    why: str
    steal_share: float | None = None
    who: Sequence[Busy] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """What the run's own work left idle before any fault."""

    start_s: float | None = None
    end_s: float | None = None
    idle_share: float | None = None
    no_headroom: bool | None = None
    shares: Mapping[str, float | None] = field(default_factory=dict)
    rate_per_s: float | None = None
    idle_cost_share: float | None = None
    rate_that_fits_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Who used the CPU. `series` is for charts."""

    cpus: float | None = None
    million_additions_per_s: float | None = None
    disturbed: Sequence[Stretch] = ()
    headroom: Headroom = Headroom()
    steal_share: float | None = None
    others_share: float | None = None
    pressure_share: float | None = None
    series: MachineSeries = field(default_factory=MachineSeries)

    FOR_CHARTS: ClassVar[tuple[str, ...]] = ("series",)

    @property
    def disturbances(self) -> tuple[Disturbance, ...]:
        """All stretches, in order of time."""
        return tuple(
            Disturbance(
                row.start_s,
                row.end_s,
                row.share,
                tuple((who.name, who.share) for who in row.who),
                row.why,
            )
            for row in self.disturbed
        )

    @property
    def no_headroom(self) -> NoHeadroom | None:
        """Where it was too small for the load before any fault; None if not, or not known."""
        found = self.headroom
        if not found.no_headroom or found.idle_share is None:
            return None
        return NoHeadroom(found.idle_share, found.rate_per_s or 0.0, found.rate_that_fits_per_s)

    def disturbed_in(self, start_s: float, end_s: float) -> Disturbance | None:
        """The disturbance that took most of that time, None if there was none.

        The `DISTURBANCE_MARGIN_S` after a disturbance belong to it.
        """
        touching = [
            one
            for one in self.disturbances
            if one.start_s < end_s and one.end_s + DISTURBANCE_MARGIN_S > start_s
        ]
        return max(touching, key=lambda one: one.share * (one.end_s - one.start_s), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The monotonic clock of a container, or of a worker of the load, against the host's."""

    offset_s: float | None = None
    uncertainty_s: float | None = None
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WallClock:
    """How well what is known by the wall clock alone can be placed."""

    pairs: int | None = None
    uncertainty_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """How far the clocks of a run agree."""

    containers: Mapping[str, Clock] = field(default_factory=dict)
    workers: Mapping[str, Clock] = field(default_factory=dict)
    wall: WallClock = WallClock()


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the findings say of the run as a whole. `series` is for charts."""

    run_id: str = ""
    status: str = "interrupted"
    message: str = ""
    experiment: str = ""
    title: str = ""
    started_at: str | None = None
    lasted_s: float | None = None
    end_s: float | None = None
    scale: float | None = None
    phases: Mapping[str, Span] = field(default_factory=dict)
    faults: Sequence[FaultFound] = ()
    remedies: Sequence[RemedyFound] = ()
    surprises: Sequence[Surprise] = ()
    load: LoadHealth | None = None
    coverage: Coverage = Coverage()
    machine: Machine = Machine()
    safeguards: Sequence[Mapping[str, Any]] = ()
    clocks: Clocks = Clocks()
    notes: Sequence[str] = ()
    series: Series = field(default_factory=Series)

    FOR_CHARTS: ClassVar[tuple[str, ...]] = ("series",)

    @property
    def phase_names(self) -> list[str]:
        """The phases in the order of the run; the file has them by name."""
        return sorted(self.phases, key=lambda name: self.phases[name].start_s)

    @property
    def fault_starts_s(self) -> list[float]:
        """When each fault that was injected began."""
        return [fault.start_s for fault in self.faults if fault.start_s is not None]

    def faults_of(self, phase: str) -> list[FaultFound]:
        """The faults that begin in the phase; all for `run`."""
        return [fault for fault in self.faults if fault.began_in(phase)]

    def window(self, phase: str) -> tuple[float, float]:
        """From when to when the phase lasts, in seconds since run start; `run` has no end."""
        if phase == "run" or phase not in self.phases:
            return 0.0, inf
        return self.phases[phase].start_s, self.phases[phase].end_s
