"""Changes of alerts out of Prometheus' list of rules, each with the time that can be known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import pytest
from fakes import WALL_S, FakeClock, FakeHttp, container
from hypothesis import given
from hypothesis import strategies as st
from prometheus_answers import active, answer, rule

from harness.model.alert import ALERTS_MAX
from harness.model.http import Answer
from harness.model.observation import Observation
from harness.probes import labelled_probes
from harness.probes.base import ProbeThread
from harness.probes.prometheus import PrometheusProbe

URL = "http://127.0.0.1:1/"


def at(monotonic_s: float) -> str:
    """As Prometheus writes it; the fake clock's wall time of a monotonic one."""
    return datetime.fromtimestamp(monotonic_s + WALL_S, UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Prometheus:
    """One whose answers a test gives, with the clock moved to the time of the look."""

    clock: FakeClock = field(default_factory=FakeClock)
    http: FakeHttp = field(default_factory=FakeHttp)

    def __post_init__(self) -> None:
        self.probe = PrometheusProbe("prometheus", URL, self.http, self.clock)

    def look(
        self, at_s: float, *alerts: Any, evaluated_s: float | None = None, **facts: Any
    ) -> Any:
        """One look at one rule; it was evaluated a tenth of a second before."""
        evaluated = at(at_s - 0.1 if evaluated_s is None else evaluated_s)
        one = rule("ErrorRateHigh", "critical", *alerts, evaluated=evaluated, **facts)
        return self.look_at(at_s, answer(one))

    def look_at(self, at_s: float, document: Any, status: int = 200) -> Observation:
        self.clock.at_s = at_s
        body = json.dumps(document).encode()
        self.http.answers[f"{URL}api/v1/rules?type=alert"] = Answer(status, body)
        return self.probe.observe()


def states(seen: Observation) -> list[tuple[str, float, float]]:
    return [
        (e["state"], round(e["at_s"], 3), e["uncertainty_s"])
        for e in seen.events
        if e["event"] == "alert.state"
    ]


def test_an_alert_that_is_pending_then_fires_then_resolves() -> None:
    """Pending since it became active, the others at the evaluation, give or take half of one."""
    prometheus = Prometheus()
    assert states(prometheus.look(100.0)) == []
    pending = active("pending", at(100.8), part="app-1")
    assert states(prometheus.look(101.0, pending)) == [("pending", 100.8, 0.0)]
    assert states(prometheus.look(101.5, pending, evaluated_s=100.9)) == []
    assert states(prometheus.look(102.0, pending)) == []
    assert states(prometheus.look(103.0, pending)) == []
    firing = active("firing", at(100.8), part="app-1")
    [event] = [e for e in prometheus.look(104.0, firing).events if e["event"] == "alert.state"]
    assert dict(event) == {
        "at_s": pytest.approx(103.9), "event": "alert.state", "service": "prometheus",
        "alert": "ErrorRateHigh", "severity": "critical", "summary": "ErrorRateHigh of app-1",
        "labels": {"alertname": "ErrorRateHigh", "severity": "critical", "part": "app-1"},
        "state": "firing", "uncertainty_s": 0.5,
    }  # fmt: skip
    assert states(prometheus.look(105.0, firing)) == []
    assert states(prometheus.look(106.0)) == [("resolved", 105.9, 0.5)]
    assert states(prometheus.look(107.0)) == []


def test_a_rule_without_a_wait_fires_when_it_becomes_active() -> None:
    prometheus = Prometheus()
    prometheus.look(100.0, for_s=0.0)
    seen = prometheus.look(101.0, active("firing", at(100.9)), for_s=0.0)
    assert states(seen) == [("pending", 100.9, 0.0), ("firing", 100.9, 0.0)]


def test_evaluations_that_were_not_looked_at_make_times_less_certain() -> None:
    """Between 100.9 and 108.9 it fired at the earliest 3 s after it became active."""
    prometheus = Prometheus()
    prometheus.look(101.0)
    seen = prometheus.look(109.0, active("firing", at(102.9)))
    assert states(seen) == [("pending", 102.9, 0.0), ("firing", 107.4, 2.0)]
    assert states(prometheus.look(114.0)) == [("resolved", 111.9, 2.5)]


def test_an_alert_that_was_there_before_is_known_from_the_first_look() -> None:
    """Since when it is firing is known as well as can be: after its wait, before now."""
    first = Prometheus().look(100.0, active("firing", at(60.0)))
    assert states(first) == [("pending", 60.0, 0.0), ("firing", 81.45, 18.95)]
    assert states(Prometheus().look(100.0, active("pending", at(99.0)))) == [("pending", 99.0, 0.0)]


def test_one_that_resolved_and_came_back_between_two_looks_is_two() -> None:
    prometheus = Prometheus()
    prometheus.look(100.0, active("pending", at(99.0)))
    prometheus.look(102.0, active("firing", at(99.0)))
    seen = prometheus.look(105.0, active("pending", at(104.0)))
    assert states(seen) == [("resolved", 103.45, 1.05), ("pending", 104.0, 0.0)]


def test_instances_are_told_apart_by_their_labels() -> None:
    prometheus = Prometheus()
    prometheus.look(100.0)
    one, two = (active("pending", at(100.5), part=part) for part in ("app-1", "app-2"))
    assert len(states(prometheus.look(101.0, one, two))) == 2
    [ended] = [e for e in prometheus.look(102.0, two).events if e["event"] == "alert.state"]
    assert (ended["labels"]["part"], ended["state"]) == ("app-1", "resolved")


def test_rules_are_told_once_and_again_when_they_change() -> None:
    prometheus = Prometheus()
    first = prometheus.look(100.0)
    assert [e["event"] for e in first.events] == ["alert.watched", "alert.rules"]
    assert first.events[0] == {
        "at_s": 100.0, "event": "alert.watched", "by": "prometheus",
        "service": "prometheus",
    }  # fmt: skip
    assert first.events[1]["rules"] == [
        {"alert": "ErrorRateHigh", "severity": "critical", "query": "errorratehigh > 1",
         "for_s": 3.0, "interval_s": 1.0, "signal": "errorratehigh"}
    ]  # fmt: skip
    assert prometheus.look(101.0).events == ()
    changed = prometheus.look(102.0, for_s=5.0)
    assert [e["event"] for e in changed.events] == ["alert.rules"]


@pytest.mark.parametrize(
    ("document", "status", "error"),
    [
        ({}, 200, "an unexpected answer"),
        ({}, 503, "status 503"),
        (answer(), 200, "there is no alert rule"),
        (answer(rule(evaluated="0001-01-01T00:00:00Z")), 200, "was not evaluated yet"),
        (
            answer(rule(evaluated=at(99.9), health="err", lastError="no such series")),
            200,
            "rule ErrorRateHigh: no such series",
        ),
        (
            answer(rule("A", "b", *[active("firing", at(9))] * (ALERTS_MAX + 1), evaluated=at(99))),
            200,
            "1001 alerts at once are too many",
        ),
    ],
)
def test_what_says_nothing_of_now_is_no_answer(document: Any, status: int, error: str) -> None:
    prometheus = Prometheus()
    seen = prometheus.look_at(100.0, document, status)
    assert not seen.ok
    assert error in seen.facts["error"]
    assert seen.events == ()
    assert prometheus.look(101.0).events[0]["event"] == "alert.watched"


def test_a_prometheus_that_was_restarted_has_forgotten_what_it_saw() -> None:
    """Its list is empty until the rules are evaluated again: nothing has resolved by that."""
    prometheus = Prometheus()
    prometheus.look(100.0, active("firing", at(90.0)))
    fresh = answer(rule("ErrorRateHigh", evaluated="0001-01-01T00:00:00Z"))
    assert states(prometheus.look_at(103.0, fresh)) == []
    assert states(prometheus.look_at(103.5, answer())) == []
    again = prometheus.look(105.0, active("pending", at(104.9)))
    assert states(again) == [("resolved", 102.9, 2.5), ("pending", 104.9, 0.0)]


def test_a_rule_that_cannot_be_evaluated_hides_no_other() -> None:
    prometheus = Prometheus()

    def look(at_s: float, *alerts: Any, **facts: Any) -> Observation:
        one = rule("A", "warning", *alerts, evaluated=at(at_s - 0.1))
        two = rule("B", "warning", evaluated=at(at_s - 0.1), **facts)
        return prometheus.look_at(at_s, answer(one, two))

    assert look(100.0).ok
    seen = look(101.0, active("pending", at(100.9), "A", "warning"), health="err")
    assert (seen.ok, seen.facts["error"]) == (False, "rule B: its evaluation failed")
    assert states(seen) == [("pending", 100.9, 0.0)]


def test_an_alert_whose_rule_is_gone_has_ended() -> None:
    prometheus = Prometheus()
    prometheus.look(100.0, active("firing", at(90.0)))
    other = answer(rule("Other", evaluated=at(102.0)))
    assert states(prometheus.look_at(102.9, other)) == [("resolved", 101.9, 1.5)]


def test_evaluations_that_stop_are_unanswered_since_the_last_one() -> None:
    prometheus, told = Prometheus(), list[Observation]()
    thread = ProbeThread(prometheus.probe, prometheus.clock, told.append)

    def look(at_s: float, evaluated_s: float) -> list[dict[str, Any]]:
        seen = prometheus.look(at_s, evaluated_s=evaluated_s)
        noted = thread._noted(seen)
        return [{**e} for e in noted.events if str(e["event"]).startswith("probe.")]

    assert look(100.0, 99.9) == []
    assert look(102.8, 99.9) == []  # three of its intervals, and 3 s
    [silent] = look(103.0, 99.9)
    assert (silent["event"], silent["at_s"]) == ("probe.unanswered", pytest.approx(99.9))
    assert silent["probe"] == "prometheus prometheus"
    assert silent["error"] == "the rules of group alerts were last evaluated 3.1 s ago"
    assert look(104.0, 99.9) == []
    [again] = look(105.0, 104.9)
    assert (again["event"], again["at_s"]) == ("probe.answered", 105.0)
    assert again["unanswered_s"] == pytest.approx(5.1)


def test_rules_that_are_evaluated_seldom_are_not_stale_for_that() -> None:
    prometheus = Prometheus()
    slow = answer(rule(evaluated=at(80.0)), interval_s=15.0)
    assert prometheus.look_at(124.9, slow).ok
    assert not prometheus.look_at(125.1, slow).ok


def test_the_last_look_says_until_when_it_was_watched() -> None:
    prometheus = Prometheus()
    prometheus.look(100.0)
    last = prometheus.probe.finish()
    assert [(e["event"], e["at_s"]) for e in last.events] == [("alert.watched", 100.0)]
    prometheus.http.answers = {}
    assert prometheus.probe.finish().events == ()


def test_a_label_asks_for_it() -> None:
    labels = {"harness.probe.prometheus": "9090", "harness.probe.pager": "9095/notifications"}
    both = container("watch", "monitoring", labels=labels, ports={9090: 5, 9095: 6})
    probes = labelled_probes([both], FakeHttp(), FakeClock())
    assert [(p.name, p.url, p.interval_s) for p in probes] == [  # type: ignore[attr-defined]
        ("prometheus watch", "http://127.0.0.1:5/", 0.5),
        ("pager watch", "http://127.0.0.1:6/notifications", 0.5),
    ]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[bool], float, list[float]]:
    """Whether a rule's query had a result at each second, its `for`, and when it was looked at."""
    seconds = draw(st.lists(st.booleans(), min_size=5, max_size=40))
    gaps = draw(st.lists(st.sampled_from([0.3, 0.5, 0.7, 1.1, 2.3, 4.1]), min_size=5, max_size=60))
    return seconds, draw(st.sampled_from([0.0, 2.0, 3.0])), list(accumulate(gaps))


def truth(seconds: list[bool], for_s: float) -> list[tuple[int, int | None, int | None]]:
    """When it was active, fired and resolved, as Prometheus has it; None if it did not."""
    found, since = list[tuple[int, int | None, int | None]](), None
    for at, is_on in enumerate([*seconds, None]):
        if is_on and since is None:
            since = at
        if is_on is not True and since is not None:
            fired = next((t for t in range(since, at) if t - since >= for_s), None)
            found.append((since, fired, at if is_on is False else None))
            since = None
    return found


@given(histories())
def test_each_time_is_within_its_uncertainty_of_what_happened(
    made: tuple[list[bool], float, list[float]],
) -> None:
    """A second is an evaluation. What is not told lies between two looks."""
    seconds, for_s, looks = made
    times, prometheus = truth(seconds, for_s), Prometheus()
    told: list[dict[str, Any]] = []
    for look_s in (look for look in looks if look < len(seconds)):
        now = int(look_s)
        on = [t for t in times if t[0] <= now and (t[2] is None or t[2] > now)]
        alerts = [
            active("firing" if f is not None and f <= now else "pending", at(200.0 + a))
            for a, f, _ in on
        ]
        seen = prometheus.look(200.0 + look_s, *alerts, evaluated_s=200.0 + now, for_s=for_s)
        told += [{**e} for e in seen.events if e["event"] == "alert.state"]
    by_begin: dict[int, dict[str, dict[str, Any]]] = {}
    for event in told:
        if event["state"] == "pending":
            begin = round(event["at_s"] - 200.0)
            assert event["at_s"] == pytest.approx(200.0 + begin)
        by_begin.setdefault(begin, {})[event["state"]] = event
    seconds_looked = {int(look) for look in looks if look < len(seconds)}
    for begin, fired, ended in times:
        states = by_begin.pop(begin, {})
        end = len(seconds) if ended is None else ended
        assert bool(states) == any(begin <= s < end for s in seconds_looked)
        for name, true in (("firing", fired), ("resolved", ended)):
            if name in states:
                assert true is not None
                off_s = abs(states[name]["at_s"] - 200.0 - true)
                assert off_s <= states[name]["uncertainty_s"] + 1e-3
    assert by_begin == {}
