"""What is read from containers, links and servers, to the letter; broken answers crash nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import WALL_S, FakeClock, container
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from recorded_answers import BROKEN

from harness.bundled.clicks_probe import ClicksProbe
from harness.model.container import Container, ContainerEvent
from harness.model.http import Answer
from harness.model.observation import Observation
from harness.probes.containers import ContainerProbe
from harness.probes.links import LinkProbe, read_traffic
from harness.probes.prometheus_text import metric, read_metrics


@dataclass
class Pages:
    """What some URLs answer; a look takes 0.1 s. Remembers what it was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()

    def ask(self, url: str, timeout_s: float = 9.0, *_: Any) -> Answer:
        self.asked.append((url, timeout_s))
        self.clock.at_s += 0.1
        return self.answers.get(url, Answer(0, error="refused"))

    def say(self, url: str, body: bytes, status: int = 200) -> None:
        self.answers[url] = Answer(status, body)


# -- the engine's events


@dataclass
class Engine:
    """Lists what a test put in; remembers the spans it was asked for."""

    found: list[ContainerEvent] = field(default_factory=list)
    listed: list[Container] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)

    def containers(self) -> list[Container]:
        return self.listed

    def events(self, since_s: float, until_s: float) -> list[ContainerEvent]:
        self.spans.append((since_s - WALL_S, until_s - WALL_S))
        return [e for e in self.found if since_s <= e.wall_s <= until_s]


def _event(action: str, at_s: float, number: int = 1, code: int | None = None) -> ContainerEvent:
    return ContainerEvent(
        f"id-{number}", f"app-{number}", f"p-app-{number}-1", action, WALL_S + at_s, code
    )


def test_what_the_project_consists_of() -> None:
    labels = [f"harness.probe.{name}" for name in ("patroni", "haproxy", "breakers", "x")]
    engine = Engine(listed=[
        container("db-1", "db", labels={labels[0]: "8008", labels[3]: "1"}),
        container("lb-1", "lb", labels={labels[1]: "8404", labels[2]: "1"}, status="exited"),
    ])  # fmt: skip
    first = ContainerProbe(engine, FakeClock()).observe()
    assert (first.probe, first.at_s, first.ok) == ("containers", 100.0, True)
    shared = {"is_instrument": False, "is_standby": False, "region": ""}
    assert first.events == (
        {"at_s": 100.0, "event": "target.parts", "parts": [
            {"service": "db-1", "role": "db", "is_running": True, "probes": ["patroni"], **shared},
            {"service": "lb-1", "role": "lb", "is_running": False,
             "probes": ["breakers", "haproxy"], **shared},
        ]},
    )  # fmt: skip


def test_each_event_comes_once_although_spans_overlap() -> None:
    clock, engine = FakeClock(), Engine()
    probe = ContainerProbe(engine, clock)
    engine.found = [_event("die", 99.5, code=137), _event("start", 98.9)]
    seen = [probe.observe()]
    engine.found += [
        _event("die", 99.75, 2, code=0), _event("start", 99.5), _event("oom", 99.5),
        _event("health_status: healthy", 100.25),
    ]  # fmt: skip
    clock.at_s = 100.5
    seen.append(probe.observe())
    clock.at_s = 101.0
    seen.append(probe.observe())
    clock.at_s = 103.0
    engine.found.append(_event("die", 102.5, code=1))
    seen.append(probe.finish())
    assert engine.spans == [(99.0, 100.0), (99.0, 100.5), (99.5, 101.0), (100.0, 103.0)]
    told = [[(e["event"], e["at_s"]) for e in one.events if "parts" not in e] for one in seen]
    assert told == [
        [("container.die", 99.5)],
        [("container.die", 99.75), ("container.start", 99.5), ("container.oom", 99.5),
         ("container.health", 100.25)],
        [],
        [("container.die", 102.5)],
    ]  # fmt: skip


def test_an_event_is_told_whole() -> None:
    clock = FakeClock()
    engine = Engine([_event("die", 99.5, 2, code=0), _event("start", 99.75, 2)])
    _, died, started = ContainerProbe(engine, clock).observe().events
    shared = {"service": "app-2", "container": "p-app-2-1"}
    assert died == {
        "at_s": 99.5, "event": "container.die", "wall_s": WALL_S + 99.5, "exit_code": 0, **shared,
    }  # fmt: skip
    assert started == {
        "at_s": 99.75,
        "event": "container.start",
        "wall_s": WALL_S + 99.75,
        **shared,
    }


# -- Toxiproxy

PROXIES = (
    b'{"b.redis": {"upstream": "redis:6379"}, "a.db": {"upstream": "[::1]:5000", "x": 1},'
    b' "odd": 7, "bare": {}}'
)
METRIC = 'toxiproxy_proxy_{}_bytes_total{{direction="{}",listener="[::]:1",proxy="{}"}} {}\n'


def _traffic(link: str, received: int, sent: int) -> bytes:
    lines = [("received", "upstream", received), ("sent", "downstream", sent),
             ("received", "downstream", 7), ("sent", "upstream", 9)]  # fmt: skip
    return "".join(METRIC.format(name, way, link, n) for name, way, n in lines).encode()


def _links(pages: Pages) -> LinkProbe:
    return LinkProbe("http://t/", pages, pages.clock)


def test_links_are_listed_once_with_where_they_lead() -> None:
    pages = Pages()
    probe = _links(pages)
    silent = probe.observe()
    assert (silent.probe, silent.ok, silent.events) == ("links", False, ())
    assert silent.facts == {"error": "refused"}
    pages.say("http://t/proxies", PROXIES)
    pages.say("http://t/metrics", b"")
    found = probe.observe()
    assert found.events == (
        {"at_s": pytest.approx(100.3), "event": "target.links",
         "links": {"a.db": "[::1]", "b.redis": "redis", "bare": ""}},
    )  # fmt: skip
    assert (found.at_s, found.ok, found.facts) == (pytest.approx(100.4), True, {})
    assert probe.observe().events == ()
    assert pages.asked == [
        ("http://t/proxies", 1.5), ("http://t/metrics", 1.5),
        ("http://t/proxies", 1.5), ("http://t/metrics", 1.5), ("http://t/metrics", 1.5),
    ]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN)
def test_a_list_of_links_that_is_none_is_asked_for_again(body: bytes) -> None:
    pages = Pages()
    pages.say("http://t/metrics", body)
    pages.say("http://t/proxies", body)
    probe = _links(pages)
    assert probe.observe().events == ()
    pages.say("http://t/proxies", PROXIES, 500)
    assert probe.observe().events == ()
    pages.say("http://t/proxies", PROXIES)
    assert len(probe.observe().events) == 1


def test_what_was_added_on_each_link_since_the_look_before() -> None:
    pages = Pages()
    pages.say("http://t/proxies", b"{}")
    probe = _links(pages)
    pages.say("http://t/metrics", _traffic("b", 100, 200) + _traffic("a", 10, 20))
    assert [e["event"] for e in probe.observe().events] == ["target.links"]
    pages.say("http://t/metrics", _traffic("b", 100, 205) + _traffic("a", 13, 20))
    first, second = probe.observe().events
    assert (first["link"], first["received"], first["sent"]) == ("a", 3, 0)
    assert (second["link"], second["received"], second["sent"]) == ("b", 0, 5)
    assert first["at_s"] == second["at_s"] == pytest.approx(100.3)
    pages.say("http://t/metrics", _traffic("b", 101, 4) + _traffic("c", 0, 6))
    first, second = probe.finish().events
    assert first == {
        "at_s": pytest.approx(100.4), "event": "link.traffic", "link": "b", "received": 1,
        "sent": 4,
    }  # fmt: skip
    assert (second["link"], second["received"], second["sent"]) == ("c", 0, 6)


def test_counters_that_do_not_answer_once_are_asked_again() -> None:
    pages = Pages()
    pages.say("http://t/proxies", b"{}")
    pages.say("http://t/metrics", b"", 503)
    probe = _links(pages)
    assert (probe.observe().ok, probe.observe().facts) == (False, {"error": "status 503"})
    pages.say("http://t/metrics", b"", 404)
    assert probe.observe().ok
    asked = len(pages.asked)
    off = probe.observe()
    assert (off.probe, off.at_s, off.ok, off.events) == ("links", pages.clock.at_s, True, ())
    assert len(pages.asked) == asked


def test_where_counters_are_off_links_are_still_listed() -> None:
    pages = Pages()
    pages.say("http://t/metrics", b"", 404)
    probe = _links(pages)
    assert probe.observe().events == ()
    pages.say("http://t/proxies", PROXIES)
    assert [e["event"] for e in probe.observe().events] == ["target.links"]


def test_only_the_clients_side_of_a_link_is_counted() -> None:
    other = 'toxiproxy_proxy_received_bytes_total{direction="upstream"} 5\nother{proxy="a"} 6\n'
    text = (_traffic("a", 1, 2) + _traffic("b", 3, 4)).decode() + other
    assert read_traffic(text) == {"a": {"received": 1, "sent": 2}, "b": {"received": 3, "sent": 4}}
    alone = METRIC.format("sent", "downstream", "a", 8)
    assert read_traffic(alone) == {"a": {"received": 0, "sent": 8}}
    alone = METRIC.format("received", "upstream", "a", 8)
    assert read_traffic(alone) == {"a": {"received": 8, "sent": 0}}


def test_metrics_with_letters_that_are_none_are_read_round_them() -> None:
    pages = Pages()
    pages.say("http://t/proxies", b"{}")
    pages.say("http://t/metrics", _traffic("a", 1, 2))
    probe = _links(pages)
    probe.observe()
    pages.say("http://t/metrics", b"# \xff\xfe\n" + _traffic("a", 5, 2))
    assert [e["received"] for e in probe.observe().events] == [4]


# -- clicks

CLICKS = b"shortener_clicks_waiting 5.0\nshortener_clicks_dropped_total 2.0\n# \xff\n"


def _clicks(pages: Pages) -> ClicksProbe:
    return ClicksProbe("app-2", "http://c", pages, pages.clock)


def test_clicks_are_told_as_of_when_they_were_asked_for() -> None:
    pages = Pages()
    pages.say("http://c", CLICKS)
    found = _clicks(pages).observe()
    facts = {"waiting": 5, "dropped": 2}
    look = {"at_s": 100.0, "event": "clicks.waiting", "server": "app-2", **facts}
    assert found == Observation("clicks app-2", 100.0, ok=True, facts=facts, events=(look,))
    assert pages.asked == [("http://c", 1.5)]
    assert _clicks(pages).finish().facts == facts


@pytest.mark.parametrize(
    ("body", "status"),
    [*((body, 200) for body in BROKEN), (CLICKS, 503), (CLICKS, 404), (b"", 0),
     (CLICKS.replace(b"waiting", b"x"), 200), (CLICKS.replace(b"dropped", b"x"), 200),
     (CLICKS.replace(b"5.0", b"5.5"), 200), (CLICKS.replace(b"2.0", b"NaN"), 200),
     (CLICKS.replace(b"2.0", b"+Inf"), 200)],
)  # fmt: skip
def test_a_page_that_does_not_tell_both_is_no_evidence(body: bytes, status: int) -> None:
    pages = Pages()
    pages.answers["http://c"] = Answer(status, body, error="" if status else "refused")
    found = _clicks(pages).observe()
    error = {200: "an unexpected answer", 0: "refused"}.get(status, f"status {status}")
    assert found == Observation("clicks app-2", 100.0, ok=False, facts={"error": error})


# -- Prometheus' text

NAMES = st.text("abcdef_:", min_size=1, max_size=8).filter(lambda name: not name.startswith("__"))
VALUES = st.floats(allow_nan=False) | st.integers(-(10**12), 10**12)


@given(st.dictionaries(NAMES, st.tuples(VALUES, st.text(max_size=12)), max_size=5))
def test_what_the_official_library_writes_is_read_as_it_reads_it(
    written: dict[str, tuple[float, str]],
) -> None:
    registry = CollectorRegistry()
    for name, (value, label) in written.items():
        Gauge(name, "text", ["x"], registry=registry).labels(label).set(value)
    text = generate_latest(registry).decode()
    theirs = [
        (sample.name, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    assert [(name, value) for name, _, value in read_metrics(text)] == theirs


@given(st.text(max_size=200))
def test_text_that_is_no_metrics_crashes_nothing(text: str) -> None:
    for name, labels, value in read_metrics(text):
        assert name
        assert isinstance(value, float)
        assert isinstance(labels, dict)
    assert metric(text, "no_such_metric") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("a 3", 3), ("a 3.0 1700000000", 3), ("b 1\na 2", 2), ('a{x="y"} 4\na 5', 5), ("a 1.5", None),
     ('a{x="y"} 4', None), ("aa 4", None), ("a NaN", None), ("a +Inf", None), ("a", None),
     ("a x\na 7", None), ("a -2", -2), ("a{} 6", 6)],
)  # fmt: skip
def test_a_whole_number_without_labels(text: str, value: int | None) -> None:
    assert metric(text, "a") == value


def test_labels_are_read_apart() -> None:
    text = 'a{x="1",y="}, z=\\"2\\""} 2\nplain 3\n'
    rows = list(read_metrics(text))
    assert rows[0] == ("a", {"x": "1", "y": '}, z="2"'}, 2.0)
    assert rows[1] == ("plain", {}, 3.0)
