"""What each circuit breaker did, instance by instance, from the apps' own transition logs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from harness.aspects.base import Aspect, Comparison, Findings
from harness.aspects.breakers.contradictions import Contradiction, contradictions
from harness.aspects.breakers.found import Breaker, Breakers, InPhase, Server
from harness.aspects.breakers.server import (
    Transition,
    most,
    server_of,
    uncertainty_of_server,
)
from harness.model.compared import Compared, Kind, Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, failed, flag, no_figure, shown
from harness.model.metric import BREAKER, Metric
from harness.model.sources import Sources
from harness.model.uncertain import largest, uncertainty_of
from harness.record.run import Record, clock_uncertainty_s


def figures(record: Record) -> Breakers:
    """What the logs and polls say."""
    transitions = _transitions(record)
    names = sorted(
        {t["breaker"] for t in transitions}
        | {e["breaker"] for e in record.events_of("breaker.state")}
    )
    by_breaker = {name: _breaker(record, name, transitions) for name in names}
    refuses_within_s = {
        f"{server}/{name}": row.fast_fail_p99_s
        for name, found in by_breaker.items()
        for server, row in found.servers.items()
    }
    return Breakers(
        transitions=transitions,
        by_breaker=by_breaker,
        contradictions=contradictions(record, timeline(record), refuses_within_s),
    )


def timeline(record: Record) -> dict[str, list[list[Any]]]:
    """[time, state] from run start on, by "server/breaker"; a new process begins with its own."""
    result: dict[str, list[list[Any]]] = {}
    renewed: set[str] = set()
    for event in record.events_of("breaker.state", "breaker.transition", "clock.offset"):
        if event["event"] == "clock.offset":
            renewed |= {name for name in result if name.startswith(f"{event['service']}/")}
            continue
        name, at_s = f"{event['server']}/{event['breaker']}", event["t_s"]
        if event["event"] == "breaker.transition":
            if at_s >= 0:
                result.setdefault(name, [[0.0, event["from"]]]).append([at_s, event["to"]])
        elif name not in result:
            result[name] = [[0.0, event["state"]]]
        elif name in renewed:
            renewed.discard(name)
            if result[name][-1][1] != event["state"]:
                result[name].append([at_s, event["state"]])
    return dict(sorted(result.items()))


def _transitions(record: Record) -> list[Transition]:
    """Those since run start: a log may reach back further."""
    keys = ("t_s", "server", "boot", "breaker", "from", "to", "failures", "probes")
    found = record.events_of("breaker.transition")
    return [{key: event.get(key) for key in keys} for event in found if event["t_s"] >= 0]


def _breaker(record: Record, name: str, transitions: list[Transition]) -> Breaker:
    mine = [t for t in transitions if t["breaker"] == name]
    states = [e for e in record.events_of("breaker.state") if e["breaker"] == name]
    boots = record.events_of("clock.offset")
    window = _window(record)
    by_server = {}
    for server in sorted({e["server"] for e in [*mine, *states]}):
        logged = [t for t in mine if t["server"] == server]
        row = server_of(
            logged,
            [e for e in states if e["server"] == server],
            window,
            [e["t_s"] for e in boots if e["service"] == server],
            record.judged[:-1],
        )
        half_s = uncertainty_of_server(row, logged, clock_uncertainty_s(record, server))
        by_server[server] = replace(row, uncertainty_s=half_s)
    expected = _expected(record, set(by_server))
    missing = sorted(expected - by_server.keys())
    return replace(_worst(by_server, missing), expected_servers=sorted(expected))


def _expected(record: Record, speaking: set[str]) -> set[str]:
    """Who has to speak of a breaker that the `speaking` have: all servers like them.

    By label and role, standbys and what did not run left out. A run of an older version says
    neither: then those that speak of any breaker at all.
    """
    parts = [part for event in record.events_of("target.parts") for part in event["parts"]]
    if not parts:
        return {str(e["server"]) for e in record.events_of("breaker.state", "breaker.transition")}
    labelled = [p for p in parts if "breakers" in p["probes"]]
    roles = {p["role"] for p in labelled if p["service"] in speaking}
    return speaking | {
        str(p["service"])
        for p in labelled
        if p["role"] in roles and p["is_running"] and not p["is_standby"]
    }


def _window(record: Record) -> tuple[float, float]:
    """From the first fault's start to the last heal; without faults of what remedies changed."""
    heals = [float(f["healed_s"]) for f in record.faults if f["healed_s"] is not None]
    if not record.faults:
        heals = [each.undone_s for each in record.remedies if each.undone_s is not None]
    return (min(record.changes_s, default=math.inf), max(heals, default=math.inf))


def _worst(servers: Mapping[str, Server], missing: Sequence[str] = ()) -> Breaker:
    """The figures of all servers together, without the servers that were expected."""
    is_whole = bool(servers) and not missing
    rows = list(servers.values())
    opened = [row for row in rows if row.opened_s is not None]
    stuck = [row for row in opened if row.closed_after_heal_s is None]
    return Breaker(
        servers=servers,
        missing_servers=missing,
        opened_on_all=is_whole and len(opened) == len(rows),
        failures_to_open=most(row.failures_to_open for row in opened),
        opens_within=most(row.opened_after_fault_s for row in opened),
        reopened_on_all=is_whole and all(row.reopened > 0 for row in rows),
        failures_to_reopen=most(row.failures_to_reopen for row in rows),
        probes_per_cooldown=most(row.probes_per_cooldown for row in rows),
        cooldown=_least(row.shortest_cooldown_s for row in rows),
        fast_fail_p99=most(row.fast_fail_p99_s for row in rows),
        closes_within=None if stuck else most(row.closed_after_heal_s for row in opened),
        closed_at_end=is_whole and all(row.state_at_end == "CLOSED" for row in rows),
        flaps=most(row.flaps for row in rows),
        uncertainty_s={
            "opens_within": _off_by(rows, "opened_after_fault_s"),
            "closes_within": _off_by(rows, "closed_after_heal_s"),
        },
    )


def _off_by(rows: Iterable[Server], figure: str) -> float | None:
    """By how much the largest of the rows' figures may be off."""
    times = ((getattr(row, figure), uncertainty_of(row.uncertainty_s, figure)) for row in rows)
    known = [(time_s, half_s) for time_s, half_s in times if time_s is not None]
    return largest(known)[1] if known else None


def _least(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)


def _figure(item: Expectation, findings: Findings) -> Figure:
    """The figure of the worst server: by phase where the expectation has one."""
    name = item.subject.partition(".")[2]
    found = findings.of(ASPECT).by_breaker.get(name)
    if found is None or not found.servers:
        return no_figure(f"no breaker named {name} reported")
    if against := _contradiction(name, findings):
        text = f"{against.server} at {against.at_s:.1f} s: {against.what} ({against.evidence})"
        until_s = math.inf if against.until_s is None else against.until_s
        return replace(failed(text, "breaker_contradiction"), happened_s=(against.at_s, until_s))
    if found.missing_servers:
        names = ", ".join(found.missing_servers)
        return failed(f"{names} did not report breaker {name}", "breaker_not_reported")
    is_by_phase = METRICS[item.metric].scope == "phase"
    return _of_phase(item, found) if is_by_phase else _of_run(item, found)


def _of_run(item: Expectation, found: Breaker) -> Figure:
    value: float | None = getattr(found, item.metric)
    early = [name for name, row in found.servers.items() if row.state_at_fault != "CLOSED"]
    if early:
        gap = f"not CLOSED when the fault started: {', '.join(early)}"
        return no_figure(gap, "breaker_not_closed_before")
    each = "; ".join(f"{server} {row.words}" for server, row in found.servers.items())
    if item.unit == "flag":
        return flag(bool(value), each)
    if value is None:
        return _unmeasured(item.metric, found, each)
    half_s = uncertainty_of(found.uncertainty_s, item.metric)
    return Figure(value, f"{shown(value, item.unit)} (worst)", uncertainty=half_s)


def _contradiction(name: str, findings: Findings) -> Contradiction | None:
    """The first time that a server's word on its breaker contradicts what was seen from outside."""
    found = (row for row in findings.of(ASPECT).contradictions if row.breaker == name)
    return next(found, None)


def _of_phase(item: Expectation, found: Breaker) -> Figure:
    rows = [
        (name, InPhase(flaps=row.flaps, state_at_end=row.state_at_end))
        if item.phase == "run"
        else (name, row.phases.get(item.phase))
        for name, row in found.servers.items()
    ]
    known = [(name, row) for name, row in rows if row is not None]
    if len(known) < len(rows):
        return no_figure(f"not every breaker reported its state in {item.phase}")
    if item.metric == "flaps":
        value = max(row.flaps for _, row in known)
        return Figure(value, f"{value:g} (worst)")
    left = [f"{n} {r.state_at_end} at the end" for n, r in known if r.state_at_end != "CLOSED"]
    return flag(not left, ", ".join(left) or "CLOSED at the end")


def _unmeasured(metric: str, found: Breaker, each: str) -> Figure:
    """Why a breaker has no such figure: it did not do what is measured, or not often enough."""
    if not found.opened_on_all:
        return failed(f"it did not open on every server: {each}", "breaker_never_opened")
    if metric == "closes_within":
        return failed(f"it never closed: {each}", "breaker_never_closed")
    if metric == "fast_fail_p99":
        refused = ", ".join(f"{name} {row.fast_fails:,}" for name, row in found.servers.items())
        return no_figure(f"not enough samples: calls that failed fast: {refused}")
    return Figure(None, each)


COMPARED: Mapping[str, Kind] = {
    "opens_within": "duration",
    "closes_within": "duration",
    "fast_fail_p99": "response_time",
    "failures_to_open": "count",
    "failures_to_reopen": "count",
    "probes_per_cooldown": "count",
    "flaps": "count",
}
"""Figures by which two sets of runs are compared, and how; flags by what was expected."""


def _compare(findings: Findings, expected: Set[str]) -> Comparison:
    """Only what was expected knows whether a breaker should open at all."""
    for name, found in findings.of(ASPECT).by_breaker.items():
        subject = f"breaker.{name}"
        if not found.servers:
            continue
        for metric, kind in COMPARED.items():
            value = getattr(found, metric)
            if value is not None:
                figure = Compared("run", subject, metric, kind, METRICS[metric].unit)
                yield figure, Measured(float(value))
        for metric in ("closed_at_end", "opened_on_all", "reopened_on_all"):
            if metric == "closed_at_end" or f"{subject}.{metric}" in expected:
                missed = Measured(float(not getattr(found, metric)))
                yield Compared("run", subject, f"not_{metric}", "never", "flag"), missed


def _lacks(_: Expectation, __: Experiment, sources: Sources) -> str:
    return sources.lacks_label("harness.probe.breakers")


def _has_any(findings: Findings) -> bool:
    found = findings.of(ASPECT)
    return bool(found.by_breaker or found.contradictions)


METRICS = {
    "opened_on_all": Metric("flag", "breaker_never_opened"),
    "failures_to_open": Metric("count", "breaker_opened_late"),
    "opens_within": Metric("s", "breaker_opened_late"),
    "probes_per_cooldown": Metric("count", "breaker_probes"),
    "cooldown": Metric("s", "breaker_probes"),
    "failures_to_reopen": Metric("count", "breaker_not_reopened"),
    "reopened_on_all": Metric("flag", "breaker_not_reopened"),
    "fast_fail_p99": Metric("s", "breaker_fast_fail_slow"),
    "closes_within": Metric("s", "breaker_closed_late"),
    "closed_at_end": Metric("flag", "breaker_never_closed", "phase"),
    "flaps": Metric("count", "breaker_flaps", "phase"),
}

ASPECT = Aspect[Breakers](
    section="breakers",
    found=Breakers,
    measure=lambda record, _: figures(record),
    metrics={BREAKER: METRICS},
    figure=_figure,
    lacks=_lacks,
    compare=_compare,
    template="breakers.html",
    has_any=_has_any,
)
