"""What the findings say of alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

from harness.aspects.recovery.parts import Mark
from harness.model.alert import FOR_NOBODY, MONITORING_SILENT, PAGER, PROMETHEUS
from harness.model.series import Buckets, Values
from harness.model.uncertain import Uncertainty, uncertainty_of

WHO = {PROMETHEUS: "Prometheus", PAGER: "the pager"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFound:
    """A rule that Prometheus had. `signal`: a query of the value that it compares."""

    alert: str
    severity: str = ""
    query: str = ""
    for_s: float = 0.0
    interval_s: float = 0.0
    signal: str = ""
    summary: str = ""
    action: str = ""
    runbook: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFound:
    """One time that one instance of an alert was pending, and perhaps fired, until it resolved.

    Times are None where that did not happen, or was not seen. `notified_s`: the first notification
    of it at the pager.
    """

    alert: str
    severity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    pending_s: float | None = None
    firing_s: float | None = None
    resolved_s: float | None = None
    notified_s: float | None = None
    uncertainty_s: Uncertainty = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`ErrorRateHigh.warning`."""
        return f"{self.alert}.{self.severity}" if self.severity else self.alert

    @property
    def words(self) -> str:
        """`CpuUsageHigh.warning of app-2`."""
        part = self.labels.get("part") or self.labels.get("instance")
        return f"{self.name} of {part}" if part else self.name

    @property
    def instance(self) -> tuple[object, ...]:
        """What tells it from other alerts."""
        return self.alert, self.severity, tuple(sorted(self.labels.items()))

    def fired_in(self, start_s: float, end_s: float) -> bool:
        """Whether it fired at some time of that stretch."""
        until_s = inf if self.resolved_s is None else self.resolved_s
        return self.firing_s is not None and self.firing_s < end_s and until_s > start_s

    def fired_surely_in(self, start_s: float, end_s: float) -> bool | None:
        """The same; None if its times are too uncertain to tell."""
        if self.firing_s is None:
            return False
        half_s = uncertainty_of(self.uncertainty_s, "firing_s")
        until_s = inf if self.resolved_s is None else self.resolved_s
        until_half_s = uncertainty_of(self.uncertainty_s, "resolved_s")
        if self.firing_s + half_s < end_s and until_s - until_half_s > start_s:
            return True
        is_after = self.firing_s - half_s >= end_s
        if self.pending_s is not None:  # exact, and it fired no sooner
            is_after |= self.pending_s >= end_s
        return False if is_after or until_s + until_half_s <= start_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One alert of a notification that arrived at the pager."""

    at_s: float
    alert: str
    severity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    status: str = "firing"
    summary: str = ""
    uncertainty_s: float = 0.0

    def is_of(self, one: AlertFound) -> bool:
        """Whether it can be about this alert: no label says otherwise."""
        is_named = (self.alert, self.severity) == (one.alert, one.severity)
        return is_named and all(self.labels.get(k, v) == v for k, v in one.labels.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """When nothing was seen of Prometheus or of the pager; None: from the begin, to the end."""

    who: str
    start_s: float | None = None
    end_s: float | None = None
    why: str = ""

    @property
    def words(self) -> str:
        """The same as text."""
        from_s = "the start" if self.start_s is None else f"{self.start_s:.1f} s"
        to_s = "the end" if self.end_s is None else f"{self.end_s:.1f} s"
        return f"{WHO[self.who]} was not seen from {from_s} to {to_s}: {self.why}"

    def touches(self, start_s: float, end_s: float) -> bool:
        """Whether some of that stretch was not seen."""
        from_s = -inf if self.start_s is None else self.start_s
        until_s = inf if self.end_s is None else self.end_s
        return from_s < end_s and until_s > start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How a fault came to be known by one alert: marks along the way, and the parts between them.

    `detected_s`: from the fault's start to the last mark, by which somebody, or the monitoring
    alone, knew. `resolved_s`: when it resolved, `healed_s` what that is counted from.
    """

    fault: str
    alert: str
    severity: str = ""
    part: str = ""
    is_expected: bool = True
    start_s: float
    marks: Sequence[Mark] = ()
    parts: Mapping[str, float] = field(default_factory=dict)
    detected_s: float | None = None
    healed_s: float | None = None
    resolved_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfFault:
    """What one alert did after one fault began; times in seconds from then, None if not seen.

    `resolves_within_s` is from the last healing before it, which was at `healed_s`. Of its
    instances `first` fired first and `last` resolved last. `was_firing`: one that fired before any
    fault, and still did; `is_shared`: it fired already, because of an earlier fault. `pending_s`:
    since when `first` was pending, if that was before any fault.
    """

    fires_within_s: float | None = None
    pages_within_s: float | None = None
    resolves_within_s: float | None = None
    flaps: int = 0
    uncertainty_s: Uncertainty = field(default_factory=dict)
    has_fired: bool = False
    first: str = ""
    last: str = ""
    was_firing: str = ""
    is_shared: bool = False
    pending_s: float | None = None
    healed_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfAlert:
    """One alert, as NAME.severity, or as NAME: the first of any severity.

    `silent_before`: whether it was silent in the judged time before the first fault; None if that
    was not seen, or there was none. `why` says what was seen, or why not.
    """

    silent_before: bool | None = None
    why: str = ""
    by_fault: Mapping[str, OfFault] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexpected:
    """How many alerts fired in a phase that nothing expects, and which.

    `unsure`: those that fired so close to its start or end that nobody can tell.
    """

    count: int = 0
    names: Sequence[str] = ()
    unsure: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindSpot:
    """About `errors` that only one of the two saw; `who` did not: `monitoring` or `clients`."""

    who: str
    start_s: float
    end_s: float
    errors: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindSpots:
    """`by_phase`: how many there were; empty if that is not known, and `why`."""

    spots: Sequence[BlindSpot] = ()
    by_phase: Mapping[str, int] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Charted(Buckets):
    """One chart of the target's own metrics: `lines` by what they are about.

    `left_out`: how many more lines there are in the run folder.
    """

    unit: str = ""
    lines: Mapping[str, Values] = field(default_factory=dict)
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """`watched_s`: until when Prometheus and the pager were seen; who was not is not in it.

    `expected`: the alerts that the experiment names or allows, as NAME or NAME.severity.
    `by_alert`: by the same kinds of names. `unexpected`: by phase. `series` are for charts: what
    the monitoring has seen, by name. `problems`: what could not be read of it.
    """

    rules: Sequence[RuleFound] = ()
    alerts: Sequence[AlertFound] = ()
    pages: Sequence[Page] = ()
    unseen: Sequence[Unseen] = ()
    watched_s: Mapping[str, float] = field(default_factory=dict)
    expected: Sequence[str] = ()
    by_alert: Mapping[str, OfAlert] = field(default_factory=dict)
    unexpected: Mapping[str, Unexpected] = field(default_factory=dict)
    detections: Sequence[Detection] = ()
    blind_spots: BlindSpots = BlindSpots()
    problems: Sequence[str] = ()
    series: Mapping[str, Charted] = field(default_factory=dict)

    FOR_CHARTS: ClassVar[tuple[str, ...]] = ("series",)

    @property
    def names(self) -> frozenset[str]:
        """The alerts that rules have."""
        return frozenset(rule.alert for rule in self.rules)

    @property
    def known(self) -> frozenset[str]:
        """The alerts that rules have, that fired, or of which a notification came."""
        fired = {one.alert for one in self.alerts} | {page.alert for page in self.pages}
        return self.names | fired

    def who_sees(self, name: str) -> str:
        """Who would know if the alert fired: of an alert that no rule has only the pager."""
        is_foreign = bool(self.rules) and name not in self.names
        return PAGER if name == MONITORING_SILENT or is_foreign else PROMETHEUS

    def blind(self, who: str, start_s: float, end_s: float) -> str:
        """Why not all of that stretch was seen, "" if it was."""
        gaps = (one for one in self.unseen if one.who == who and one.touches(start_s, end_s))
        gap = next(gaps, None)
        return "" if gap is None else gap.words

    def is_expected(self, one: AlertFound) -> bool:
        """Whether the experiment names or allows it, or it is for nobody."""
        return one.severity == FOR_NOBODY or not {one.alert, one.name}.isdisjoint(self.expected)

    def unexpected_in(self, start_s: float, end_s: float) -> list[AlertFound]:
        """Each time that one fired in that stretch which the experiment does not name or allow."""
        fired = [one for one in self.alerts if one.fired_in(start_s, end_s)]
        return [one for one in fired if not self.is_expected(one)]


def split(subject: str, names: Iterable[str]) -> tuple[str, str]:
    """Name and severity ("": any) in `alert.NAME` or `alert.NAME.severity`.

    A name may have dots; `names` are those that are known.
    """
    _, _, said = subject.partition(".")
    name, dot, severity = said.rpartition(".")
    return (name, severity) if dot and said not in set(names) else (said, "")


def cause_ends_s(start_s: float, healed_s: float | None, starts_s: Iterable[float]) -> float:
    """Until when what fires can be due to a fault: another one began when it was healed.

    `starts_s`: when each fault of the run began. Without end if there is no such other one.
    """
    over_s = inf if healed_s is None else healed_s
    return min((at_s for at_s in starts_s if at_s >= over_s and at_s > start_s), default=inf)
