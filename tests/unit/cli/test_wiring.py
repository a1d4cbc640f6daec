"""What the command line makes of the labels of containers."""

from __future__ import annotations

from fakes import Cut, FakeClock, FakeEngine, FakeHttp, container
from toxiproxy.api import APIConsumer

from harness.adapters.http_client import HttpClient
from harness.bundled.round_trip import round_trip
from harness.model.http import Answer
from harness.probes.health import check_health
from harness.session.project import tools_of


def _tools(**facts: object) -> object:
    found = container("proxy", "toxiproxy", labels={"harness.toxiproxy": "8474"}, **facts)
    engine = FakeEngine({found.id: found}, FakeClock(), Cut())
    return tools_of(engine, FakeClock(), HttpClient())  # type: ignore[arg-type]


def test_links_are_where_toxiproxy_publishes_its_api() -> None:
    for hosts, expected in (
        ({}, "127.0.0.1"),
        ({8474: "127.0.0.3"}, "127.0.0.3"),
        ({8474: "::1"}, "[::1]"),
    ):
        [links] = _tools(ports={8474: 9}, hosts=hosts).links._parts  # type: ignore[attr-defined]
        links._bounded("nothing", lambda: None)
        assert (APIConsumer.host, APIConsumer.port) == (expected, 9)


def test_health_creates_a_link_where_the_entry_is_published() -> None:
    lb = container(
        "lb-1", "lb", labels={"harness.entry": "lb:80"}, ports={80: 7}, hosts={80: "127.0.0.2"}
    )
    asked = {"http://127.0.0.2:7/api/v1/urls": Answer(503)}
    health = check_health([lb], FakeHttp(asked), round_trip)
    assert health.problems == ("lb-1: create answered 503",)
