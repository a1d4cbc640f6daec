"""Where DNS sent the users of each place: how soon to another region, and how soon back.

    effect of the faults          healing
    us us us|us us eu eu eu eu eu|eu eu us us us      what DNS answered the users of one place
            |----> switched      |----> returned

A place has switched, or returned, with the first answer after which that did not change any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from harness.aspects import operations
from harness.aspects.base import Aspect, Comparison, Findings
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, failed, no_figure
from harness.model.metric import Metric
from harness.model.page import Column, Group, Table
from harness.model.quantity import format_duration
from harness.model.sources import Sources
from harness.record.run import Record

SWITCHES, RETURNS = "switches_within", "returns_within"
LATENCY = "p50"
"""The percentile that shows best how far a place is from its region."""


@dataclass(frozen=True, slots=True)
class Stay:
    """From when on, in seconds since run start, DNS sent a place's users to a region."""

    at_s: float
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One place around the faults of a phase; times are seconds since run start.

    `was`: its region before, None where DNS had not answered yet. `switched_s`: since when it was
    at another one (`to`) until healing began; `returned_s`: since when it was at its own again;
    None if it was not at the end of that time. `is_silent`: DNS gave no answer of use at the end of
    the fault, `is_silent_after` at the end of the time after it.
    """

    was: str | None = None
    to: str | None = None
    switched_s: float | None = None
    returned_s: float | None = None
    is_silent: bool = False
    is_silent_after: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The faults of one phase together: from the first effect until the last one is being healed.

    `healing_s` is None where one of them was not healed. `switches_within_s`, `returns_within_s`:
    until the last place had switched, or returned; None if one did not, or none had to.
    """

    effect_s: float
    healing_s: float | None = None
    switches_within_s: float | None = None
    returns_within_s: float | None = None
    places: Mapping[str, Moved] = field(default_factory=dict)

    @property
    def concerned(self) -> dict[str, Moved]:
        """The places of a region that some place has left."""
        return _concerned(self.places)


def _concerned(places: Mapping[str, Moved]) -> dict[str, Moved]:
    left = {one.was for one in places.values() if one.switched_s is not None}
    return {name: one for name, one in places.items() if one.was in left}


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPlace:
    """One place: its share of the load, what DNS answered its users, and how often nothing."""

    share: float | None = None
    stays: Sequence[Stay] = ()
    answers: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFound:
    """By place, and by each phase with faults that took effect."""

    places: Mapping[str, FromPlace] = field(default_factory=dict)
    around: Mapping[str, Around] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking DNS for one place, in order of time: a region, "" for no answer."""

    looks: Sequence[Stay]

    def within(self, start_s: float, end_s: float) -> Asked:
        """Those of a stretch of the run."""
        return Asked([look for look in self.looks if start_s <= look.at_s < end_s])

    @property
    def answers(self) -> list[Stay]:
        """Those with a region."""
        return [look for look in self.looks if look.region]

    @property
    def is_silent(self) -> bool:
        """Whether the last one had none."""
        return bool(self.looks) and not self.looks[-1].region

    def settled(self, holds: Callable[[str], bool]) -> Stay | None:
        """The first answer from which on all regions are such; None if the last is not."""
        found = None
        for answer in reversed(self.answers):
            if not holds(answer.region):
                break
            found = answer
        return found


def figures(record: Record) -> DnsFound:
    """Of a run whose load has places; nothing of any other."""
    shares = record.experiment.load.places
    asked = {place: _asked(record, place) for place in shares}
    return DnsFound(
        places={place: _from_place(share, asked[place]) for place, share in shares.items()},
        around=_around(record, asked) if shares else {},
    )


def _asked(record: Record, place: str) -> Asked:
    events = record.events_of("dns.answer", "dns.failed")
    mine = (event for event in events if event["place"] == place)
    return Asked([Stay(float(e["t_s"]), str(e.get("region", ""))) for e in mine])


def _from_place(share: float, asked: Asked) -> FromPlace:
    answers = asked.answers
    before = [None, *(answer.region for answer in answers)]
    return FromPlace(
        share=share,
        stays=[now for was, now in zip(before, answers, strict=False) if now.region != was],
        answers=len(answers),
        failed=len(asked.looks) - len(answers),
    )


def _around(record: Record, asked: Mapping[str, Asked]) -> dict[str, Around]:
    """By phase; what is after the faults of one ends where those of a later one begin."""
    faults = _by_phase(record)
    starts_s = {phase: min(f["start_s"] for f in mine) for phase, mine in faults.items()}
    began_s = {e["fault"]: float(e["t_s"]) for e in record.events_of("fault.healing")}
    found = {}
    for phase, mine in faults.items():
        start_s = starts_s[phase]
        healing_s = [began_s.get(fault["fault"], inf) for fault in mine]
        until_s = min((at_s for at_s in starts_s.values() if at_s > start_s), default=inf)
        times = (start_s, min(*healing_s, until_s), until_s)
        places = {place: _moved(each, *times) for place, each in asked.items()}
        healing = None if inf in healing_s else max(healing_s)
        found[phase] = measured(min(map(_effect_s, mine)), healing, places)
    return found


def measured(effect_s: float, healing_s: float | None, places: Mapping[str, Moved]) -> Around:
    """With how long the last of the places took."""
    away = [one for one in places.values() if one.switched_s is not None]
    return Around(
        effect_s=effect_s,
        healing_s=healing_s,
        switches_within_s=_longest_s(effect_s, [m.switched_s for m in _concerned(places).values()]),
        returns_within_s=_longest_s(healing_s, [one.returned_s for one in away]),
        places=places,
    )


def _longest_s(since_s: float | None, at_s: Sequence[float | None]) -> float | None:
    """Until the last of them; what came sooner came at once. None unless all are known."""
    known_s = [each for each in at_s if each is not None]
    if since_s is None or not known_s or len(known_s) < len(at_s):
        return None
    return max(0.0, max(known_s) - since_s)


def _by_phase(record: Record) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for fault in record.injected:
        found.setdefault(fault["phase"], []).append(fault)
    return found


def _effect_s(fault: Mapping[str, Any]) -> float:
    return float(fault["start_s"] if fault["effect_s"] is None else fault["effect_s"])


def _moved(asked: Asked, start_s: float, healing_s: float, end_s: float) -> Moved:
    """What became of a place from the injection until healing began, and from then to `end_s`.

    The effect may be seen a moment after it was: what DNS did meanwhile counts as at once.
    """
    before = asked.within(-inf, start_s).answers
    if not before:
        return Moved()
    was = before[-1].region
    during, after = asked.within(start_s, healing_s), asked.within(healing_s, end_s)
    switched = during.settled(lambda region: region != was)
    returned = after.settled(lambda region: region == was) if switched else None
    return Moved(
        was=was,
        to=switched.region if switched else None,
        switched_s=switched.at_s if switched else None,
        returned_s=returned.at_s if returned else None,
        is_silent=during.is_silent,
        is_silent_after=after.is_silent,
    )


def _figure(item: Expectation, findings: Findings) -> Figure:
    """The slowest place, in the phase in which that was worst."""
    found = findings.of(ASPECT)
    if not found.places:
        return no_figure("DNS was not asked: the load has no places")
    mine = [one for phase, one in found.around.items() if item.phase in ("run", phase)]
    if not mine:
        return no_figure(f"no fault took effect in {item.phase}")
    return max(map(_switch if item.metric == SWITCHES else _return, mine), key=_badness)


def _badness(figure: Figure) -> tuple[bool, bool, float]:
    """A failure is certain, whatever is not known of another phase."""
    return bool(figure.failure), bool(figure.gap), figure.value or 0.0


def _switch(around: Around) -> Figure:
    unknown = [name for name, one in around.places.items() if one.was is None]
    if unknown:
        return no_figure(f"DNS had not answered {', '.join(unknown)} before the fault")
    concerned = around.concerned
    stayed = [n for n, one in (concerned or around.places).items() if one.switched_s is None]
    if silent := [name for name in stayed if around.places[name].is_silent]:
        return no_figure(f"DNS did not answer {', '.join(silent)} during the fault")
    each = "; ".join(_where(name, one, around) for name, one in around.places.items())
    if stayed:
        return failed(f"not sent to another region: {', '.join(stayed)} ({each})", "dns_stayed")
    took_s = around.switches_within_s or 0.0
    return Figure(took_s, each, happened_s=(around.effect_s, around.effect_s + took_s))


def _where(name: str, one: Moved, around: Around) -> str:
    if one.switched_s is None:
        return f"{name} stayed at {one.was}"
    after = format_duration(max(0.0, one.switched_s - around.effect_s))
    return f"{name} from {one.was} to {one.to} after {after}"


def _return(around: Around) -> Figure:
    healing_s = around.healing_s
    if healing_s is None:
        return no_figure("the fault was not healed")
    away = {name: one for name, one in around.places.items() if one.switched_s is not None}
    if not away:
        return no_figure("no place was sent to another region, so none could return")
    stuck = [name for name, one in away.items() if one.returned_s is None]
    if silent := [name for name in stuck if away[name].is_silent_after]:
        return no_figure(f"DNS did not answer {', '.join(silent)} after the fault")
    if stuck:
        return failed(f"not sent back to their region: {', '.join(stuck)}", "dns_stayed")
    took_s = {name: _longest_s(healing_s, [one.returned_s]) or 0.0 for name, one in away.items()}
    words = [f"{name} to {away[name].was} after {format_duration(s)}" for name, s in took_s.items()]
    longest_s = around.returns_within_s or 0.0
    return Figure(longest_s, "; ".join(words), happened_s=(healing_s, healing_s + longest_s))


def _lacks(_: Expectation, experiment: Experiment, __: Sources) -> str:
    if experiment.load.places:
        return ""
    return "DNS is not asked: the load has no places; write load.from"


def _compare(findings: Findings, _: object) -> Comparison:
    for phase, around in findings.of(ASPECT).around.items():
        for metric, figure in ((SWITCHES, _switch(around)), (RETURNS, _return(around))):
            if not figure.gap:
                value = inf if figure.value is None else figure.value
                yield Compared(phase, "dns", metric, "duration", "s"), Measured(value)


def _tables(findings: Findings) -> Iterator[Table]:
    phases = [name for name in operations.shown_phases(findings) if name != "run"]
    columns = (Column("Operation"), *(Column(f"{LATENCY} {name}", "seconds") for name in phases))
    found, text = findings.of(operations.ASPECT), "Where DNS sent the users of each place."
    groups = [
        Group(
            _place_words(place, one),
            [
                (name.removeprefix(f"{place}."), *(_latency(by_phase, each) for each in phases))
                for name, by_phase in found.items()
                if name.startswith(f"{place}.")
            ],
        )
        for place, one in findings.of(ASPECT).places.items()
    ]
    yield Table("Users by place", columns, groups, id="dns", text=text)


def _latency(by_phase: Mapping[str, operations.Requests], phase: str) -> float | None:
    return by_phase.get(phase, operations.Requests()).response_time_s.get(LATENCY)


def _place_words(place: str, one: FromPlace) -> str:
    """`eu, 30% of the load: sent to eu, from 42.1 s to us, from 91.3 s to eu`."""
    first = f"sent to {one.stays[0].region}" if one.stays else "sent nowhere"
    where = [first, *(f"from {stay.at_s:.1f} s to {stay.region}" for stay in one.stays[1:])]
    failed = f"; DNS queries without a usable answer: {one.failed}" if one.failed else ""
    return f"{place}, {one.share or 0:.0%} of the load: {', '.join(where)}{failed}"


def _has_any(findings: Findings) -> bool:
    return bool(findings.of(ASPECT).places)


ASPECT = Aspect[DnsFound](
    section="dns",
    found=DnsFound,
    measure=lambda record, _: figures(record),
    metrics={
        "dns": {
            SWITCHES: Metric("s", "dns_switched_late", scope="fault"),
            RETURNS: Metric("s", "dns_returned_late", scope="fault"),
        }
    },
    figure=_figure,
    lacks=_lacks,
    compare=_compare,
    tables=_tables,
    has_any=_has_any,
)
