"""Whether the target is as a run needs it: each thing that can be wrong is named, none crashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from fakes import container
from recorded_answers import (
    BROKEN,
    HAPROXY_3,
    HEALTHY,
    breaker_page,
    haproxy_csv,
    patroni_cluster,
    proxy,
)
from recorded_answers import patroni_member as member

from harness.bundled.round_trip import TRIES, round_trip
from harness.model.container import ONE_OFF, Container
from harness.model.http import Answer
from harness.probes.health import Health, check_health, entries_of, entry_of

EDGE, LB_1, LB_2, STATS_1, STATS_2 = 20001, 20002, 20003, 20012, 20013


def _parts() -> list[Container]:
    """An edge, two load balancers, three app servers and three database nodes, as shipped."""
    breakers = {"harness.probe.breakers": "8000/debug/breakers"}
    patroni = {"harness.probe.patroni": "8008"}
    stats = {"harness.probe.haproxy": "8404/stats;csv", "harness.entry": "lb:8080"}
    return [
        container("edge", "edge", labels={"harness.entry": "edge:80"}, ports={80: EDGE}),
        container("lb-1", "lb", labels=stats, ports={8080: LB_1, 8404: STATS_1}),
        container("lb-2", "lb", labels=stats, ports={8080: LB_2, 8404: STATS_2}),
        *(container(f"app-{n}", labels=breakers, ports={8000: 20020 + n}) for n in (1, 2, 3)),
        container(
            "app-4", labels={**breakers, "harness.standby": "true"}, status="created"
        ),
        *(
            container(f"db-{n}", "db", labels=patroni, ports={8008: 20030 + n})
            for n in (1, 2, 3)
        ),
        container("db-lb", "db-lb", labels=stats, ports={8404: 20014}),
        container("migrate", "", status="exited"),
    ]  # fmt: skip


def _rotation(**status: str) -> bytes:
    known = {"app-1": "UP", "app-2": "UP", "app-3": "UP", "app-4": "DOWN", **status}
    rows = [proxy(backend, s, state) for backend in ("read", "write") for s, state in known.items()]
    return haproxy_csv(HAPROXY_3, [proxy("public", "FRONTEND", "OPEN"), *rows]).encode()


def _closed(**states: Any) -> dict[str, Any]:
    page = breaker_page()
    for name, facts in page["breakers"].items():
        facts["state"] = states.get(name.replace("-", "_"), "CLOSED")
    return page


@dataclass
class Stack:
    """A target that is well unless a test says otherwise; remembers what it was asked."""

    parts: list[Container] = field(default_factory=_parts)
    pages: dict[str, Answer] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)
    created: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for port in (STATS_1, STATS_2):
            self.say(f"{port}/stats;csv", _rotation())
        for n in (1, 2, 3):
            self.say(f"2002{n}/debug/breakers", json.dumps(_closed()).encode())
            self.say(f"2003{n}/cluster", patroni_cluster(*HEALTHY))
            self.say(f"2003{n}/config", b'{"synchronous_mode": true}')

    def say(self, path: str, body: bytes, status: int = 200) -> None:
        self.pages[f"http://127.0.0.1:{path}"] = Answer(status, body)

    def ask(
        self, url: str, timeout_s: float = 2.0, body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        self.asked.append((url, timeout_s))
        if url in self.pages:
            return self.pages[url]
        base, _, code = url.partition("/api/v1/urls") if body else url.rpartition("/")
        if body is not None:
            self.created.append((body, dict(headers or {})))
            code = f"c{len(self.created)}"
            self.links[f"{base}/{code}"] = json.loads(body)["url"]
            return Answer(201, json.dumps({"code": code}).encode())
        known = self.links.get(url)
        return Answer(302, headers={"location": known}) if known else Answer(404)

    def check(self) -> Health:
        return check_health(self.parts, self, round_trip)

    def change(self, service: str, **facts: Any) -> None:
        self.parts = [replace(c, **facts) if c.service == service else c for c in self.parts]


@pytest.fixture
def stack() -> Stack:
    return Stack()


def test_a_stack_that_is_well(stack: Stack) -> None:
    found = stack.check()
    assert (found.healthy, found.problems) == (True, ())
    states = {"redis": "CLOSED", "db-rw": "CLOSED", "db-ro": "CLOSED"}
    assert found.details == {
        "edge.traffic": "ok", "lb-1.traffic": "ok", "lb-2.traffic": "ok",
        "lb-1.down": [], "lb-2.down": [],
        "app-1.breakers": states, "app-2.breakers": states, "app-3.breakers": states,
        "patroni": [
            {"name": "db-1", "role": "leader", "state": "running", "timeline": 3},
            {"name": "db-2", "role": "sync_standby", "state": "streaming", "timeline": 3},
            {"name": "db-3", "role": "replica", "state": "streaming", "timeline": 3},
        ],
    }  # fmt: skip


def test_an_application_of_which_no_round_trip_is_known_is_sent_no_request(stack: Stack) -> None:
    found = check_health(stack.parts, stack)
    assert found.healthy
    assert not [name for name in found.details if name.endswith(".traffic")]
    assert stack.created == []
    assert not {EDGE, LB_1, LB_2} & {urlsplit(url).port for url, _ in stack.asked}


def test_each_entry_gets_a_link_of_its_own_and_each_server_its_turn(stack: Stack) -> None:
    stack.check()
    tokens = [json.loads(body)["url"].rpartition("/")[2] for body, _ in stack.created]
    assert len(set(tokens)) == 3
    for token, (_, headers) in zip(tokens, stack.created, strict=True):
        assert token.startswith("health-")
        assert headers == {"Content-Type": "application/json", "Idempotency-Key": token}
    asked = [url for url, _ in stack.asked]
    for number, port in enumerate((EDGE, LB_1, LB_2), 1):
        assert asked.count(f"http://127.0.0.1:{port}/c{number}") == TRIES
        assert asked.count(f"http://127.0.0.1:{port}/api/v1/urls") == 1
    limits = {url.split("/")[3].split("?")[0]: limit_s for url, limit_s in stack.asked}
    assert limits == {
        "api": 3.0, "c1": 3.0, "c2": 3.0, "c3": 3.0, "stats;csv": 2.0, "debug": 2.0,
        "cluster": 2.0, "config": 2.0,
    }  # fmt: skip


def test_parts_with_a_role_must_run_unless_they_stand_by(stack: Stack) -> None:
    stack.change("db-2", status="exited")
    stack.change("app-3", status="paused")
    assert stack.check().problems == ("app-3 does not run", "db-2 does not run")


NOW_S = 2_000_000.0


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"health": "healthy"}, ""),
        ({"health": "unhealthy"}, "web is unhealthy by its own health check"),
        ({"health": "starting"}, "web is starting by its own health check"),
        ({"status": "exited", "exit_code": 0}, ""),
        ({"status": "exited", "exit_code": 3}, "web does not run: it ended with 3"),
        ({"status": "paused", "health": "healthy"}, "web does not run"),
        ({"status": "created"}, "web does not run"),
        ({"status": "restarting", "exit_code": 1},
         "web is in a crash loop: it ended with 1 and waits for its restart"),
        ({"restart_count": 1, "started_s": NOW_S - 4},
         "web was restarted by the engine once, last 4 s ago"),
        ({"restart_count": 3, "started_s": NOW_S - 9.9},
         "web was restarted by the engine 3 times, last 10 s ago"),
        ({"restart_count": 3, "started_s": NOW_S - 10}, ""),
        ({"restart_count": 0, "started_s": NOW_S - 1}, ""),
        ({"restart_count": 1, "started_s": NOW_S + 60}, ""),
        ({"status": "exited", "exit_code": 1, "labels": {ONE_OFF: "True"}}, ""),
        ({"status": "exited", "exit_code": 1, "labels": {ONE_OFF: "False"}},
         "web does not run: it ended with 1"),
        ({"health": "unhealthy", "labels": {"harness.standby": "true"}}, ""),
    ],
)  # fmt: skip
def test_a_part_without_a_role_is_looked_at_too(facts: dict[str, Any], problem: str) -> None:
    """As in a project that has no labels of ours; only a job may end, and only with 0."""
    found = check_health([container("web", "", **facts)], Stack(parts=[]), None, NOW_S)
    assert found.problems == ((problem,) if problem else ())


def test_a_part_with_a_role_is_no_job() -> None:
    ended = container("web", "app", status="exited", exit_code=0)
    assert check_health([ended], Stack(parts=[])).problems == ("web does not run",)


def test_one_of_several_replicas_is_named_by_itself() -> None:
    parts = [
        container("web", name="shop-web-1"),
        container("web", name="shop-web-2", id="2", status="paused"),
    ]
    assert check_health(parts, Stack(parts=[])).problems == ("shop-web-2 does not run",)


def test_the_addresses_of_each_entry() -> None:
    parts = [*_parts(), container("spare", labels={"harness.entry": "lb:1", "harness.standby": "1"},
                                  ports={1: 2})]  # fmt: skip
    assert entries_of(parts) == {
        "edge": [("127.0.0.1", EDGE)],
        "lb": [("127.0.0.1", LB_1), ("127.0.0.1", LB_2)],
    }


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(0, error="TimeoutError: timed out"), "create answered TimeoutError: timed out"),
        (Answer(503), "create answered 503"),
        (Answer(200, b'{"code": "gone"}'), "redirect answered 404"),
        *((Answer(201, body), "redirect answered 404") for body in BROKEN),
    ],
)
def test_a_link_that_cannot_be_made_is_named(stack: Stack, answer: Answer, problem: str) -> None:
    stack.pages[f"http://127.0.0.1:{LB_1}/api/v1/urls"] = answer
    found = stack.check()
    assert found.problems == (f"lb-1: {problem}",)
    assert (found.details["lb-1.traffic"], found.details["lb-2.traffic"]) == (problem, "ok")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(0, error="refused"), "redirect answered refused"),
        (Answer(200, b"ok"), "redirect answered 200"),
        (Answer(302, headers={"location": "https://example.com/another"}), "redirect answered 302"),
        (Answer(302), "redirect answered 302"),
    ],
)
def test_a_link_that_leads_elsewhere_is_named(stack: Stack, answer: Answer, problem: str) -> None:
    stack.pages[f"http://127.0.0.1:{LB_2}/c3"] = answer
    assert stack.check().problems == (f"lb-2: {problem}",)


def test_one_bad_redirect_of_many_is_enough(stack: Stack) -> None:
    ask, left = stack.ask, [3]

    def fails_at_the_fourth(url: str, *rest: Any) -> Answer:
        if url.endswith("/c1"):
            left[0] -= 1
            if left[0] < 0:
                return Answer(502)
        return ask(url, *rest)

    stack.ask = fails_at_the_fourth  # type: ignore[method-assign]
    assert stack.check().problems == ("edge: redirect answered 502",)


def test_servers_that_are_not_in_rotation_are_named(stack: Stack) -> None:
    stack.say(f"{STATS_1}/stats;csv", _rotation(**{"app-3": "DOWN 1/2", "app-1": "MAINT"}))
    stack.say(f"{STATS_2}/stats;csv", _rotation(**{"app-2": "UP 1/3"}))  # up still
    found = stack.check()
    assert found.problems == (
        "lb-1: app-1 is not in rotation", "lb-1: app-3 is not in rotation",
    )  # fmt: skip
    assert (found.details["lb-1.down"], found.details["lb-2.down"]) == (["app-1", "app-3"], [])


def test_only_parts_of_the_project_are_missed_in_rotation(stack: Stack) -> None:
    """A standby is down as it should be, and a server of last resort has no check."""
    stack.say(f"{STATS_1}/stats;csv", _rotation(**{"any-1": "no check", "app-4": "MAINT"}))
    assert stack.check().healthy


def test_a_balancer_that_is_missing_in_another_is_named(stack: Stack) -> None:
    stack.say(f"{STATS_1}/stats;csv", _rotation(**{"lb-2": "DOWN", "redis": "DOWN"}))
    assert stack.check().problems == ("lb-1: lb-2 is not in rotation",)


def test_the_order_of_the_parts_does_not_matter(stack: Stack) -> None:
    found = stack.check().details
    stack.parts = stack.parts[::-1]
    assert stack.check() == Health((), found)


@pytest.mark.parametrize(("status", "body"), [(0, b""), (503, b"sorry"), (401, b"")])
def test_a_balancer_without_statistics_is_named(stack: Stack, status: int, body: bytes) -> None:
    stack.say(f"{STATS_2}/stats;csv", body, status)
    found = stack.check()
    assert found.problems == ("lb-2: its statistics do not answer",)
    assert found.details["lb-2.down"] == []


@pytest.mark.parametrize("body", [*BROKEN, HAPROXY_3.encode(), b"<html>\nnot here"])
def test_statistics_that_name_no_server_are_none(stack: Stack, body: bytes) -> None:
    stack.say(f"{STATS_2}/stats;csv", body)
    found = stack.check()
    assert found.problems == ("lb-2: its statistics do not answer",)
    assert found.details["lb-2.down"] == []


def test_breakers_that_are_not_closed_are_named(stack: Stack) -> None:
    stack.say("20022/debug/breakers", json.dumps(_closed(redis="OPEN", db_ro="HALF_OPEN")).encode())
    found = stack.check()
    assert found.problems == (
        "app-2: breaker redis is OPEN", "app-2: breaker db-ro is HALF_OPEN",
    )  # fmt: skip
    assert found.details["app-2.breakers"]["db-rw"] == "CLOSED"
    assert set(found.details["app-3.breakers"].values()) == {"CLOSED"}


@pytest.mark.parametrize("body", [*BROKEN, b"{}", b'{"breakers": ["redis"]}'])
def test_a_server_that_does_not_name_its_breakers_is_named(stack: Stack, body: bytes) -> None:
    stack.say("20021/debug/breakers", body)
    found = stack.check()
    assert found.problems == ("app-1: does not answer with its breakers",)
    assert set(found.details["app-3.breakers"].values()) == {"CLOSED"}


@pytest.mark.parametrize("facts", [None, {}, "OPEN", {"state": None}])
def test_a_breaker_without_a_state_is_not_closed(stack: Stack, facts: Any) -> None:
    page = {"breakers": {"redis": facts, "db-rw": {"state": "CLOSED"}}}
    stack.say("20023/debug/breakers", json.dumps(page).encode())
    assert stack.check().problems == ("app-3: breaker redis is None",)


LEADER, SYNC, REPLICA = HEALTHY
NO_LEADER, NO_SYNC = "database: there is no leader", "database: no synchronous standby streams"
ONE, NONE = "database: 1 of 2 replicas stream", "database: 0 of 2 replicas stream"


@pytest.mark.parametrize(
    ("members", "problems"),
    [
        ((LEADER, {**SYNC, "role": "quorum_standby"}, REPLICA), ()),
        ((SYNC, LEADER, REPLICA), ()),
        (({**LEADER, "state": "start failed"}, SYNC, REPLICA), (NO_LEADER,)),
        (({**LEADER, "state": "stopped"}, SYNC, REPLICA), (NO_LEADER,)),
        ((SYNC, REPLICA), (NO_LEADER,)),
        ((LEADER, {**SYNC, "role": "replica"}, REPLICA), (NO_SYNC,)),
        ((LEADER, {**SYNC, "state": "starting"}, REPLICA), (NO_SYNC, f"{ONE}; db-2 is starting")),
        (
            (LEADER, SYNC, {**REPLICA, "state": "creating replica", "lag": "unknown"}),
            (f"{ONE}; db-3 is creating replica",),
        ),
        (
            (
                {**LEADER, "timeline": 21},
                {**SYNC, "state": "running", "timeline": 20},
                {**REPLICA, "state": "stopped", "timeline": None},
            ),
            (NO_SYNC, f"{NONE}; db-2 is running on timeline 20, not 21, db-3 is stopped"),
        ),
        ((LEADER, SYNC), (ONE,)),
        ((LEADER,), (NO_SYNC, NONE)),
        ((LEADER, SYNC, REPLICA, member("db-4", "replica", "streaming", timeline=3)), ()),
        ((), (NO_LEADER, NO_SYNC, NONE)),
    ],
)
def test_replication_in_each_state(
    stack: Stack, members: tuple[dict[str, Any], ...], problems: tuple[str, ...]
) -> None:
    for n in (1, 2, 3):
        stack.say(f"2003{n}/cluster", patroni_cluster(*members))
    assert stack.check().problems == problems


@pytest.mark.parametrize("config", [b'{"synchronous_mode": false}', b'{"ttl": 20}', b"null", b""])
def test_a_synchronous_standby_is_missed_only_where_one_is_set_up(
    stack: Stack, config: bytes
) -> None:
    for n in (1, 2, 3):
        stack.say(f"2003{n}/cluster", patroni_cluster(LEADER, {**SYNC, "role": "replica"}, REPLICA))
        stack.say(f"2003{n}/config", config)
    assert stack.check().healthy


def test_any_database_node_that_answers_will_do(stack: Stack) -> None:
    for n in (1, 2):
        stack.say(f"2003{n}/cluster", b"", 0)
        stack.say(f"2003{n}/config", b"{", 200)
    assert stack.check().healthy
    asked = [url for url, _ in stack.asked]
    assert asked.index("http://127.0.0.1:20031/cluster") < asked.index(
        "http://127.0.0.1:20033/cluster"
    )


@pytest.mark.parametrize("body", [*BROKEN, b'{"members": null}', b'{"members": ["db-1", 7]}'])
def test_without_an_answer_the_database_has_no_leader(stack: Stack, body: bytes) -> None:
    for n in (1, 2, 3):
        stack.say(f"2003{n}/cluster", body)
        stack.say(f"2003{n}/config", body)
    found = stack.check()
    assert found.problems == (NO_LEADER, NONE)
    assert found.details["patroni"] == []


def test_what_a_project_has_no_label_for_is_not_asked() -> None:
    stack = Stack(parts=[container("web"), container("cache", "cache")])
    assert (stack.check(), stack.asked) == (Health((), {}), [])


def test_only_a_balancer_or_an_edge_is_sent_traffic() -> None:
    entry = {"harness.entry": "x:80"}
    stack = Stack(parts=[container("app-1", labels=entry, ports={80: 1})])
    assert (stack.check().healthy, stack.asked) == (True, [])


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("lb:8080", ("lb", ("127.0.0.1", 20002))),
        ("lb:8080/tcp", ("lb", ("127.0.0.1", 20002))),
        ("lb:9", None), ("lb", None), ("8080", None), ("", None),
    ],
)  # fmt: skip
def test_an_entry_is_a_name_and_a_published_port(label: str, found: Any) -> None:
    assert entry_of(container("lb", labels={"harness.entry": label}, ports={8080: 20002})) == found


REGION = {"harness.region": "eu"}
FOLLOWER = member("eu-db", "standby_leader", "streaming", timeline=3)


def another_region(stack: Stack) -> None:
    """A load balancer, an app server and a database that follows that of the first region."""
    stats = {"harness.probe.haproxy": "8404/stats;csv", **REGION}
    patroni = {"harness.probe.patroni": "8008", **REGION}
    stack.parts += [
        container("eu-lb", "lb", labels=stats, ports={8404: 20015}),
        container("eu-app-1", labels=REGION),
        container("eu-db", "db", labels=patroni, ports={8008: 20034}),
    ]
    rows = [proxy("read", "eu-app-1", "UP")]
    stack.say("20015/stats;csv", haproxy_csv(HAPROXY_3, rows).encode())
    stack.say("20034/cluster", patroni_cluster(FOLLOWER))
    stack.say("20034/config", b'{"synchronous_mode": true, "standby_cluster": {}}')


def test_each_region_is_well_by_its_own_servers(stack: Stack) -> None:
    another_region(stack)
    stack.say("20034/cluster", patroni_cluster(FOLLOWER))
    health = stack.check()
    assert health.problems == ()
    assert [facts["name"] for facts in health.details["patroni of eu"]] == ["eu-db"]
    assert len(health.details["patroni"]) == 3


def test_a_server_is_missed_by_the_balancers_of_its_region_only(stack: Stack) -> None:
    another_region(stack)
    rows = [proxy("read", "eu-app-1", "DOWN"), proxy("read", "app-1", "DOWN")]
    stack.say("20015/stats;csv", haproxy_csv(HAPROXY_3, rows).encode())
    assert stack.check().problems == ("eu-lb: eu-app-1 is not in rotation",)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ((), "there is no leader"),
        (({**FOLLOWER, "state": "running"},), "its leader does not stream from the other cluster"),
        ((member("eu-db", "replica", "streaming"),), "there is no leader"),
        (({**FOLLOWER, "role": "leader"},), "there is no leader"),
    ],
)
def test_a_cluster_that_follows_another_has_a_leader_that_streams(
    stack: Stack, members: tuple[dict[str, Any], ...], problem: str
) -> None:
    another_region(stack)
    stack.say("20034/cluster", patroni_cluster(*members))
    stack.say("20034/config", b"{}")
    assert stack.check().problems == (f"database of eu: {problem}",)


def test_after_a_failover_the_other_region_leads_and_the_first_follows(stack: Stack) -> None:
    another_region(stack)
    stack.say("20034/cluster", patroni_cluster({**FOLLOWER, "role": "leader", "state": "running"}))
    stack.say("20034/config", b"{}")
    for n in (1, 2, 3):
        follower = {**LEADER, "role": "standby_leader", "state": "streaming"}
        behind = [{**SYNC, "role": "replica"}, REPLICA]
        stack.say(f"2003{n}/cluster", patroni_cluster(follower, *behind))
    assert stack.check().problems == ()
