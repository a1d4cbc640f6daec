"""What an aspect is: a subject of expectations, from the record to the report, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar, cast

from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure
from harness.model.findings import Run
from harness.model.metric import Metric
from harness.model.page import Table, Tile
from harness.model.planned import Need
from harness.model.sources import Sources
from harness.record.folder import RunFolder
from harness.record.run import Record

Found = TypeVar("Found")
Comparison = Iterable[tuple[Compared, Measured]]


@dataclass(frozen=True)
class Findings:
    """findings.json, typed: the run as a whole, and what was found of each aspect."""

    run: Run
    sections: Mapping[str, Any] = field(default_factory=dict)

    def of(self, aspect: Aspect[Found]) -> Found:
        """What was found of one aspect."""
        return cast(Found, self.sections[aspect.section])


@dataclass(frozen=True, kw_only=True)
class Aspect(Generic[Found]):
    """One aspect of a run. The registry in `aspects/__init__.py` has all of them.

    section   its place in findings.json and result.json; `*`: each field of `found` has its own
    found     the type of that section, by which it is read back and its JSON Schema is made
    measure   record -> section; the only part that sees requests and events
    metrics   by subject of an expectation, then by name
    figure    section -> the figure that an expectation is held against
    lacks     why a target can give no evidence for an expectation, and what to do; "" if it can
    needs     how many requests the figure takes, and how many the plan will send; None for any
    compare   section -> what two sets of runs are compared by; the Set has what is expected
    tiles, tables, template
              what the report shows: key figures, tables, or a template of its own for more
    has_any   whether the target has what this is about; if not, the report does not mention it
    """

    section: str
    found: Any
    measure: Callable[[Record, RunFolder], Found]
    metrics: Mapping[str, Mapping[str, Metric]]
    figure: Callable[[Expectation, Findings], Figure]
    lacks: Callable[[Expectation, Experiment, Sources], str] = lambda _, __, ___: ""
    needs: Callable[[Expectation, Experiment], Need | None] = lambda _, __: None
    compare: Callable[[Findings, Set[str]], Comparison] = lambda _, __: ()
    tiles: Callable[[Findings], Iterable[Tile]] = lambda _: ()
    tables: Callable[[Findings], Iterable[Table]] = lambda _: ()
    template: str = ""
    has_any: Callable[[Findings], bool] = lambda _: True

    def sections(self, found: Found) -> dict[str, Any]:
        """What was found, by section of findings.json."""
        if self.section != EACH_FIELD:
            return {self.section: found}
        return shallow(found)


EACH_FIELD = "*"


def shallow(found: Any) -> dict[str, Any]:
    """The fields of a dataclass as they are; those in LEFT_OUT only where they are not None."""
    values = {f.name: getattr(found, f.name) for f in fields(found)}
    left_out = getattr(found, "LEFT_OUT", ())
    return {n: v for n, v in values.items() if v is not None or n not in left_out}


def never(
    subject: str, counts: Mapping[str, float | None], *, is_known: bool
) -> Iterable[tuple[Compared, Measured]]:
    """Counts of what must never happen; bad news counts even where not all could be checked."""
    for metric, count in counts.items():
        if count is not None and (is_known or count):
            yield Compared("run", subject, metric, "never", "count"), Measured(float(count))
