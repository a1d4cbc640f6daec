"""How far a database node is behind the primary, in seconds of the primary's own log.

    primary   at t=10: 400   t=11: 500   t=12: 600      bytes of log written
    node                                 t=12: 450      bytes of log replayed
    so it has what the primary had between t=10 and t=11, and is 1 to 2 s behind

No clock but the harness's own is needed, and where nothing is written nothing is behind.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any

from harness.aspects import operations
from harness.aspects.base import Aspect, Comparison, Findings
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, failed, no_figure
from harness.model.metric import LAG, Metric
from harness.model.page import Column, Group, Table
from harness.model.quantity import format_duration
from harness.model.sources import Sources
from harness.record.run import Record

LABEL = "harness.probe.patroni"
WORST, CATCHES_UP = "max", "catches_up_within"
CAUGHT_UP_S = 1.0
"""A node that is no further behind has caught up."""
UNSEEN_S = 3.0
"""If a node or the primary was not seen for longer, what was in between is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """The furthest that a node was behind in a phase: `lag_s` ± `uncertainty_s`, seen at `at_s`.

    None where its position was not seen. `unseen_s`: the longest that it was not.
    """

    lag_s: float | None = None
    uncertainty_s: float = 0.0
    at_s: float | None = None
    looks: int = 0
    unseen_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """After the last healing of a phase's faults, at `healed_s`: since when it was not behind.

    `after_s` is None if it still was at the last look; `watched_s` is when that was.
    """

    healed_s: float
    after_s: float | None = None
    uncertainty_s: float = 0.0
    watched_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node, by judged phase, and by phase with faults that were healed."""

    phases: Mapping[str, Worst] = field(default_factory=dict)
    caught: Mapping[str, Caught] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """A node was between `least_s` and `most_s` behind at `at_s`."""

    at_s: float
    least_s: float
    most_s: float

    @property
    def lag_s(self) -> float:
        """In the middle."""
        return (self.least_s + self.most_s) / 2

    @property
    def uncertainty_s(self) -> float:
        """Half of what lies between."""
        return (self.most_s - self.least_s) / 2


Nodes = Mapping[str, Node]
"""By service."""


def figures(record: Record) -> Nodes:
    """Of each node that was a standby at some look; nothing if positions were not watched."""
    events = record.events_of("db.position")
    primary = Primary([event for event in events if event["is_primary"]])
    by_node: dict[str, list[Look]] = {}
    for event in events:
        if not event["is_primary"] and (look := primary.compared(event)) is not None:
            by_node.setdefault(event["service"], []).append(look)
    return {
        name: Node(
            phases={p.name: worst(looks, p.start_s, p.end_s) for p in record.judged},
            caught=_caught(record, looks),
        )
        for name, looks in sorted(by_node.items())
    }


class Primary:
    """What the primary had written when; of several that claim to be one, who is ahead."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        self._times_s: list[float] = []
        self._positions: list[int] = []
        self._begun: dict[int, int] = {}
        newest = 0
        for event in events:
            timeline, position = event["timeline"] or newest, event["position"]
            if timeline < newest or (self._positions and position < self._positions[-1]):
                continue
            newest = timeline
            self._begun.setdefault(timeline, position)
            self._times_s.append(_asked_s(event))
            self._positions.append(position)

    def compared(self, event: Mapping[str, Any]) -> Look | None:
        """How far behind a node was at a look; None if the primary was not seen around it."""
        at_s, position = _asked_s(event), self._of_the_same(event)
        seen = bisect_right(self._times_s, at_s)
        if not seen or at_s - self._times_s[seen - 1] > UNSEEN_S:
            return None
        passed = bisect_right(self._positions, position, hi=seen)
        if passed == seen:  # all that the primary was seen to have by then
            return Look(at_s, 0.0, at_s - self._times_s[seen - 1])
        least_s = at_s - self._times_s[passed]
        return Look(at_s, least_s, at_s - self._times_s[passed - 1] if passed else least_s)

    def _of_the_same(self, event: Mapping[str, Any]) -> int:
        """What a node has of the primary's log: beyond a later timeline's begin it has its own."""
        timeline, position = event["timeline"], int(event["position"])
        later = [begun for each, begun in self._begun.items() if timeline and each > timeline]
        return min([position, *later])


def _asked_s(event: Mapping[str, Any]) -> float:
    """In the middle of the look."""
    return float(event["t_s"]) - float(event["took_s"]) / 2


def worst(looks: Sequence[Look], start_s: float, end_s: float) -> Worst:
    """The look at which a node was furthest behind, of those in a stretch of the run."""
    mine = [look for look in looks if start_s <= look.at_s < end_s]
    times_s = [start_s, *(look.at_s for look in mine), end_s]
    unseen_s = max(later - at for at, later in pairwise(times_s))
    if not mine:
        return Worst(unseen_s=unseen_s)
    found = max(mine, key=lambda look: look.lag_s)
    return Worst(
        lag_s=found.lag_s,
        uncertainty_s=found.uncertainty_s,
        at_s=found.at_s,
        looks=len(mine),
        unseen_s=unseen_s,
    )


def _caught(record: Record, looks: Sequence[Look]) -> dict[str, Caught]:
    """By phase; what is after the faults of one ends where those of a later one begin."""
    found = {}
    for phase in dict.fromkeys(fault["phase"] for fault in record.injected):
        mine = [fault for fault in record.injected if fault["phase"] == phase]
        healed_s = [fault["healed_s"] for fault in mine]
        if None in healed_s:
            continue
        last_s = max(healed_s)
        until_s = min((s for s in record.fault_starts_s if s > last_s), default=inf)
        found[phase] = caught_up(looks, last_s, until_s)
    return found


def caught_up(looks: Sequence[Look], healed_s: float, until_s: float) -> Caught:
    """The first look after which a node was not behind any more: between it and the one before."""
    after = [look for look in looks if healed_s <= look.at_s < until_s]
    if not after:
        return Caught(healed_s=healed_s)
    watched_s = after[-1].at_s - healed_s
    first = len(after)
    while first and after[first - 1].lag_s <= CAUGHT_UP_S:
        first -= 1
    if first == len(after):
        return Caught(healed_s=healed_s, watched_s=watched_s)
    latest_s = after[first].at_s - healed_s
    earliest_s = after[first - 1].at_s - healed_s if first else 0.0
    half_s = (latest_s - earliest_s) / 2
    return Caught(
        healed_s=healed_s, after_s=earliest_s + half_s, uncertainty_s=half_s, watched_s=watched_s
    )


def _figure(item: Expectation, findings: Findings) -> Figure:
    found, name = findings.of(ASPECT), item.subject.partition(".")[2]
    if name not in found:
        known = f"; seen: {', '.join(found)}" if found else ""
        return no_figure(f"{name} was not seen to be a standby{known}")
    return _worst(item, found[name]) if item.metric == WORST else _catches_up(item, found[name])


def _worst(item: Expectation, node: Node) -> Figure:
    one = node.phases.get(item.phase, Worst())
    if one.lag_s is None:
        return no_figure(f"its position was not seen in {item.phase}")
    text = (
        f"{format_duration(one.lag_s)} behind at {one.at_s:.1f} s, the worst of {one.looks} looks"
    )
    gap = ""
    if one.unseen_s > UNSEEN_S and not _is_over(item, one):
        gap = f"its position was not seen for {format_duration(one.unseen_s)}"
    return Figure(one.lag_s, text, gap=gap, uncertainty=one.uncertainty_s)


def _is_over(item: Expectation, one: Worst) -> bool:
    """Whether what was seen decides, whatever was not."""
    return (one.lag_s or 0.0) - one.uncertainty_s > item.limit


def _catches_up(item: Expectation, node: Node) -> Figure:
    mine = {p: one for p, one in node.caught.items() if item.phase in ("run", p)}
    if not mine:
        return no_figure(f"no fault of {item.phase} was healed")
    never = {phase: one for phase, one in mine.items() if one.after_s is None}
    if never:
        phase, one = max(never.items(), key=lambda each: each[1].watched_s)
        watched = format_duration(one.watched_s)
        if one.watched_s < item.limit:
            return no_figure(f"after {phase} it was seen for {watched} only, and was still behind")
        return failed(f"it was still behind {watched} after healing", "lag_too_long")
    one = max(mine.values(), key=lambda each: each.after_s or 0.0)
    after_s = one.after_s or 0.0
    text = f"it was not behind any more {format_duration(after_s)} after healing"
    happened_s = (one.healed_s, one.healed_s + after_s)
    return Figure(after_s, text, uncertainty=one.uncertainty_s, happened_s=happened_s)


def _lacks(item: Expectation, _: Experiment, sources: Sources) -> str:
    known = [name for name, labels in sources.labels.items() if LABEL in labels]
    name = item.subject.partition(".")[2]
    if known and name not in known:
        return f"no database node is called {name}; known: {', '.join(sorted(known))}"
    return sources.lacks_label(LABEL)


def _compare(findings: Findings, _: object) -> Comparison:
    for name, node in findings.of(ASPECT).items():
        for phase, one in node.caught.items():
            value = inf if one.after_s is None else one.after_s
            yield Compared(phase, f"{LAG}.{name}", CATCHES_UP, "duration", "s"), Measured(value)


def _tables(findings: Findings) -> Iterator[Table]:
    phases = operations.shown_phases(findings)
    columns = (
        Column("Node"),
        *(Column(operations.phase_title(name), "seconds") for name in phases),
        Column("Caught up after healing", "seconds"),
    )
    rows = [
        (
            name,
            *(node.phases.get(phase, Worst()).lag_s for phase in phases),
            max((one.after_s for one in node.caught.values() if one.after_s), default=None),
        )
        for name, node in findings.of(ASPECT).items()
    ]
    yield Table("Furthest behind the primary", columns, [Group("", rows)])


def _has_any(findings: Findings) -> bool:
    return bool(findings.of(ASPECT))


ASPECT = Aspect[Nodes](
    section="lag",
    found=Nodes,
    measure=lambda record, _: figures(record),
    metrics={
        LAG: {
            WORST: Metric("s", "lag_too_long", "phase"),
            CATCHES_UP: Metric("s", "lag_too_long", "fault"),
        }
    },
    figure=_figure,
    lacks=_lacks,
    compare=_compare,
    tables=_tables,
    has_any=_has_any,
)
