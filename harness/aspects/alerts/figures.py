"""What is expected of alerts, held against what was seen of them.

What was seen to be wrong fails. Nothing passes for a time of which something was not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from harness.aspects.alerts.found import WHO, Alerts, OfAlert, OfFault, split
from harness.model.alert import PAGER, PROMETHEUS
from harness.model.expectation import Expectation
from harness.model.figure import Figure, failed, flag, no_figure
from harness.model.findings import FaultFound, Run
from harness.model.quantity import format_duration
from harness.model.uncertain import largest, uncertainty_of
from harness.model.verdict import Reason

NAMED_MAX = 5
"""How many unexpected alerts are named in the evidence."""
WATCH_SLACK_S = 5.0
"""The last evaluation that was seen may be so much older than the run's end."""


def figure_of(item: Expectation, found: Alerts, run: Run) -> Figure:
    """The figure of `alert.NAME[.severity]`, or of all alerts."""
    if item.metric in _OF_ALL:
        return _OF_ALL[item.metric](item, found, run)
    asked = _Asked(item, found, run)
    if lack := asked.lack():
        return no_figure(lack)
    if item.metric == "silent_before":
        return _silent_before(asked.alert)
    if item.metric == "flaps":
        return _flaps(asked)
    return _worst(asked, [_AFTER[item.metric](asked, fault) for fault in asked.faults])


@dataclass(frozen=True, slots=True)
class _Asked:
    """One expectation of one alert."""

    item: Expectation
    found: Alerts
    run: Run

    @property
    def name(self) -> str:
        """The alert without a severity."""
        return split(self.item.subject, self.found.known)[0]

    @property
    def alert(self) -> OfAlert:
        """What was seen of it."""
        return self.found.by_alert.get(self.item.subject.partition(".")[2], OfAlert())

    @property
    def who(self) -> str:
        """Who would have seen it fire."""
        return self.found.who_sees(self.name)

    @property
    def faults(self) -> list[FaultFound]:
        """The faults of the expectation's phase that were injected."""
        return [fault for fault in self.run.faults_of(self.item.phase) if fault.start_s is not None]

    def after(self, fault: FaultFound) -> OfFault:
        """What it did after a fault."""
        return self.alert.by_fault.get(fault.fault, OfFault())

    def lack(self) -> str:
        """Why nothing can be said, "" if something can."""
        if not self.faults:
            return "no fault was injected"
        who = PAGER if self.item.metric == "pages_within" else self.who
        if who not in self.found.watched_s:
            return f"{WHO[who]} was not seen"
        is_known = self.item.subject.partition(".")[2] in self.found.by_alert
        return "" if is_known else f"no rule has {self.item.subject.partition('.')[2]}"

    def watched_s(self, who: str, since_s: float) -> float:
        """For how long it was watched after a moment."""
        return max(0.0, self.found.watched_s[who] - since_s)

    def unwatched(self, who: str, start_s: float) -> str:
        """Why not all of the time up to the limit was seen, "" if it was."""
        if (watched_s := self.watched_s(who, start_s)) < self.item.limit:
            return f"only for {watched_s:.1f} s after the fault"
        return self.found.blind(who, start_s, start_s + self.item.limit)


def _silent_before(alert: OfAlert) -> Figure:
    if alert.silent_before is None:
        return no_figure(alert.why)
    return flag(value=alert.silent_before, evidence=alert.why)


def _fires(asked: _Asked, fault: FaultFound) -> Figure | None:
    """From a fault's start to when it fired first; None if an earlier fault had raised it."""
    seen, start_s = asked.after(fault), fault.start_s or 0.0
    if seen.fires_within_s is not None:
        half_s = uncertainty_of(seen.uncertainty_s, "fires_within_s")
        words = f"{seen.first} fired {_for(seen.fires_within_s, half_s)} after {fault.fault} began"
        figure = Figure(
            seen.fires_within_s,
            words,
            uncertainty=half_s,
            weakness=_weakness(seen),
            happened_s=(start_s, start_s + seen.fires_within_s),
        )
        return _unless_missed(asked, asked.who, start_s, figure)
    if seen.is_shared or seen.was_firing:
        return _raised_before(fault, seen)
    if lack := asked.unwatched(asked.who, start_s):
        return no_figure(f"it did not fire while it was watched: {lack}")
    watched_s = asked.watched_s(asked.who, start_s)
    text = f"it did not fire in the {watched_s:.0f} s that it was watched after {fault.fault} began"
    return failed(text, "alert_not_fired")


def _pages(asked: _Asked, fault: FaultFound) -> Figure | None:
    """From a fault's start to the first notification that arrived of it."""
    seen, start_s = asked.after(fault), fault.start_s or 0.0
    if seen.pages_within_s is not None:
        half_s = uncertainty_of(seen.uncertainty_s, "pages_within_s")
        figure = Figure(
            seen.pages_within_s,
            f"paged {_for(seen.pages_within_s, half_s)} after {fault.fault} began",
            uncertainty=half_s,
            weakness=_weakness(seen),
            happened_s=(start_s, start_s + seen.pages_within_s),
        )
        return _unless_missed(asked, PAGER, start_s, figure)
    if seen.is_shared or seen.was_firing:
        return _raised_before(fault, seen)
    if lack := asked.unwatched(PAGER, start_s):
        return no_figure(f"no page came while it was watched: {lack}")
    why = f"{seen.first} fired, but" if seen.first else "it did not fire, and"
    watched_s = asked.watched_s(PAGER, start_s)
    return failed(f"{why} no page came within {watched_s:.0f} s of {fault.fault}", "page_late")


def _resolves(asked: _Asked, fault: FaultFound) -> Figure | None:
    """From the last healing before it resolved to when the last of its instances did."""
    seen, limit_s = asked.after(fault), asked.item.limit
    if not seen.has_fired:
        return no_figure("it did not fire, so it could not resolve")
    if seen.healed_s is None:
        return no_figure("not every fault was healed")
    if seen.resolves_within_s is None:
        watched_s = asked.watched_s(asked.who, seen.healed_s)
        if watched_s < limit_s:
            text = f"it was watched for {watched_s:.1f} s after healing, and did not resolve"
            return no_figure(text)
        text = f"{seen.last} still fired {watched_s:.0f} s after healing"
        return failed(text, "alert_not_resolved")
    half_s = uncertainty_of(seen.uncertainty_s, "resolves_within_s")
    text = f"{seen.last} resolved {_for(seen.resolves_within_s, half_s)} after healing"
    happened_s = seen.healed_s, seen.healed_s + seen.resolves_within_s
    gap = asked.found.blind(asked.who, seen.healed_s, seen.healed_s + limit_s)
    if gap and asked.item.holds(seen.resolves_within_s):
        return no_figure(f"{text}; but {gap}")  # it may have fired again
    return Figure(seen.resolves_within_s, text, uncertainty=half_s, happened_s=happened_s)


def _flaps(asked: _Asked) -> Figure:
    """How often it fired again after it had resolved; of several faults the most."""
    each = [asked.after(fault) for fault in asked.faults]
    count = max(seen.flaps for seen in each)
    evidence = f"it fired again {count} times" if count else "it did not fire again"
    if not any(seen.has_fired for seen in each):
        evidence = "it did not fire at all"
    start_s = min(fault.start_s or 0.0 for fault in asked.faults)
    gap = asked.found.blind(asked.who, start_s, asked.found.watched_s[asked.who])
    is_gap = bool(gap) and asked.item.holds(count)
    return Figure(float(count), evidence, gap=f"{evidence}; but {gap}" if is_gap else "")


def _unexpected(item: Expectation, found: Alerts, run: Run) -> Figure:
    """How many alerts fired that are neither named nor allowed."""
    seen = found.unexpected.get(item.phase)
    if seen is None or PROMETHEUS not in found.watched_s:
        return no_figure("Prometheus was not seen")
    start_s, end_s = run.window(item.phase)
    judged_s = [span.start_s for name, span in run.phases.items() if name != "warmup"]
    start_s = max(start_s, min(judged_s, default=0.0))
    end_s = min(end_s, inf if run.end_s is None else run.end_s)
    more = len(seen.names) - NAMED_MAX
    shown = ", ".join(seen.names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
    gap = found.blind(PROMETHEUS, start_s, end_s)
    if seen.unsure:
        gap = gap or f"{seen.unsure[0]} fired too close to the phase's start or end to tell"
    if found.watched_s[PROMETHEUS] < end_s - WATCH_SLACK_S:
        gap = gap or f"Prometheus was seen until {found.watched_s[PROMETHEUS]:.1f} s only"
    evidence = f"fired: {shown}" if seen.names else "no other alert fired"
    return Figure(float(seen.count), evidence, gap=gap if item.holds(seen.count) else "")


def _blind_spots(item: Expectation, found: Alerts, run: Run) -> Figure:
    """How often clients saw errors and the monitoring none, or the other way."""
    spots, count = found.blind_spots, found.blind_spots.by_phase.get(item.phase)
    if count is None:
        return no_figure(spots.why or "it is not known which errors the monitoring saw")
    start_s, end_s = run.window(item.phase)
    mine = [one for one in spots.spots if one.start_s < end_s and one.end_s > start_s]
    words = [
        f"the {one.who} saw none of {one.errors:.0f} errors from {one.start_s:.0f} to"
        f" {one.end_s:.0f} s"
        for one in mine[:NAMED_MAX]
    ]
    gap = found.blind(PROMETHEUS, max(start_s, 0.0), min(end_s, run.end_s or inf))
    evidence = "; ".join(words) or "clients and monitoring saw errors at the same times"
    return Figure(float(count), evidence, gap=gap if item.holds(count) else "")


def _worst(asked: _Asked, each: Sequence[Figure | None]) -> Figure:
    """Of several faults: what never came, then the longest that misses the limit, then gaps."""
    figures = [figure for figure in each if figure is not None]
    if not figures:
        return no_figure("it was firing already when the fault began, because of an earlier fault")
    if never := next((figure for figure in figures if figure.failure), None):
        return never
    known = [figure for figure in figures if figure.value is not None]
    missed = [figure for figure in known if not asked.item.holds(figure.value or 0.0)]
    if not missed and (gap := next((figure for figure in figures if figure.gap), None)):
        return gap
    worst = max(missed or known, key=lambda figure: figure.value or 0.0)
    value, half_s = largest((f.value or 0.0, f.uncertainty) for f in missed or known)
    weak = next((figure.weakness for figure in known if figure.weakness), None)
    return replace(worst, value=value, uncertainty=half_s, weakness=weak)


def _unless_missed(asked: _Asked, who: str, start_s: float, figure: Figure) -> Figure:
    """The figure, but where it is over the limit, and an earlier time could not be seen."""
    took_s = figure.value or 0.0
    gap = asked.found.blind(who, start_s, start_s + min(asked.item.limit, took_s))
    return no_figure(gap) if gap and not asked.item.holds(took_s) else figure


def _raised_before(fault: FaultFound, seen: OfFault) -> Figure | None:
    """No figure of this fault; None if an earlier fault explains it."""
    if seen.is_shared:
        return None
    return no_figure(f"{seen.was_firing} was firing already when {fault.fault} began")


def _weakness(seen: OfFault) -> Reason | None:
    """It proves nothing of a fault that an alert fires which was about to do so before any."""
    if seen.pending_s is None:
        return None
    text = f"{seen.first} was pending before any fault, since {seen.pending_s:.1f} s"
    return Reason("alert_pending_before", text)


def _for(took_s: float, half_s: float) -> str:
    return f"{format_duration(took_s)}{f' (± {format_duration(half_s)})' if half_s else ''}"


_OF_ALL: Mapping[str, Callable[[Expectation, Alerts, Run], Figure]] = {
    "unexpected": _unexpected,
    "blind_spots": _blind_spots,
}
_AFTER: Mapping[str, Callable[[_Asked, FaultFound], Figure | None]] = {
    "fires_within": _fires,
    "pages_within": _pages,
    "resolves_within": _resolves,
}
