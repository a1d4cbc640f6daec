"""Counters of the target's own, such as the depth of a queue: lowest, highest, at a phase's end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from harness.aspects import operations
from harness.aspects.base import Aspect, Findings
from harness.model.counter import LABEL, counters_of
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Figure, no_figure
from harness.model.metric import COUNTER, Metric
from harness.model.page import Column, Group, Table
from harness.model.sources import Sources
from harness.record.run import Record

SILENT_MAX_S = 4.0
"""Values come each second, and an answer may take 1.5 s: twice as long is a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The values of one counter in one phase. `silent_s`: the longest time without one, from the
    phase's start to its end; `late_s`: how old the last one was at its end."""

    min: float
    max: float
    at_end: float
    looks: int
    silent_s: float
    late_s: float


Counters = Mapping[str, Mapping[str, Mapping[str, Extent]]]
"""By name of the counter, service, and phase; phases without a value are left out."""


def figures(record: Record) -> Counters:
    """All counters that had a value, in all judged phases."""
    looks: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for event in record.events_of("counter.value"):
        mine = looks.setdefault(event["counter"], {}).setdefault(event["service"], [])
        mine.append((event["t_s"], float(event["value"])))
    return {
        name: {service: _by_phase(record, values) for service, values in sorted(mine.items())}
        for name, mine in sorted(looks.items())
    }


def _by_phase(record: Record, looks: Sequence[tuple[float, float]]) -> dict[str, Extent]:
    extents = {phase.name: _extent(phase, looks) for phase in record.judged}
    return {name: extent for name, extent in extents.items() if extent is not None}


def _extent(phase: Phase, looks: Sequence[tuple[float, float]]) -> Extent | None:
    """What the values were; the one before the phase does not count, its end is the last one's."""
    inside = [(at_s, value) for at_s, value in looks if phase.start_s <= at_s < phase.end_s]
    if not inside:
        return None
    values = [value for _, value in inside]
    times = [phase.start_s, *(at_s for at_s, _ in inside), phase.end_s]
    return Extent(
        min=min(values),
        max=max(values),
        at_end=values[-1],
        looks=len(inside),
        silent_s=max(later - earlier for earlier, later in pairwise(times)),
        late_s=phase.end_s - inside[-1][0],
    )


def _figure(item: Expectation, findings: Findings) -> Figure:
    """The worst of all services that have the counter: all of them must keep the limit."""
    name = item.subject.partition(".")[2]
    services = findings.of(ASPECT).get(name)
    if not services:
        return no_figure(f"the counter {name} never had a value")
    extents = {service: by_phase.get(item.phase) for service, by_phase in services.items()}
    known = {service: extent for service, extent in extents.items() if extent is not None}
    if len(known) < len(extents):
        silent = ", ".join(sorted(extents.keys() - known.keys()))
        return no_figure(f"{name} had no value in {item.phase} on {silent}")
    values = {service: float(getattr(extent, item.metric)) for service, extent in known.items()}
    worst = _worst(item, values)
    value = values[worst]
    evidence = f"{value:g} on {worst}, of {known[worst].looks} values"
    silent_s = max(e.late_s if item.metric == "at_end" else e.silent_s for e in known.values())
    if silent_s > SILENT_MAX_S and item.holds(value):
        gap = f"{name} had no value for {silent_s:.1f} s of {item.phase}; what was seen: {evidence}"
        return Figure(value, evidence, gap=gap)
    return Figure(value, evidence)


def _worst(item: Expectation, values: Mapping[str, float]) -> str:
    """The service whose value is furthest from the limit on its wrong side."""
    if item.comparison == "==":
        return max(values, key=lambda service: abs(values[service] - item.limit))
    return (min if item.comparison[0] == ">" else max)(values, key=lambda one: values[one])


def _lacks(item: Expectation, _: Experiment, sources: Sources) -> str:
    names = {
        name
        for service, labels in sources.labels.items()
        if LABEL in labels
        for name in counters_of(service, labels[LABEL])
    }
    name = item.subject.partition(".")[2]
    if names and name not in names:
        return f"no counter named {name}; known: {', '.join(sorted(names))}"
    return sources.lacks_label(LABEL)


def _tables(findings: Findings) -> Iterator[Table]:
    counts: tuple[Any, ...] = ("Lowest", "Highest", "At its end", "Values")
    columns = (
        *(Column("Counter"), Column("Service"), Column("Phase")),
        *(Column(label, "count") for label in counts),
        Column("Longest without", "seconds"),
    )
    rows = [
        (name, service, operations.phase_title(phase), *_cells(extent))
        for name, services in findings.of(ASPECT).items()
        for service, phases in services.items()
        for phase, extent in phases.items()
    ]
    yield Table("Counters", columns, [Group("", rows)], id="counters")


def _cells(extent: Extent) -> tuple[float, ...]:
    return extent.min, extent.max, extent.at_end, extent.looks, extent.silent_s


_of_phase = partial(Metric, "count", "counter_off", scope="phase")

ASPECT = Aspect[Counters](
    section="counters",
    found=Counters,
    measure=lambda record, _: figures(record),
    metrics={COUNTER: {name: _of_phase() for name in ("min", "max", "at_end")}},
    figure=_figure,
    lacks=_lacks,
    tables=_tables,
)
