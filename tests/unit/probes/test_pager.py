"""Notifications as the pager keeps them, on our clock, each once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeClock, FakeHttp
from prometheus_answers import notification, pager_answer

from harness.model.http import Answer
from harness.model.observation import Observation
from harness.probes.pager import PagerProbe

URL = "http://127.0.0.1:1/notifications"
PAGE = notification(99.0, "ErrorRateHigh", part="app-1")


class Pager:
    """One whose answers a test gives; its clock is `ahead_s` of ours."""

    def __init__(self, ahead_s: float = 0.0, takes_s: float = 0.0) -> None:
        self.clock, self.http, self.ahead_s, self.takes_s = (
            FakeClock(),
            FakeHttp(),
            ahead_s,
            takes_s,
        )
        self.probe = PagerProbe("pager", URL, self.http, self.clock)

    def look(self, at_s: float, *notifications: dict[str, Any], **facts: Any) -> Observation:
        def answered() -> Answer:
            self.clock.at_s = at_s + self.takes_s
            middle_s = at_s + self.takes_s / 2
            document = pager_answer(middle_s + self.ahead_s, *notifications, **facts)
            return Answer(200, json.dumps(document).encode())

        self.clock.at_s, self.http.answers[URL] = at_s, answered
        return self.probe.observe()


def notified(seen: Observation) -> list[tuple[str, float]]:
    return [
        (event["alerts"][0]["alert"], event["at_s"])
        for event in seen.events
        if event["event"] == "alert.notified"
    ]


def test_each_notification_is_told_once_with_its_own_time() -> None:
    pager = Pager()
    first = pager.look(100.0, PAGE)  # of before
    assert [e["event"] for e in first.events] == ["alert.watched", "clock.offset"]
    assert first.events[0]["by"] == "pager"
    new = notification(100.3, "CpuUsageHigh", "warning", part="app-2")
    [event] = pager.look(100.5, PAGE, new).events
    assert dict(event) == {
        "at_s": 100.3, "event": "alert.notified", "service": "pager", "status": "firing",
        "uncertainty_s": 0.0, "alerts": [
            {"alert": "CpuUsageHigh", "severity": "warning", "status": "firing",
             "labels": {"alertname": "CpuUsageHigh", "severity": "warning", "part": "app-2"},
             "summary": "what it says"}
        ],
    }  # fmt: skip
    assert pager.look(101.0, PAGE, new).events == ()
    gone = notification(101.2, "CpuUsageHigh", "warning", "resolved", part="app-2")
    [event] = pager.look(101.5, PAGE, new, gone).events
    assert (event["status"], event["alerts"][0]["status"]) == ("resolved", "resolved")


def test_what_arrived_while_it_did_not_answer_is_told_when_it_does() -> None:
    pager = Pager()
    pager.http.answers = {}
    assert not pager.probe.observe().ok
    late = pager.look(109.0, PAGE, notification(103.0, "A"), notification(104.0, "B"))
    assert notified(late) == [("A", 103.0), ("B", 104.0)]


def test_times_of_another_machines_clock_are_put_on_ours() -> None:
    pager = Pager(ahead_s=5_000.0, takes_s=0.2)
    first = pager.look(100.0)
    assert first.events[1] == {
        "at_s": 100.2, "event": "clock.offset", "service": "pager", "offset_s": 5_000.0,
        "uncertainty_s": 0.1,
    }  # fmt: skip
    [event] = pager.look(101.0, notification(5_100.7, "A")).events
    assert (event["at_s"], event["uncertainty_s"]) == (pytest.approx(100.7), 0.1)


def test_a_clock_within_the_questions_own_time_is_ours() -> None:
    pager = Pager(ahead_s=0.09, takes_s=0.2)
    pager.look(100.0)
    [event] = pager.look(101.0, notification(100.7, "A")).events
    assert (event["at_s"], event["uncertainty_s"]) == (100.7, 0.0)


@pytest.mark.parametrize("facts", [{}, {"received": None}])
def test_a_pager_that_was_restarted_has_lost_what_it_had(facts: dict[str, Any]) -> None:
    pager = Pager()
    pager.look(100.0, PAGE, notification(99.5, "B"), **facts)
    gap, page = pager.look(101.0, notification(100.9, "A"), **facts).events
    assert (gap["event"], gap["probe"]) == ("probe.gap", "pager pager")
    assert "was restarted" in gap["error"]
    assert page["alerts"][0]["alert"] == "A"


def test_one_that_forgets_only_the_oldest_was_not_restarted() -> None:
    pager = Pager()
    pager.look(100.0, PAGE, notification(99.5, "B"), received=2)
    seen = pager.look(101.0, notification(99.5, "B"), notification(100.5, "C"), received=3)
    assert [e["event"] for e in seen.events] == ["alert.notified"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"monotonic_s": 1}'])
def test_what_is_no_list_of_notifications_is_no_answer(body: bytes) -> None:
    pager = Pager()
    pager.http.answers[URL] = Answer(200, body)
    seen = pager.probe.observe()
    assert (seen.ok, seen.facts["error"]) == (False, "an unexpected answer")


def test_the_last_look_says_until_when_it_was_watched() -> None:
    pager = Pager()
    pager.look(100.0)
    last = pager.probe.finish()
    assert [(e["event"], e["at_s"]) for e in last.events] == [("alert.watched", 100.0)]
    pager.http.answers = {}
    assert pager.probe.finish().events == ()
