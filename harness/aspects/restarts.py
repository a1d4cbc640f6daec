"""Containers that exited, and no fault or remedy of the run explains it: how often, and which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.aspects.base import Aspect, Comparison, Findings, never
from harness.model.expectation import Expectation
from harness.model.figure import Figure, no_figure
from harness.model.metric import Metric
from harness.model.page import Column, Group, Table, Tile
from harness.record.causes import causes_of, places_of
from harness.record.deaths import Death, unplanned_deaths
from harness.record.run import Record

SHOWN_MAX = 20
"""How many exits the report lists; a container in a crash loop has hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """`unexpected` exits in all and by container; None where the containers were not watched."""

    unexpected: int | None = None
    by_container: Mapping[str, int] = field(default_factory=dict)
    exits: Sequence[Death] = ()


def figures(record: Record) -> Restarts:
    """By the engine's events; if they were watched, the project's containers are known too."""
    if not record.events_of("target.parts"):
        return Restarts()
    exits = unplanned_deaths(record, places_of(record), causes_of(record))
    by_container = Counter(death.service for death in exits)
    return Restarts(unexpected=len(exits), by_container=by_container, exits=exits)


def _figure(_: Expectation, findings: Findings) -> Figure:
    found = findings.of(ASPECT)
    if found.unexpected is None:
        return no_figure("the containers were not watched")
    each = ", ".join(f"{name} {count}" for name, count in sorted(found.by_container.items()))
    return Figure(found.unexpected, f"unexpected exits: {each}" if each else "no unexpected exit")


def _compare(findings: Findings, _: object) -> Comparison:
    return never("restarts", {"unexpected": findings.of(ASPECT).unexpected}, is_known=True)


def _tiles(findings: Findings) -> Iterator[Tile]:
    found = findings.of(ASPECT)
    if found.unexpected is not None:
        tone = "bad" if found.unexpected else "good"
        yield Tile("unexpected exits", found.unexpected, "of containers", tone)


def _tables(findings: Findings) -> Iterator[Table]:
    columns = (
        *(Column("Container"), Column("At", "clock"), Column("Exit code")),
        *(Column("For memory", "flag"), Column("Back at", "clock")),
    )
    exits = findings.of(ASPECT).exits
    rows = [
        (death.service, death.at_s, death.exit_code, death.is_for_memory, death.back_s)
        for death in exits[:SHOWN_MAX]
    ]
    more = len(exits) - SHOWN_MAX
    text = f"The first {SHOWN_MAX}; {more:,} more are in findings.json." if more > 0 else ""
    yield Table("Unexpected exits", columns, [Group("", rows)], id="restarts", text=text)


ASPECT = Aspect[Restarts](
    section="restarts",
    found=Restarts,
    measure=lambda record, _: figures(record),
    metrics={"restarts": {"unexpected": Metric("count", "exited_unexpectedly", is_invariant=True)}},
    figure=_figure,
    compare=_compare,
    tiles=_tiles,
    tables=_tables,
)
