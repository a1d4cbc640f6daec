"""Probes: what they record of containers, retries, clicks and links, on answers that are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeEngine, FakeHttp, container

from harness.bundled import clicks_probe
from harness.bundled.clicks_probe import ClicksProbe
from harness.model.container import ContainerEvent
from harness.model.http import Answer
from harness.model.observation import Observation
from harness.probes import KINDS
from harness.probes.base import ProbeThread
from harness.probes.containers import ContainerProbe
from harness.probes.haproxy import HaproxyProbe, read_retries
from harness.probes.links import LinkProbe
from harness.probes.prometheus_text import metric, read_metrics

HEAD = "# pxname,svname,status,wretr,wredis,\n"


@dataclass
class Page:
    """One URL whose text a test changes."""

    text: str = ""
    status: int = 200
    asked: int = 0

    def __call__(self) -> Answer:
        self.asked += 1
        return Answer(self.status, self.text.encode())


def facts_of(observation: Observation, name: str) -> list[dict[str, Any]]:
    return [{**e} for e in observation.events if e["event"] == name]


def test_the_first_look_says_what_the_project_consists_of() -> None:
    labels = {"harness.probe.breakers": "8000/x", "harness.probe.clicks": "8000/y",
              "harness.region": "eu"}  # fmt: skip
    members = [
        container("app-1", labels=labels),
        container("app-4", labels={"harness.standby": "true"}, status="created"),
        container("toxiproxy", "toxiproxy"),
        container("prometheus", "monitoring"),
        container("sidecar", "other", labels={"harness.protect": "true"}),
    ]
    clock = FakeClock()
    engine = FakeEngine({c.id: c for c in members}, clock, Cut())
    probe = ContainerProbe(engine, clock, (*KINDS, clicks_probe.KIND))
    (event,) = facts_of(probe.observe(), "target.parts")
    found = {part["service"]: part for part in event["parts"]}
    assert found["app-1"] == {
        "service": "app-1", "role": "app", "is_instrument": False, "is_standby": False,
        "is_running": True, "probes": ["breakers", "clicks"], "region": "eu",
    }  # fmt: skip
    assert found["app-4"]["region"] == ""
    assert found["app-4"]["is_standby"]
    assert not found["app-4"]["is_running"]
    instruments = [name for name, part in found.items() if part["is_instrument"]]
    assert instruments == ["prometheus", "sidecar", "toxiproxy"]
    assert facts_of(probe.observe(), "target.parts") == []


def test_an_engine_that_does_not_answer_at_first_is_asked_again_for_the_parts() -> None:
    clock = FakeClock()
    engine = FakeEngine({}, clock, Cut(), gone_s=(0.0, 101.0))
    probe = ContainerProbe(engine, clock)
    with pytest.raises(Exception, match="does not answer"):
        probe.observe()
    clock.at_s = 102.0
    assert len(facts_of(probe.observe(), "target.parts")) == 1


def test_a_death_is_recorded_with_its_exit_code() -> None:
    clock = FakeClock()
    engine = FakeEngine({}, clock, Cut())
    probe = ContainerProbe(engine, clock)
    engine.log.append(ContainerEvent("1", "app-1", "p-app-1-1", "die", clock.wall_s(), 137))
    (death,) = facts_of(probe.observe(), "container.die")
    assert (death["service"], death["exit_code"], death["at_s"]) == ("app-1", 137, 100.0)


def stats(retries: int, redispatches: int, extra: str = "") -> str:
    return (
        f"{HEAD}read,FRONTEND,OPEN,,,\nread,app-1,UP,{retries},{redispatches},\n{extra}"
        "read,BACKEND,UP,99,99,\n"
    )


def test_retries_of_each_server_are_told_as_they_rise() -> None:
    page, clock = Page(stats(7, 2)), FakeClock()
    probe = HaproxyProbe("lb-1", "http://stats", FakeHttp({"http://stats": page}), clock)
    assert facts_of(probe.observe(), "lb.retries") == []  # of before the run
    clock.at_s, page.text = 100.25, stats(7, 2)
    assert facts_of(probe.observe(), "lb.retries") == []
    clock.at_s, page.text = 100.5, stats(10, 3, "read,app-2,UP,4,0,\n")
    first, second = facts_of(probe.observe(), "lb.retries")
    assert first == {
        "at_s": 100.5, "event": "lb.retries", "lb": "lb-1", "backend": "read", "server": "app-1",
        "retries": 3, "redispatches": 1, "span_s": 0.25,
    }  # fmt: skip
    assert (second["server"], second["retries"]) == ("app-2", 4)
    page.text = stats(2, 0)  # another process
    (anew,) = facts_of(probe.observe(), "lb.retries")
    assert (anew["retries"], anew["redispatches"]) == (2, 0)


def test_statistics_without_retries_are_no_error() -> None:
    assert read_retries("# pxname,svname,status,\nread,app-1,UP,\n") == {}


METRICS = """# HELP shortener_clicks_waiting In memory
shortener_clicks_waiting {waiting}
shortener_clicks_dropped_total {dropped}
shortener_breaker_open{{name="redis"}} 0.0
"""


def test_waiting_clicks_are_told_at_each_look() -> None:
    page, clock = Page(METRICS.format(waiting="12.0", dropped="3.0")), FakeClock()
    probe = ClicksProbe("app-1", "http://m", FakeHttp({"http://m": page}), clock)
    wanted = {"at_s": 100.0, "event": "clicks.waiting", "server": "app-1"}
    assert facts_of(probe.observe(), "clicks.waiting") == [{**wanted, "waiting": 12, "dropped": 3}]
    page.text = METRICS.format(waiting="0.0", dropped="3.0")
    for look in (probe.observe, probe.observe, probe.finish):
        assert facts_of(look(), "clicks.waiting") == [{**wanted, "waiting": 0, "dropped": 3}]
    page.status = 503
    assert not probe.observe().ok
    page.status, page.text = 200, "shortener_clicks_waiting 3.0"
    assert not probe.observe().ok


PROXIES = '{"app-1.redis": {"upstream": "redis:6379"}, "app-1.db-rw": {"upstream": "db-lb:5000"}}'


def traffic(received: int, sent: int) -> str:
    name = 'toxiproxy_proxy_{}_bytes_total{{direction="{}",listener="a",proxy="app-1.redis"}} {}'
    return "\n".join(
        [
            name.format("received", "upstream", received), name.format("sent", "upstream", 5),
            name.format("received", "downstream", 6), name.format("sent", "downstream", sent),
        ]
    )  # fmt: skip


def test_links_say_where_they_lead_and_what_went_through() -> None:
    proxies, metrics, clock = Page(PROXIES), Page(traffic(100, 5_000)), FakeClock()
    http = FakeHttp({"http://t/proxies": proxies, "http://t/metrics": metrics})
    probe = LinkProbe("http://t/", http, clock)
    (listed,) = probe.observe().events
    assert listed["links"] == {"app-1.db-rw": "db-lb", "app-1.redis": "redis"}
    assert probe.observe().events == ()
    metrics.text = traffic(140, 5_000)
    (moved,) = probe.observe().events
    assert moved == {
        "at_s": 100.0, "event": "link.traffic", "link": "app-1.redis", "received": 40, "sent": 0,
    }  # fmt: skip
    metrics.text = traffic(30, 10)  # Toxiproxy began anew
    (anew,) = probe.observe().events
    assert (anew["received"], anew["sent"]) == (30, 10)


def test_links_without_counters_are_not_asked_again() -> None:
    proxies, metrics = Page(PROXIES), Page(status=404)
    http = FakeHttp({"http://t/proxies": proxies, "http://t/metrics": metrics})
    probe = LinkProbe("http://t", http, FakeClock())
    assert [e["event"] for e in probe.observe().events] == ["target.links"]
    assert probe.observe().ok
    assert (proxies.asked, metrics.asked) == (1, 1)


def test_prometheus_text() -> None:
    text = 'a 1\nb{x="1,\\"2",y="}"} 2.5 1700000000\n# c 3\nd NaN\nf 1.5\n'
    assert [row for row in read_metrics(text) if row[0] != "d"] == [
        ("a", {}, 1.0), ("b", {"x": '1,"2', "y": "}"}, 2.5), ("f", {}, 1.5),
    ]  # fmt: skip
    assert [metric(text, name) for name in "abdefg"] == [1, None, None, None, None, None]


@dataclass
class SlowProbe:
    """Takes as long as it is told, on a fake clock; ends its thread after the last look."""

    clock: FakeClock
    takes_s: list[float]
    name: str = "slow"
    interval_s: float = 0.5
    thread: list[ProbeThread] = field(default_factory=list)

    def observe(self) -> Observation:
        self.clock.at_s += self.takes_s.pop(0)
        if not self.takes_s:
            self.thread[0]._stop.set()
        return Observation(self.name, self.clock.at_s, ok=True)

    finish = observe


def test_a_probe_that_did_not_look_for_long_says_so() -> None:
    clock, seen = FakeClock(), list[Observation]()
    probe = SlowProbe(clock, [0.6, 5.4, 6.25, 0.1])
    thread = ProbeThread(probe, clock, seen.append)
    probe.thread.append(thread)
    thread._run()
    (late,) = [e for o in seen for e in facts_of(o, "probe.late")]
    assert (late["probe"], late["silent_s"]) == ("slow", 6.25)
