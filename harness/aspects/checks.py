"""Hypotheses of the user's own: what each look of a check saw before, during and after the faults.

             first fault        last healing
warmup | before |xxxxx during xxxxx| after ............. end of the run, and the last look
       o  o  o  o   o  o  o  o  o  | o   o
                                   |<--->| within: from the healing to the first look that holds
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from math import inf
from typing import Any

from harness.aspects.base import Aspect, Comparison, Findings
from harness.model.check import MOMENTS, WITHIN, CheckSpec
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.figure import Figure, failed, flag, no_figure
from harness.model.metric import CHECK, Metric
from harness.model.page import Column, Group, Table, Tile
from harness.model.quantity import format_duration
from harness.record.run import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How many there were, in how many it held, and how many could not be made.

    `holds`: False if one did not, True if all did, None where that was not seen. `missed` is what
    was seen at the first that did not, `last` at the last one.
    """

    holds: bool | None = None
    looks: int = 0
    held: int = 0
    unseen: int = 0
    missed_s: float | None = None
    missed: str = ""
    last_s: float | None = None
    last: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `held_after_s`: seconds from the last healing until it held, ± `uncertainty_s`.

    `watched_s`: how long it was looked at after the last healing.
    """

    kind: str = ""
    expect: Sequence[str] = ()
    before: Looks = Looks()
    during: Looks = Looks()
    after: Looks = Looks()
    held_after_s: float | None = None
    uncertainty_s: float | None = None
    watched_s: float | None = None

    def of(self, moment: str) -> Looks:
        """The looks of `before`, `during` or `after`."""
        return {"before": self.before, "during": self.during, "after": self.after}[moment]


@dataclass(frozen=True, slots=True)
class Look:
    """From `began_s` to `ended_s` of the run; `holds` is None where nothing could be seen."""

    began_s: float
    ended_s: float
    holds: bool | None
    seen: str


Checks = Mapping[str, Check]
"""By name."""


def figures(record: Record) -> Checks:
    """What was seen of each check of the experiment."""
    return {spec.name: _found(spec, record) for spec in record.experiment.checks}


def _found(spec: CheckSpec, record: Record) -> Check:
    looks = [
        Look(float(e["t_s"]) - float(e["took_s"]), float(e["t_s"]), e["holds"], str(e["seen"]))
        for e in record.events_of("check.look")
        if e["check"] == spec.name
    ]
    spans = [(f["start_s"], f["healed_s"] or inf) for f in record.injected]
    first_s = min((start_s for start_s, _ in spans), default=inf)
    last_s = max((healed_s for _, healed_s in spans), default=inf)
    judged_s = record.judged[-1].start_s
    before = [one for one in looks if judged_s <= one.began_s and one.ended_s <= first_s]
    during = [
        one for one in looks
        if any(s + spec.grace_s <= one.began_s and one.ended_s <= end_s for s, end_s in spans)
    ]  # fmt: skip
    after = [one for one in looks if one.began_s >= last_s]
    return Check(
        kind=spec.kind,
        expect=spec.expect,
        before=_counted(before),
        during=_counted(during),
        after=_counted(after),
        **_settled(looks, last_s),
    )


def _counted(looks: Sequence[Look]) -> Looks:
    missed = next((one for one in looks if one.holds is False), None)
    held = sum(one.holds is True for one in looks)
    return Looks(
        holds=False if missed else True if looks and held == len(looks) else None,
        looks=len(looks),
        held=held,
        unseen=sum(one.holds is None for one in looks),
        missed_s=missed.ended_s if missed else None,
        missed=missed.seen if missed else "",
        last_s=looks[-1].ended_s if looks else None,
        last=looks[-1].seen if looks else "",
    )


def _settled(looks: Sequence[Look], healed_s: float) -> dict[str, float | None]:
    """When it held first after the healing: between the begin of the look before, and its end."""
    after = [one for one in looks if one.began_s >= healed_s]
    watched_s = after[-1].ended_s - healed_s if after else None
    for number, one in enumerate(after):
        if one.holds:
            latest_s = one.ended_s - healed_s
            earliest_s = after[number - 1].began_s - healed_s if number else 0.0
            half_s = (latest_s - earliest_s) / 2
            return {
                "held_after_s": earliest_s + half_s,
                "uncertainty_s": half_s,
                "watched_s": watched_s,
            }
    return {"watched_s": watched_s}


def _figure(item: Expectation, findings: Findings) -> Figure:
    found = findings.of(ASPECT).get(item.subject.partition(".")[2])
    if found is None:
        return no_figure("it was not looked at")
    return _within(item, found) if item.metric == WITHIN else _held(found.of(item.metric))


def _held(looks: Looks) -> Figure:
    """1 if it held at every look, 0 if it was seen not to; nothing where it was not seen."""
    if looks.holds is False:
        last = f"; last seen at {_clock(looks.last_s)}: {looks.last}"
        count = looks.looks - looks.held - looks.unseen
        text = f"at {_clock(looks.missed_s)} {looks.missed} ({count} of {looks.looks} looks)"
        return flag(value=False, evidence=text + (last if looks.last_s != looks.missed_s else ""))
    if not looks.looks:
        return no_figure("there was no look in that time")
    if looks.holds is None:
        return no_figure(
            f"{looks.unseen} of {looks.looks} looks could not be made; last: {looks.last}"
        )
    return flag(value=True, evidence=f"held at all {looks.looks} looks; last seen: {looks.last}")


def _within(item: Expectation, found: Check) -> Figure:
    if found.held_after_s is not None:
        text = f"it held {format_duration(found.held_after_s)} after healing"
        return Figure(found.held_after_s, text, uncertainty=found.uncertainty_s or 0.0)
    watched_s, looks = found.watched_s or 0.0, found.after
    if watched_s < item.limit or looks.unseen == looks.looks:
        seen = f"; last: {looks.last}" if looks.last else ""
        return no_figure(
            f"it was watched for {format_duration(watched_s)} after healing, in {looks.looks}"
            f" looks of which {looks.unseen} could not be made{seen}"
        )
    text = f"it did not hold within {format_duration(watched_s)} of healing; last: {looks.last}"
    return failed(text, "check_failed")


def _clock(at_s: float | None) -> str:
    return f"{at_s:.1f} s" if at_s is not None else "no time"


def _compare(findings: Findings, _: Set[str]) -> Comparison:
    for name, found in findings.of(ASPECT).items():
        if found.held_after_s is not None:
            figure = Compared("run", f"{CHECK}.{name}", WITHIN, "duration", "s")
            yield figure, Measured(found.held_after_s)


def _tiles(findings: Findings) -> Iterator[Tile]:
    for name, found in findings.of(ASPECT).items():
        if found.held_after_s is not None:
            note = "after healing"
            yield Tile(
                name, found.held_after_s, note, "", uncertainty_s=found.uncertainty_s,
                format="seconds",
            )  # fmt: skip


def _tables(findings: Findings) -> Iterator[Table]:
    columns = (
        *(Column("When"), Column("Looks", "count"), Column("Held", "count")),
        *(Column("Not seen", "count"), Column("First missed", "clock"), Column("What was seen")),
        *(Column("Last look", "clock"), Column("Last seen")),
    )
    groups = [
        Group(f"{name}: {', '.join(found.expect) or found.kind}", list(_rows(found)))
        for name, found in findings.of(ASPECT).items()
    ]
    yield Table("Checks", columns, groups, id="checks")


def _rows(found: Check) -> Iterable[tuple[Any, ...]]:
    for moment in MOMENTS:
        one = found.of(moment)
        if one.looks:
            missed = (one.missed_s, one.missed)
            yield (moment, one.looks, one.held, one.unseen, *missed, one.last_s, one.last)


ASPECT = Aspect[Checks](
    section="checks",
    found=Checks,
    measure=lambda record, _: figures(record),
    metrics={
        CHECK: {
            **{moment: Metric("flag", "check_failed") for moment in MOMENTS},
            WITHIN: Metric("s", "check_failed"),
        }
    },
    figure=_figure,
    compare=_compare,
    tiles=_tiles,
    tables=_tables,
)
