"""The rotation of servers and their retries, out of the statistics of two versions of HAProxy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from recorded_answers import BROKEN, HAPROXY_2, HAPROXY_3, haproxy_csv, proxy

from harness.model.http import Answer
from harness.model.observation import Observation
from harness.probes.haproxy import NO_STATISTICS, HaproxyProbe, read_retries, read_servers

HEADS = pytest.mark.parametrize("head", [HAPROXY_2, HAPROXY_3], ids=["2.2", "3.0"])
URL = "http://127.0.0.1:8404/stats;csv"
ROWS = [
    proxy("public", "FRONTEND", "OPEN"),
    proxy("read", "app-1", "UP", wretr=7, wredis=2),
    proxy("read", "app-2", "UP 1/3", wretr=1),
    proxy("read", "app-3", "DOWN 1/2"),
    proxy("read", "app-4", "MAINT (resolution)"),
    proxy("read", "BACKEND", "UP", wretr=8, wredis=2),
    proxy("write", "app-1", "DRAIN", wredis=4, wretr=4),
    proxy("write", "app-2", "NOLB"),
    proxy("last_resort", "any-1", "no check"),
    proxy("last_resort", "BACKEND", "UP"),
]


@HEADS
def test_each_server_of_each_backend_has_the_first_word_of_its_status(head: str) -> None:
    assert read_servers(haproxy_csv(head, ROWS)) == {
        ("read", "app-1"): "UP",
        ("read", "app-2"): "UP",
        ("read", "app-3"): "DOWN",
        ("read", "app-4"): "MAINT",
        ("write", "app-1"): "DRAIN",
        ("write", "app-2"): "NOLB",
        ("last_resort", "any-1"): "no",
    }


@HEADS
def test_each_server_has_its_retries_and_redispatches(head: str) -> None:
    found = read_retries(haproxy_csv(head, ROWS))
    assert found[("read", "app-1")] == (7, 2)
    assert found[("read", "app-2")] == (1, 0)
    assert found[("write", "app-1")] == (4, 4)
    assert len(found) == 7


def test_columns_are_found_by_name_not_by_place() -> None:
    shuffled = "# svname,wredis,status,pxname,wretr,"
    text = haproxy_csv(shuffled, ROWS)
    assert read_servers(text) == read_servers(haproxy_csv(HAPROXY_3, ROWS))
    assert read_retries(text) == read_retries(haproxy_csv(HAPROXY_3, ROWS))


@pytest.mark.parametrize(
    "text",
    [*(body.decode("utf-8", "replace") for body in BROKEN), "<html>\n<body>503</body>", HAPROXY_3,
     "# pxname,svname,\nread,app-1,\n"],
)  # fmt: skip
def test_what_is_no_statistics_names_no_server(text: str) -> None:
    assert (read_servers(text), read_retries(text)) == ({}, {})


@pytest.mark.parametrize(("tried", "sent"), [("", "1"), ("1", ""), ("x", "1"), ("1", "-1")])
def test_counters_that_are_no_numbers_are_left_out(tried: str, sent: str) -> None:
    row = proxy("read", "app-1", "UP", wretr=tried, wredis=sent)
    assert read_retries(haproxy_csv(HAPROXY_3, [row])) == {}


@given(st.integers(0, 4000))
def test_a_page_that_was_cut_off_names_no_server_that_is_not_on_it(length: int) -> None:
    text = haproxy_csv(HAPROXY_3, ROWS)
    whole, cut = read_servers(text), read_servers(text[:length])
    assert {key for key in cut if key not in whole} == set()
    retries = read_retries(text[:length])
    assert retries.keys() <= read_retries(text).keys()


@dataclass
class Page:
    """A load balancer's page and its probe; each look takes 0.02 s."""

    rows: list[dict[str, Any]] = field(default_factory=lambda: [dict(row) for row in ROWS])
    status: int = 200
    body: bytes | None = None
    asked: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.probe = HaproxyProbe("lb-1", URL, self, self.clock)

    def ask(self, url: str, timeout_s: float = 2.0, *_: Any) -> Answer:
        self.asked.append((url, timeout_s))
        self.clock.at_s += 0.02
        text = haproxy_csv(HAPROXY_3, self.rows) if self.status == 200 else "sorry"
        error = "" if self.status else "TimeoutError: timed out"
        return Answer(self.status, text.encode() if self.body is None else self.body, error=error)

    def look(self, at_s: float) -> Observation:
        self.clock.at_s = at_s
        return self.probe.observe()

    def row(self, backend: str, server: str) -> dict[str, Any]:
        return next(r for r in self.rows if (r["pxname"], r["svname"]) == (backend, server))


def of(observation: Observation, name: str) -> list[dict[str, Any]]:
    return [{**event} for event in observation.events if event["event"] == name]


def test_the_first_look_states_all_servers_with_nothing_before() -> None:
    page = Page()
    first = page.look(100.0)
    assert (first.probe, first.ok) == ("haproxy lb-1", True)
    assert first.at_s == pytest.approx(100.01)
    assert first.facts["read/app-3"] == "DOWN"
    events = of(first, "lb.server")
    assert [(e["backend"], e["server"]) for e in events] == list(
        read_servers(haproxy_csv(HAPROXY_3, ROWS))
    )
    assert events[1] == {
        "at_s": pytest.approx(100.01), "event": "lb.server", "lb": "lb-1", "backend": "read",
        "server": "app-2", "status": "UP", "previous": None, "uncertainty_s": 0.0,
    }  # fmt: skip
    assert of(first, "lb.retries") == []
    assert page.asked == [(URL, 1.0)]
    assert page.look(100.25).events == ()


@pytest.mark.parametrize("body", [*BROKEN, b"<html>\n<body>hello</body>"])
def test_a_page_that_is_no_statistics_is_no_evidence_that_all_servers_are_gone(body: bytes) -> None:
    page = Page()
    page.look(100.0)
    page.body = body
    lost = page.look(100.25)
    assert (lost.ok, lost.facts, lost.events) == (False, {"error": NO_STATISTICS}, ())
    page.body = None
    page.row("read", "app-1")["status"] = "DOWN"
    (changed,) = of(page.look(100.5), "lb.server")
    assert (changed["server"], changed["previous"]) == ("app-1", "UP")
    assert changed["at_s"] == pytest.approx(100.26)  # half way from the last look that told


def test_a_change_lies_half_way_between_two_looks() -> None:
    page = Page()
    page.look(100.0)
    page.row("read", "app-1")["status"] = "DOWN"
    page.row("read", "app-2")["status"] = "UP 2/3"  # still up: no change
    page.row("write", "app-1")["status"] = "MAINT"
    first, second = of(page.look(100.4), "lb.server")
    assert first == {
        "at_s": pytest.approx(100.21), "event": "lb.server", "lb": "lb-1", "backend": "read",
        "server": "app-1", "status": "DOWN", "previous": "UP", "uncertainty_s": 0.2,
    }  # fmt: skip
    assert (second["backend"], second["status"], second["previous"]) == ("write", "MAINT", "DRAIN")
    page.row("read", "app-1")["status"] = "UP"
    (back,) = of(page.look(100.5), "lb.server")
    assert (back["status"], back["previous"], back["uncertainty_s"]) == ("UP", "DOWN", 0.05)


@pytest.mark.parametrize(("status", "error"), [(0, "TimeoutError: timed out"), (503, "status 503")])
def test_a_balancer_that_does_not_answer_is_data_and_widens_what_comes_after(
    status: int, error: str
) -> None:
    page = Page()
    page.look(100.0)
    page.row("read", "app-1")["status"] = "DOWN"
    page.status = status
    silent = page.look(100.25)
    assert (silent.ok, silent.facts, silent.events) == (False, {"error": error}, ())
    assert silent.probe == "haproxy lb-1"
    assert silent.at_s == pytest.approx(100.26)
    page.status = 200
    (late,) = of(page.look(101.0), "lb.server")
    assert late["uncertainty_s"] == 0.5


def test_retries_are_counted_from_the_look_before() -> None:
    page = Page()
    page.look(100.0)
    page.row("read", "app-1").update(wretr=10, wredis=2)
    page.row("write", "app-1").update(wretr=4, wredis=5)
    first, second = of(page.look(100.3), "lb.retries")
    assert first == {
        "at_s": pytest.approx(100.31), "event": "lb.retries", "lb": "lb-1", "backend": "read",
        "server": "app-1", "retries": 3, "redispatches": 0, "span_s": 0.3,
    }  # fmt: skip
    assert (second["backend"], second["retries"], second["redispatches"]) == ("write", 0, 1)
    page.row("read", "app-1").update(wretr=12, wredis=1)  # one fell: another process
    (anew,) = of(page.look(100.6), "lb.retries")
    assert (anew["retries"], anew["redispatches"]) == (12, 1)
    page.rows.append(proxy("read", "app-9", "UP", wretr=5, wredis=3))  # a server that was added
    (added,) = of(page.look(100.9), "lb.retries")
    assert (added["server"], added["retries"], added["redispatches"]) == ("app-9", 5, 3)


def test_the_last_look_is_a_look() -> None:
    page = Page()
    page.look(100.0)
    page.row("read", "app-1")["status"] = "DOWN"
    assert len(of(page.probe.finish(), "lb.server")) == 1


def test_one_retry_is_told_and_times_have_four_digits() -> None:
    page = Page()
    page.look(100.0)
    page.row("read", "app-1").update(wretr=8, status="DOWN")
    found = page.look(100.246913)
    (retried,) = of(found, "lb.retries")
    assert (retried["retries"], retried["redispatches"]) == (1, 0)
    assert retried["span_s"] == 0.2469
    assert of(found, "lb.server")[0]["uncertainty_s"] == 0.1235


def test_letters_that_are_none_spoil_no_other_row() -> None:
    page = Page()
    text = haproxy_csv(HAPROXY_3, ROWS).encode().replace(b"ok", b"\xff\xfe")
    page.ask = lambda *_, **__: Answer(200, text)  # type: ignore[method-assign]
    assert len(page.look(100.0).facts) == 7
