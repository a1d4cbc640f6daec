"""What happened to alerts, out of what the probes of Prometheus and the pager have recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan
from typing import Any

from harness.aspects.alerts.found import AlertFound, Page, RuleFound, Unseen
from harness.model.alert import ANSWER_S, LOOK_S, MONITORING_SILENT, PAGER, PROMETHEUS
from harness.model.uncertain import uncertainties
from harness.record.run import Record

LAST_GOOD_S = LOOK_S + ANSWER_S
"""So long before a look got no answer the last good one can have been."""
RULE_FIELDS = (
    *("alert", "severity", "query", "for_s", "interval_s"),
    *("signal", "summary", "action", "runbook"),
)

Event = dict[str, Any]


@dataclass(frozen=True)
class History:
    """All alerts in order of time; see `Alerts` of found.py."""

    rules: Sequence[RuleFound]
    alerts: Sequence[AlertFound]
    pages: Sequence[Page]
    unseen: Sequence[Unseen]
    watched_s: dict[str, float]


def history(record: Record) -> History:
    """What is known of the run's alerts."""
    rules, pages = _rules(record), _pages(record)
    names = {rule.alert for rule in rules}
    foreign = [p for p in pages if p.alert == MONITORING_SILENT or (names and p.alert not in names)]
    found = [*_by_prometheus(record), *_by_pages(foreign)]
    alerts = [_notified(one, pages) for one in found]
    unseen = [*_unseen(record, PROMETHEUS), *_unseen(record, PAGER)]
    watched_s = {
        who: until_s
        for who in (PROMETHEUS, PAGER)
        if (until_s := _watched_s(record, who, unseen)) is not None
    }
    alerts.sort(key=lambda one: (_begin_s(one), one.name))
    return History(rules, alerts, pages, unseen, watched_s)


def _rules(record: Record) -> list[RuleFound]:
    """Each rule that there was at some time of the run, once; the newest of those alike."""
    found: dict[tuple[Any, ...], RuleFound] = {}
    for event in record.events_of("alert.rules"):
        for row in event["rules"]:
            facts = {name: row[name] for name in RULE_FIELDS if row.get(name) is not None}
            if facts.get("alert"):
                rule = RuleFound(**facts)
                found[rule.alert, rule.severity, rule.query] = rule
    return sorted(found.values(), key=lambda rule: (rule.alert, rule.severity, rule.query))


def _by_prometheus(record: Record) -> Iterator[AlertFound]:
    """From when an instance became active to when it was not any more; the last may go on."""
    wall_s = record.wall_uncertainty_s()
    wall_s = 0.0 if isnan(wall_s) else wall_s
    going: dict[tuple[Any, ...], AlertFound] = {}
    for event in record.events_of("alert.state"):
        key = (event.get("service"), *sorted(event["labels"].items()))
        state, at_s = event["state"], float(event["t_s"])
        one = going.get(key)
        if one is None and state == "resolved":
            continue  # it was never seen to begin
        if one is None or state == "pending":
            if one is not None:
                yield one
            one = _begun(event)
        one = _reached(one, state, at_s, float(event.get("uncertainty_s") or 0.0) + wall_s)
        if state == "resolved":
            going.pop(key, None)
            yield one
        else:
            going[key] = one
    yield from going.values()


def _reached(one: AlertFound, state: str, at_s: float, half_s: float) -> AlertFound:
    known = {**uncertainties(one.uncertainty_s), f"{state}_s": half_s}
    if state == "pending":
        return replace(one, pending_s=at_s, uncertainty_s=known)
    if state == "firing":
        return replace(one, firing_s=at_s, uncertainty_s=known)
    return replace(one, resolved_s=at_s, uncertainty_s=known)


def _by_pages(pages: Sequence[Page]) -> Iterator[AlertFound]:
    """Of alerts that only the pager knows: from their notification to that of their end."""
    going: dict[tuple[Any, ...], AlertFound] = {}
    for page in pages:
        one = AlertFound(
            alert=page.alert,
            severity=page.severity,
            labels=page.labels,
            summary=page.summary,
            firing_s=page.at_s,
            uncertainty_s={"firing_s": page.uncertainty_s},
        )
        if page.status != "resolved":
            going.setdefault(one.instance, one)
        elif known := going.pop(one.instance, None):
            half_s = {**uncertainties(known.uncertainty_s), "resolved_s": page.uncertainty_s}
            yield replace(known, resolved_s=page.at_s, uncertainty_s=half_s)
    yield from going.values()


def _notified(one: AlertFound, pages: Sequence[Page]) -> AlertFound:
    """With the first notification that can be of it: not before it fired, nor when it is over."""
    if one.firing_s is None:
        return one
    half_s = uncertainties(one.uncertainty_s)
    from_s = one.firing_s - half_s.get("firing_s", 0.0)
    end_s = inf
    if one.resolved_s is not None:
        end_s = one.resolved_s + half_s.get("resolved_s", 0.0) + LOOK_S
    for page in pages:
        if page.status != "resolved" and from_s <= page.at_s <= end_s and page.is_of(one):
            known = {**half_s, "notified_s": page.uncertainty_s}
            return replace(one, notified_s=page.at_s, uncertainty_s=known)
    return one


def _pages(record: Record) -> list[Page]:
    """Each alert of each notification, in order of time."""
    found = []
    for event in record.events_of("alert.notified"):
        for row in event["alerts"]:
            found.append(
                Page(
                    at_s=float(event["t_s"]),
                    alert=str(row.get("alert", "")),
                    severity=str(row.get("severity", "")),
                    labels=row.get("labels") or {},
                    status=str(row.get("status") or event["status"]),
                    summary=str(row.get("summary", "")),
                    uncertainty_s=float(event.get("uncertainty_s") or 0.0),
                )
            )
    return found


def _unseen(record: Record, who: str) -> Iterator[Unseen]:
    """Before the first good look, while there was no answer, and where a look came late."""
    first_s: dict[str, float] = {}
    for event in record.events_of("alert.watched"):
        if event["by"] == who:
            first_s.setdefault(str(event["service"]), float(event["t_s"]))
    for at_s in first_s.values():
        yield Unseen(who=who, end_s=at_s, why="it had not answered yet")
    yield from _unanswered(record, who)
    for event in _of_probe(record, who, "probe.gap"):
        at_s, why = float(event["t_s"]), str(event.get("error", ""))
        yield Unseen(who=who, start_s=at_s - LAST_GOOD_S, end_s=at_s + LOOK_S, why=why)
    for event in _of_probe(record, who, "probe.late"):
        at_s, silent_s = float(event["t_s"]), float(event.get("silent_s") or 0.0)
        yield Unseen(who=who, start_s=at_s - silent_s, end_s=at_s, why="it was not looked at")


def _unanswered(record: Record, who: str) -> Iterator[Unseen]:
    since: dict[str, Event] = {}
    for event in _of_probe(record, who, "probe.unanswered", "probe.answered"):
        probe = str(event["probe"])
        if event["event"] == "probe.unanswered":
            since[probe] = event
        elif begun := since.pop(probe, None):
            yield _silence(who, begun, float(event["t_s"]))
    for begun in since.values():
        yield _silence(who, begun, None)


def _of_probe(record: Record, who: str, *names: str) -> list[Event]:
    """Events of the probes that look at Prometheus, or at the pager."""
    events = record.events_of(*names)
    return [event for event in events if str(event.get("probe", "")).partition(" ")[0] == who]


def _silence(who: str, begun: Event, end_s: float | None) -> Unseen:
    start_s = float(begun["t_s"]) - LAST_GOOD_S
    return Unseen(who=who, start_s=start_s, end_s=end_s, why=str(begun["error"]))


def _watched_s(record: Record, who: str, unseen: Sequence[Unseen]) -> float | None:
    """Until when it was seen: its last good look; None if there was none at all."""
    looks_s = [float(e["t_s"]) for e in record.events_of("alert.watched") if e["by"] == who]
    if not looks_s:
        return None
    ends_s = [
        u.start_s for u in unseen if u.who == who and u.end_s is None and u.start_s is not None
    ]
    if ends_s:
        return min(ends_s)
    return max(looks_s) if len(looks_s) > 1 else record.experiment.end_s


def _begun(event: Event) -> AlertFound:
    return AlertFound(
        alert=str(event["alert"]),
        severity=str(event.get("severity", "")),
        labels={str(key): str(value) for key, value in event["labels"].items()},
        summary=str(event.get("summary", "")),
    )


def _begin_s(one: AlertFound) -> float:
    times_s = (one.pending_s, one.firing_s, one.resolved_s)
    return min((at_s for at_s in times_s if at_s is not None), default=0.0)
