"""Surprises: whatever happened that no fault explains, expected of or not.

The death of an instrument leaves the run without evidence; that of any other container fails it,
unless the experiment allows it. All else is reported, and judged only where it is expected of.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from harness.aspects.alerts import Alerts
from harness.aspects.breakers import timeline
from harness.aspects.writes import Behind
from harness.model.surprise import EXITS, Surprise, Weight
from harness.record.causes import (
    SETTLE_S,
    Cause,
    Explanations,
    Places,
    causes_of,
    during,
    enumerated,
    phase_at,
    places_of,
)
from harness.record.deaths import (
    Death,
    death_causes,
    lone_memory_kills,
    loops_of,
    unplanned_deaths,
    unplanned_pauses,
    unplanned_starts,
)
from harness.record.run import Record, within

STALL_S = 0.25
"""How late a request must be sent for the generator to have stood still; far over load health's
limit, which is on the 99th percentile."""
APART_S = 1.0
"""Late requests closer together are of one stall, rotation changes of one departure."""
FIRST_LOOK_S = 3.0
"""Until when all that runs has been looked at; who is first seen later was started later."""
EACH_MAX = 3
"""How often one thing is listed of one service; the last of them says how many more there were."""


def figures(
    record: Record, not_caught_up: Sequence[Behind] = (), alerts: Alerts | None = None
) -> list[Surprise]:
    """Gravest first, of these exits first, then in order of time; [] where all is explained.

    `not_caught_up`: the database nodes that were no evidence at the end (see writes). `alerts`:
    what was seen of alerts.
    """
    places = places_of(record)
    faults = causes_of(record)
    deaths = unplanned_deaths(record, places, faults)
    causes = (*faults, *death_causes(deaths, places))
    failovers = list(_failovers(record, Explanations(places, causes)))
    explained = Explanations(places, (*causes, *_causes_of_failovers(failovers, places)))
    first_s = min(record.changes_s, default=math.inf)
    found = [
        *(_of_deaths(row, places, during(faults, row[0].at_s)) for row in loops_of(deaths)),
        *_of_containers(record, causes, places),
        *failovers,
        *_open_at_start(record),
        *_breakers(record, explained, first_s),
        *_departures(record, explained),
        *_alerts(alerts or Alerts(), record, first_s),
        *_stalls(record),
        *_gaps(record),
        *(_left_behind(record, node) for node in not_caught_up),
    ]
    allowed = record.experiment.allowed_surprises
    rows = [replace(s, outcome="note") if s.code in allowed else s for s in found]
    return [_placed(record, row) for row in _in_order(_shortened(rows))]


def _placed(record: Record, surprise: Surprise) -> Surprise:
    return replace(surprise, phase=phase_at(record, surprise.at_s))


def _in_order(rows: Iterable[Surprise]) -> list[Surprise]:
    weights = ("fail", "inconclusive", "note")
    return sorted(
        rows, key=lambda s: (weights.index(s.outcome), s.code not in EXITS, s.at_s, s.who)
    )


def _shortened(rows: Iterable[Surprise]) -> list[Surprise]:
    """At most EACH_MAX of a kind of one service."""
    rows = sorted(rows, key=lambda s: s.at_s)
    total = Counter((row.code, row.who) for row in rows)
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for row in rows:
        key = (row.code, row.who)
        seen[key] += 1
        more = total[key] - EACH_MAX
        if seen[key] == EACH_MAX and more > 0:
            kept.append(replace(row, text=f"{row.text}; {more} more of this kind later"))
        elif seen[key] <= EACH_MAX:
            kept.append(row)
    return kept


def _weight(service: str, places: Places) -> Weight:
    return "inconclusive" if places.is_instrument(service) else "fail"


def _of_deaths(deaths: Sequence[Death], places: Places, when: str) -> Surprise:
    """Of a crash loop, or of a single death; `when`: during which faults it began."""
    first, is_for_memory = deaths[0], all(death.is_for_memory for death in deaths)
    code = "container_out_of_memory" if is_for_memory else "container_died"
    words = _words_of_loop(deaths, when) if len(deaths) > 1 else _words_of_death(first, when)
    text = f"{_named(first.service, places)} {words}"
    return _surprise(code, first.at_s, first.service, text, _weight(first.service, places))


def _words_of_death(death: Death, when: str) -> str:
    text = "was killed for memory" if death.is_for_memory else "died"
    if death.exit_code is not None:
        text += f" with exit code {death.exit_code}"
    text += f" {when}" if when else ""
    if death.back_s is None:
        return f"{text} and did not run again"
    return f"{text}, and ran again after {death.back_s - death.at_s:.1f} s"


def _words_of_loop(deaths: Sequence[Death], when: str) -> str:
    count = Counter(str(death.exit_code) for death in deaths if death.exit_code is not None)
    facts = [f"{len(deaths)} exits"]
    if len(count) == 1:
        facts.append(f"exit code {next(iter(count))}")
    elif count:
        codes = enumerated([f"{code} ({_times(n)})" for code, n in count.most_common()])
        facts.append(f"exit codes {codes}")
    if for_memory := sum(death.is_for_memory for death in deaths):
        facts.append(f"{for_memory} killed for memory")
    span = f"from {deaths[0].at_s:.1f} to {deaths[-1].at_s:.1f} s"
    text = f"crash-looped{f' {when}' if when else ''}: {', '.join(facts)}, {span}"
    return text if deaths[-1].back_s is not None else f"{text}; it did not run again"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _of_containers(record: Record, causes: Iterable[Cause], places: Places) -> Iterator[Surprise]:
    """What happened to a container short of its death."""
    for code, text, found in (
        ("container_out_of_memory", "a process in {} was killed for memory", lone_memory_kills),
        ("container_paused", "{} was frozen", unplanned_pauses),
    ):
        for service, at_s in found(record, causes):
            said = text.format(_named(service, places))
            yield _surprise(code, at_s, service, said, _weight(service, places))
    for service, at_s in unplanned_starts(record, causes):
        yield _surprise("container_started", at_s, service, f"{service} was started")


def _named(service: str, places: Places) -> str:
    return f"{service} (an instrument)" if places.is_instrument(service) else service


def _failovers(record: Record, explained: Explanations) -> Iterator[Surprise]:
    """Those of each region's cluster; there is one where no event says a region."""
    looks: dict[str, list[dict[str, Any]]] = {}
    for event in record.events_of("patroni.cluster"):
        looks.setdefault(str(event.get("region", "")), []).append(event)
    for each in looks.values():
        yield from _failovers_of(each, explained)


def _failovers_of(looks: Iterable[dict[str, Any]], explained: Explanations) -> Iterator[Surprise]:
    """A new primary, or a new timeline of the same one.

    A new primary is named first and begins its timeline a moment later: one failover, not two.
    """
    leader, timeline, is_promoting = "", None, False
    for event in looks:
        new, new_timeline = event.get("leader"), event.get("timeline")
        if not new:
            continue
        if leader and (new, new_timeline) != (leader, timeline):
            at_s, is_same = float(event["t_s"]), new == leader
            is_known = (is_promoting and is_same) or explained.failover(leader, at_s)
            is_promoting = not is_same and new_timeline == timeline
            if not is_known:
                what = f"became the primary after {leader}" if new != leader else "was promoted"
                text = f"{new} {what}" + (f", timeline {new_timeline}" if new_timeline else "")
                yield _surprise("failover", at_s, str(new), text)
        leader, timeline = str(new), new_timeline


def _causes_of_failovers(failovers: Iterable[Surprise], places: Places) -> Iterator[Cause]:
    """A failover moves the load balancers' servers, and fails calls: no surprises of their own."""
    for failover in failovers:
        end_s = failover.at_s + SETTLE_S
        before_s = failover.at_s - SETTLE_S  # the primary had to be missed first
        yield Cause("failover", "failover", places.members, frozenset(), before_s, end_s)


def _breakers(record: Record, explained: Explanations, first_s: float) -> Iterator[Surprise]:
    """`first_s`: when the first fault began."""
    states = timeline(record)
    deaths_s: dict[str, list[float]] = {}
    for event in record.events_of("container.die"):
        deaths_s.setdefault(event["service"], []).append(float(event["t_s"]))
    for event in record.events_of("breaker.transition"):
        at_s, server, breaker = float(event["t_s"]), event["server"], event["breaker"]
        is_opening = (event["from"], event["to"]) == ("CLOSED", "OPEN")
        if at_s < 0 or not is_opening or explained.breaker(server, breaker, at_s):
            continue
        lasted = _when(states[f"{server}/{breaker}"], deaths_s.get(server, []), at_s)
        text = f"breaker {breaker} of {server} opened {lasted}"
        text += ", before any fault" if at_s < first_s else ""
        yield _surprise("breaker_opened", at_s, str(server), text)


def _open_at_start(record: Record) -> Iterator[Surprise]:
    """By what each server said first, before it could change."""
    known: set[tuple[str, str]] = set()
    for event in record.events_of("breaker.state", "breaker.transition"):
        key = (str(event["server"]), str(event["breaker"]))
        is_state = event["event"] == "breaker.state"
        if key in known or (not is_state and event["t_s"] < 0):
            continue
        known.add(key)
        state = event["state"] if is_state else event["from"]
        if state != "CLOSED" and event["t_s"] <= FIRST_LOOK_S:
            text = f"breaker {key[1]} of {key[0]} was {state} when the run began"
            yield _surprise("breaker_open_before", 0.0, key[0], text)


def _when(states: list[list[Any]], deaths_s: list[float], at_s: float) -> str:
    """How long it was not CLOSED: until it closed, or its process ended."""
    died_s = min((died_s for died_s in deaths_s if died_s > at_s), default=math.inf)
    closed_s = min((t for t, state in states if t > at_s and state == "CLOSED"), default=math.inf)
    if died_s < closed_s:
        return f"and was not CLOSED until its server died after {died_s - at_s:.1f} s"
    return "and did not close again" if closed_s == math.inf else f"for {closed_s - at_s:.1f} s"


def _departures(record: Record, explained: Explanations) -> Iterator[Surprise]:
    """Servers that left a rotation; backends of one balancer that drop one together are one."""
    status: dict[tuple[str, str, str], str] = {}
    left_s: dict[tuple[str, str], float] = {}
    for event in record.events_of("lb.server"):
        lb, server, at_s = str(event["lb"]), str(event["server"]), float(event["t_s"])
        key = (lb, str(event["backend"]), server)
        was_up = status.get(key, "").startswith("UP")
        status[key] = str(event["status"])
        if not was_up or status[key].startswith("UP") or at_s < 0:
            continue
        is_known = at_s - left_s.get((lb, server), -np.inf) <= APART_S
        left_s[lb, server] = at_s
        if not is_known and not explained.rotation(lb, server, at_s):
            text = f"{server} left the rotation of {lb} ({key[1]}) {_until(record, key, at_s)}"
            yield _surprise("left_rotation", at_s, server, text)


def _until(record: Record, key: tuple[str, str, str], at_s: float) -> str:
    back = (
        float(event["t_s"])
        for event in record.events_of("lb.server")
        if (event["lb"], event["backend"], event["server"]) == key
        and event["t_s"] > at_s
        and str(event["status"]).startswith("UP")
    )
    back_s = next(back, None)
    return "and did not return" if back_s is None else f"for {back_s - at_s:.1f} s"


def _alerts(alerts: Alerts, record: Record, first_s: float) -> Iterator[Surprise]:
    """Those that fired in the judged time before the first fault, and that nothing expects."""
    start_s, end_s = record.judged[-1].start_s, min(first_s, record.experiment.end_s)
    for one in alerts.unexpected_in(start_s, end_s):
        at_s, who = max(0.0, one.firing_s or 0.0), one.labels.get("part", "")
        since = "was firing when the run began" if not at_s else "fired"
        before = " before any fault" if at_s and first_s < math.inf else ""
        about = f" of {who}" if who else ""
        text = f"alert {one.name}{about} {since}{before}: {one.summary}".rstrip(": ")
        yield _surprise("alert_fired", at_s, who or one.alert, text)


def _stalls(record: Record) -> Iterator[Surprise]:
    """Stretches of the judged time in which requests were sent late, by stream.

    In the warm-up a generator may still be getting going.
    """
    judged = record.judged[-1]
    for name, samples in (("main load", record.main), ("canary", record.canary)):
        for start_s, end_s, late_s in _late_stretches(within(samples, judged)):
            text = f"the {name} stood still: requests due from {start_s:.1f} to {end_s:.1f} s"
            text += f" were sent up to {late_s:.2f} s late"
            yield _surprise("generator_stalled", start_s, name, text)


def _late_stretches(samples: pd.DataFrame) -> Iterator[tuple[float, float, float]]:
    """First and last due time, and the most lateness, of late requests close together."""
    if samples.empty:
        return
    due_s = samples["intended_s"].to_numpy()
    late_s = samples["sent_s"].to_numpy() - due_s
    (late,) = np.nonzero(late_s > STALL_S)  # what was never sent is NaN, and is no stall
    if not late.size:
        return
    for group in np.split(late, np.nonzero(np.diff(due_s[late]) > APART_S)[0] + 1):
        yield float(due_s[group[0]]), float(due_s[group[-1]]), float(late_s[group].max())


def _gaps(record: Record) -> Iterator[Surprise]:
    """Probes that broke, or that looked too late to see what happened."""
    for event in record.events_of("probe.gap", "probe.late"):
        name, at_s = str(event.get("probe", "")), float(event["t_s"])
        text = f"probe {name} could not look: {event.get('error', '')}"
        if event["event"] == "probe.late":
            text = f"probe {name} did not look for {float(event.get('silent_s', 0)):.1f} s"
        yield _surprise("probe_gap", at_s, name, text)


def _left_behind(record: Record, node: Behind) -> Surprise:
    """A database node that had its time to catch up after all was healed, and did not."""
    text = f"{node.node} did not catch up with the primary: {node.why}"
    return _surprise("replica_not_caught_up", record.experiment.end_s, node.node, text, "fail")


def _surprise(code: str, at_s: float, who: str, text: str, outcome: Weight = "note") -> Surprise:
    return Surprise(code, at_s, who, text, phase="", outcome=outcome)
