"""What a recovery consisted of: marks along its way, each from the finest evidence there is.

    fault | detected | promoted | restarted | healed | routed | breakers closed | first success
          | noticed | decided | restored ----------------^                        by an operator

Only what the target told is there; its time is otherwise in the next part. A mark is moved no
further than order demands, and never the more certain of two. Where an operator helped there is no
such order: what he did may have come before or after all else, so the marks are in order of time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isnan, nan
from typing import Any, ClassVar

from harness.aspects.recovery.by_fault import Recovered
from harness.record.run import Record

Fault = dict[str, Any]
Event = dict[str, Any]
ORDER = (
    *("detected_s", "promoted_s", "restarted_s", "healed_s"),
    *("noticed_s", "decided_s", "restored_s"),
    *("routed_s", "breakers_closed_s", "first_success_s"),
)
OPERATOR = ("noticed_s", "decided_s", "restored_s")
"""What people do: a page reached them, they began, and they were done."""
POLLED_S = 0.3
"""How old a polled state can be if its event does not say."""


@dataclass(frozen=True, slots=True)
class Mark:
    """When a part of the way was reached, and what says so."""

    part: str
    at_s: float
    uncertainty_s: float | None
    evidence: str

    ALWAYS: ClassVar[tuple[str, ...]] = ("part", "at_s", "uncertainty_s", "evidence")

    @property
    def half_s(self) -> float:
        """Its uncertainty; NaN if it depends on the wall clock and that was not read."""
        return 0.0 if self.uncertainty_s is None else self.uncertainty_s


def marks(record: Record, recovery: Recovered) -> list[Mark]:
    """What was reached, in order of time; [] where nothing is known."""
    time_s, start_s = recovery.recovery_time_s, recovery.fault_start_s
    fault = next((f for f in record.faults if f["start_s"] == start_s), None)
    if not time_s or fault is None or start_s is None:
        return []
    end_s = start_s + time_s
    found = [
        *_failover(record, start_s),
        *_restart(record, fault, start_s),
        *_healing(fault),
        *_breakers(record, start_s, end_s),
        *_operator(record, start_s, end_s),
    ]
    found = [mark for mark in found if start_s < mark.at_s <= end_s + mark.half_s]
    if not found:
        return []
    last = Mark("first_success_s", end_s, recovery.uncertainty_s, "the probes")
    return _in_order([*found, last], start_s)


def durations(marks: list[Mark], start_s: float | None) -> dict[str, float]:
    """The parts that add up to the recovery time."""
    found, before_s = {}, start_s or 0.0
    for mark in marks:
        found[mark.part] = mark.at_s - before_s
        before_s = mark.at_s
    return found


def _in_order(found: list[Mark], start_s: float) -> list[Mark]:
    """Once each, in the order of the parts; the less certain gives way to the more certain."""
    first: dict[str, Mark] = {}
    for mark in found:
        first.setdefault(mark.part, mark)
    if not first.keys().isdisjoint(OPERATOR):
        return _by_time(first)
    placed: dict[int, float] = {-1: start_s}
    by_certainty = sorted(first.values(), key=lambda m: (m.half_s, ORDER.index(m.part)))
    last = first["first_success_s"]
    for mark in [last, *(mark for mark in by_certainty if mark is not last)]:
        place = ORDER.index(mark.part)
        low_s = max(at_s for other, at_s in placed.items() if other < place)
        high_s = min((at_s for other, at_s in placed.items() if other > place), default=mark.at_s)
        placed[place] = min(max(mark.at_s, low_s), high_s)
    return [
        replace(first[part], at_s=placed[place])
        for place, part in enumerate(ORDER)
        if part in first
    ]


def _by_time(first: dict[str, Mark]) -> list[Mark]:
    """None is later than the first success, which is the last one."""
    last = first["first_success_s"]
    others = [
        replace(mark, at_s=min(mark.at_s, last.at_s)) for mark in first.values() if mark is not last
    ]
    return [*sorted(others, key=lambda mark: (mark.at_s, ORDER.index(mark.part))), last]


def _operator(record: Record, start_s: float, end_s: float) -> Iterable[Mark]:
    """The first page since the fault, the first remedy begun, and the last one done until then."""
    for event in record.events_of("alert.notified"):
        if event["t_s"] > start_s and event["status"] != "resolved" and event["alerts"]:
            half_s = event.get("uncertainty_s", 0.0)
            yield Mark("noticed_s", event["t_s"], half_s, "the pager")
            break
    mine = [each for each in record.remedies if (each.start_s or 0.0) > start_s]
    if mine:
        begun_s = min(each.start_s for each in mine if each.start_s is not None)
        yield Mark("decided_s", begun_s, 0.0, "the harness began the first remedy")
    done_s = [each.done_s for each in mine if each.state == "done" and each.done_s is not None]
    if restored_s := [at_s for at_s in done_s if at_s <= end_s]:
        yield Mark("restored_s", max(restored_s), 0.0, "the last remedy was done")


def _failover(record: Record, start_s: float) -> Iterable[Mark]:
    """The old leader's lock is gone, another node leads, the balancer sends writes to it.

    A look is recorded where anything has changed: one that names the old leader is no sign of it.
    """
    every = _cluster(record, start_s)
    looks = [event for event in every if event["t_s"] > start_s]
    led = [event["leader"] for event in every if event["t_s"] <= start_s and event["leader"]]
    if not led:
        return
    lost = next((event for event in looks if event["leader"] != led[-1]), None)
    new = next((event for event in looks if event["leader"] not in (None, led[-1])), None)
    if lost:
        yield Mark(
            "detected_s", lost["t_s"], lost.get("uncertainty_s", POLLED_S), "Patroni, polled"
        )
    if new:
        yield _promotion(record, new, start_s)
        yield from _routed(record, str(new["leader"]), new["t_s"] - POLLED_S, "rw")


def _cluster(record: Record, start_s: float) -> list[Event]:
    """All looks at the cluster whose leader changed first, one of each region's; if any did."""
    every = record.events_of("patroni.cluster")
    known: dict[str, Any] = {}
    for event in every:
        region = event.get("region", "")
        if event["t_s"] > start_s and event["leader"] != known.get(region, event["leader"]):
            return [each for each in every if each.get("region", "") == region]
        known[region] = event["leader"] or known.get(region)
    return []


def _promotion(record: Record, new: Event, start_s: float) -> Mark:
    """By the time stamp of the new timeline, else by polling."""
    for at_s in _promotions(record, str(new["leader"])):
        if at_s > start_s:
            return Mark("promoted_s", at_s, record.wall_uncertainty_s(), "Patroni's history")
    return Mark("promoted_s", new["t_s"], new.get("uncertainty_s", POLLED_S), "Patroni, polled")


def _promotions(record: Record, leader: str) -> list[float]:
    """When `leader` began a timeline: rows of number, position, reason, time and leader."""
    found = []
    for row in (row for event in record.events_of("patroni.history") for row in event["rows"]):
        if isinstance(row, list) and len(row) > 4 and row[4] == leader:
            found.append(_placed(record, row[3]))
    return sorted(at_s for at_s in found if not isnan(at_s))


def _placed(record: Record, stamp: Any) -> float:
    try:
        at = datetime.fromisoformat(str(stamp))
    except ValueError:
        return nan
    return record.monotonic_of((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _restart(record: Record, fault: Fault, start_s: float) -> Iterable[Mark]:
    """The engine started the broken container again, and the balancers took it back."""
    starts = [
        event["t_s"]
        for event in record.events_of("container.start")
        if event["service"] == fault["service"] and event["t_s"] > start_s
    ]
    if starts:
        uncertainty_s = record.wall_uncertainty_s()
        yield Mark("restarted_s", starts[0], uncertainty_s, "the container engine's events")
        yield from _routed(record, str(fault["service"]), starts[0])


def _healing(fault: Fault) -> Iterable[Mark]:
    if fault["healed_s"] is not None:
        yield Mark("healed_s", fault["healed_s"], 0.0, "the harness healed the fault")


def _routed(record: Record, server: str, after_s: float, backend: str = "") -> Iterable[Mark]:
    """The first time after `after_s` that a balancer has it up, in that backend or in any."""
    for event in record.events_of("lb.server"):
        is_wanted = event["server"] == server and backend in ("", event["backend"])
        if is_wanted and event["t_s"] > after_s and str(event["status"]).startswith("UP"):
            half_s = event.get("uncertainty_s", POLLED_S)
            yield Mark("routed_s", event["t_s"], half_s, "HAProxy, polled")
            return


def _breakers(record: Record, start_s: float, until_s: float) -> Iterable[Mark]:
    """The last breaker to close, of those that opened since the fault, before the first success."""
    opened, closed_s = set(), None
    for event in record.events_of("breaker.transition"):
        name = (event["server"], event["breaker"])
        if not start_s < event["t_s"] <= until_s:
            continue
        if event["to"] == "OPEN":
            opened.add(name)
        elif event["to"] == "CLOSED" and name in opened:
            closed_s = event["t_s"]
    if closed_s is not None:
        yield Mark("breakers_closed_s", closed_s, 0.0, "the apps' breaker logs")
