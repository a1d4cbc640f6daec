"""Every transition of a server's breakers once, by the server's own clock; none is missed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import FakeClock
from recorded_answers import BROKEN, breaker_page

from harness.model.http import Answer
from harness.model.observation import Observation
from harness.probes.base import ProbeThread
from harness.probes.breakers import BreakerProbe

URL = "http://127.0.0.1:5000/debug/breakers"
BEFORE = {"server": "app-1", "event": "breaker.state"}


@dataclass
class Server:
    """One app server's page; each look takes 0.02 s."""

    page: dict[str, Any] = field(default_factory=breaker_page)
    body: bytes | None = None
    status: int = 200
    asked: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.probe = BreakerProbe("app-1", URL, self, self.clock)

    def ask(self, url: str, timeout_s: float = 2.0, *_: Any) -> Answer:
        self.asked.append((url, timeout_s))
        self.clock.at_s += 0.02
        body = json.dumps(self.page).encode() if self.body is None else self.body
        return Answer(self.status, body, error="" if self.status else "refused")

    def look(self, at_s: float) -> Observation:
        self.clock.at_s = at_s
        return self.probe.observe()

    def log(self, *numbers: int) -> None:
        """More transitions, of different breakers."""
        for seq in numbers:
            name = ("redis", "db-rw", "db-ro")[seq % 3]
            self.page["transitions"].append(
                {"seq": seq, "monotonic_s": 4600.0 + seq, "breaker": name, "from": "CLOSED",
                 "to": "OPEN", "reason": "TimeoutError", "failures": seq, "probes": None}
            )  # fmt: skip


def of(observation: Observation, name: str) -> list[dict[str, Any]]:
    return [{**event} for event in observation.events if event["event"] == name]


def test_the_first_look_takes_the_clock_and_the_states_but_no_old_transition() -> None:
    server = Server()
    first = server.look(100.0)
    assert (first.probe, first.at_s, first.ok) == ("breakers app-1", 100.02, True)
    assert first.facts == server.page["breakers"]
    assert of(first, "clock.offset") == [
        {"at_s": 100.02, "event": "clock.offset", "service": "app-1",
         "offset_s": round(4711.5 - 100.01, 6), "uncertainty_s": 0.01}
    ]  # fmt: skip
    assert of(first, "breaker.transition") == []
    assert of(first, "breaker.state") == [
        {**BEFORE, "at_s": 100.02, "breaker": "redis", "state": "HALF_OPEN", "fast_fails": 6000,
         "fast_fail_p99_s": 2.6e-05},
        {**BEFORE, "at_s": 100.02, "breaker": "db-rw", "state": "CLOSED", "fast_fails": 0,
         "fast_fail_p99_s": None},
        {**BEFORE, "at_s": 100.02, "breaker": "db-ro", "state": "CLOSED", "fast_fails": 2,
         "fast_fail_p99_s": 1e-4},
    ]  # fmt: skip
    assert server.look(101.0).events == ()
    assert server.asked == [(URL, 1.5)] * 2


def test_each_transition_comes_once_by_the_servers_clock() -> None:
    server = Server()
    server.look(100.0)
    server.log(3, 4)
    first, second = of(server.look(101.0), "breaker.transition")
    assert first == {
        "at_s": 4603.0, "event": "breaker.transition", "server": "app-1", "boot": "8faf29dcbf87",
        "seq": 3, "breaker": "redis", "from": "CLOSED", "to": "OPEN", "reason": "TimeoutError",
        "failures": 3, "probes": None,
    }  # fmt: skip
    assert (second["seq"], second["breaker"], second["at_s"]) == (4, "db-rw", 4604.0)
    server.log(5)
    assert [e["seq"] for e in of(server.look(102.0), "breaker.transition")] == [5]
    assert of(server.look(103.0), "breaker.transition") == []


def test_a_state_is_told_when_it_changes() -> None:
    server = Server()
    server.look(100.0)
    server.page["breakers"]["db-rw"].update(state="OPEN", fast_fails=9)
    server.page["breakers"]["redis"]["fast_fails"] = 7000  # that alone is no change
    (changed,) = of(server.look(101.0), "breaker.state")
    assert (changed["breaker"], changed["state"], changed["fast_fails"]) == ("db-rw", "OPEN", 9)


def test_a_restarted_server_begins_a_log_of_its_own_that_is_all_taken() -> None:
    server = Server()
    server.look(100.0)
    server.page = breaker_page("a-new-boot", 12.25)
    found = server.look(101.0)
    (offset,) = of(found, "clock.offset")
    assert offset["offset_s"] == round(12.25 - 101.01, 6)
    taken = of(found, "breaker.transition")
    assert [(e["boot"], e["seq"]) for e in taken] == [("a-new-boot", 1), ("a-new-boot", 2)]
    assert len(of(found, "breaker.state")) == 3
    server.page["transitions"] = []
    assert server.look(102.0).events == ()


def test_a_log_that_begins_empty_loses_nothing_later() -> None:
    server = Server()
    server.page["transitions"] = []
    server.look(100.0)
    server.log(0, 1)
    assert [e["seq"] for e in of(server.look(101.0), "breaker.transition")] == [0, 1]


def test_the_last_look_states_every_breaker_again() -> None:
    server = Server()
    server.look(100.0)
    server.log(3)
    last = server.probe.finish()
    assert [e["breaker"] for e in of(last, "breaker.state")] == ["redis", "db-rw", "db-ro"]
    assert [e["seq"] for e in of(last, "breaker.transition")] == [3]
    assert of(last, "clock.offset") == []


@pytest.mark.parametrize(
    ("status", "error"), [(0, "refused"), (404, "status 404"), (503, "status 503")]
)
def test_a_server_that_does_not_answer_is_data(status: int, error: str) -> None:
    server = Server(status=status)
    found = server.look(100.0)
    assert (found.probe, found.at_s, found.ok) == ("breakers app-1", 100.02, False)
    assert (found.events, found.facts) == ((), {"error": error})


@pytest.mark.parametrize("body", [*BROKEN, b'{"boot": "x", "monotonic_s": 1}'])
def test_an_answer_that_is_no_log_is_no_answer(body: bytes) -> None:
    server = Server(body=body)
    found = server.look(100.0)
    assert (found.ok, found.facts) == (False, {"error": "an unexpected answer"})
    assert server.look(101.0).events == ()


def _without(page: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in page.items() if name != key}


@pytest.mark.parametrize("key", ["monotonic_s", "boot"])
def test_a_page_that_lacks_a_field_is_a_gap_and_spoils_no_later_look(key: str) -> None:
    server, seen = Server(), list[Observation]()
    whole, server.page = server.page, _without(server.page, key)
    ProbeThread(server.probe, server.clock, seen.append)._look(server.probe.observe)
    ((gap,),) = (observation.events for observation in seen)
    assert (gap["event"], gap["probe"], gap["error"]) == (
        "probe.gap", "breakers app-1", f"KeyError('{key}')"
    )  # fmt: skip
    server.page = whole
    found = server.look(102.0)
    assert len(of(found, "clock.offset")) == 1
    assert of(found, "breaker.transition") == []  # they are of before


def test_a_transition_that_cannot_be_read_takes_no_other_along() -> None:
    server = Server()
    server.look(100.0)
    server.log(3, 4)
    del server.page["transitions"][-1]["monotonic_s"]
    with pytest.raises(KeyError):
        server.look(101.0)
    server.page["transitions"][-1]["monotonic_s"] = 4604.0
    assert [e["seq"] for e in of(server.look(102.0), "breaker.transition")] == [3, 4]


def test_a_page_without_any_transition_says_so_by_leaving_them_out() -> None:
    server = Server()
    server.page = _without(server.page, "transitions")
    assert len(server.look(100.0).events) == 4
    assert server.look(101.0).events == ()


def test_clocks_are_told_in_microseconds() -> None:
    server = Server(breaker_page(monotonic_s=200.123456789))
    (offset,) = of(server.look(100.0), "clock.offset")
    assert offset["offset_s"] == 100.113457
    server = Server()
    times = iter([100.0, 100.123456789])
    server.clock.now_s = lambda: next(times)  # type: ignore[method-assign]
    (offset,) = of(server.probe.observe(), "clock.offset")
    assert offset["uncertainty_s"] == 0.061728
