"""From a selector to what is meant, among several of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeClock, FakeHttp, FakeLinks, container, make_tools
from recorded_answers import BROKEN, HEALTHY, patroni_cluster, patroni_member

from harness.errors import TargetError
from harness.faults.base import Proof, Tools
from harness.faults.target import pick_container, pick_links
from harness.faults.watch import wait_for
from harness.model.http import Answer

LISTED = (
    container("app-1", status="exited"),
    container("app-2"),
    container("app-3"),
    container("redis", "cache", status="paused"),
    container("db-1", "db", labels={"harness.probe.patroni": "8008"}, ports={8008: 1}),
    container("db-2", "db", labels={"harness.probe.patroni": "8008/"}, ports={8008: 2}),
    container("db-3", "db", labels={"harness.probe.patroni": "8008"}, ports={8008: 3}),
)


def _tools(**bodies: bytes) -> Tools:
    """`db_1`: what that node answers; the others do not."""
    answers = {
        f"http://127.0.0.1:{name[-1]}/cluster": Answer(200, body) for name, body in bodies.items()
    }
    return replace(make_tools(None, *LISTED), http=FakeHttp(answers))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selector", "service"),
    [
        ({"service": "app-3"}, "app-3"),
        ({"service": "app-1"}, "app-1"),  # who asks finds out that it does not run
        ({"container": "fake-db-2-1"}, "db-2"),
        ({"role": "app"}, "app-2"),  # the first that runs
        ({"role": "cache"}, "redis"),
        ({"role": "db"}, "db-1"),
    ],
)
def test_a_selector_means_one_container(selector: dict[str, str], service: str) -> None:
    assert pick_container(selector, _tools()).service == service


def test_a_service_that_is_said_to_be_the_primary_is_it_without_patroni() -> None:
    """A single database has no Patroni to be asked."""
    tools = make_tools(None, container("web"), container("store", "db-primary"))
    assert pick_container({"role": "db-primary"}, tools).service == "store"


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"service": "db-primary"}, "service db-primary"),
        ({"container": "app-2"}, "container app-2"),
        ({"role": "app-2"}, "role app-2"),
    ],
)
def test_nothing_that_matches_is_an_error(selector: dict[str, str], text: str) -> None:
    with pytest.raises(TargetError) as caught:
        pick_container(selector, _tools())
    assert caught.value.message == f"no container matches {text}"
    assert caught.value.hint == "see: harness status"


@pytest.mark.parametrize(
    ("role", "members", "service"),
    [
        ("db-primary", HEALTHY, "db-1"),
        ("db-standby", HEALTHY, "db-2"),
        ("db-replica", HEALTHY, "db-3"),
        ("db-primary", (patroni_member("db-3", "standby_leader", "running"),), "db-3"),
        ("db-standby", (HEALTHY[0], patroni_member("db-3", "quorum_standby", "streaming")), "db-3"),
    ],
)
def test_a_role_of_the_database_is_asked_of_patroni(
    role: str, members: tuple[dict[str, Any], ...], service: str
) -> None:
    tools = _tools(db_1=patroni_cluster(*members))
    assert pick_container({"role": role}, tools).service == service


@pytest.mark.parametrize(
    "body", [*BROKEN, b'{"members": null}', b'{"members": ["db-1", {"name": "db-9"}]}']
)
def test_a_node_that_gives_no_cluster_is_passed_over(body: bytes) -> None:
    tools = _tools(db_1=body, db_2=patroni_cluster(*HEALTHY))
    assert pick_container({"role": "db-standby"}, tools).service == "db-2"


def test_a_node_that_does_not_run_is_not_asked() -> None:
    stopped = [replace(c, status="exited") if c.service == "db-1" else c for c in LISTED]
    lying = patroni_cluster(patroni_member("db-3", "leader", "running"))
    tools = replace(
        make_tools(None, *stopped),
        http=_tools(db_1=lying, db_2=patroni_cluster(*HEALTHY)).http,
    )
    assert pick_container({"role": "db-primary"}, tools).service == "db-1"


def test_a_role_that_nobody_has_now_is_an_error() -> None:
    for tools in (_tools(), _tools(db_1=patroni_cluster(HEALTHY[0]))):
        with pytest.raises(TargetError) as caught:
            pick_container({"role": "db-standby"}, tools)
        assert caught.value.message == "Patroni names no db-standby now"
        assert caught.value.hint == "see: harness status"


def test_a_node_is_asked_for_two_seconds() -> None:
    asked: list[tuple[str, float]] = []

    class Http(FakeHttp):
        def ask(self, url: str, timeout_s: float = 9.0, *_: Any) -> Answer:
            asked.append((url, timeout_s))
            return Answer(0)

    with pytest.raises(TargetError):
        pick_container({"role": "db-primary"}, replace(_tools(), http=Http()))  # type: ignore[arg-type]
    assert asked == [(f"http://127.0.0.1:{n}/cluster", 2.0) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("pattern", "links"),
    [
        ("app-1.redis", ["app-1.redis"]),
        ("app-*.redis", ["app-1.redis", "app-2.redis"]),
        ("app-1.*", ["app-1.db-rw", "app-1.redis"]),
        ("*", ["app-1.db-rw", "app-1.redis", "app-2.redis"]),
    ],
)
def test_a_pattern_means_all_links_of_that_name(pattern: str, links: list[str]) -> None:
    assert pick_links({"link": pattern}, _tools()) == links


@pytest.mark.parametrize("pattern", ["redis", "App-1.*", "app-1"])
def test_a_pattern_without_a_link_is_an_error(pattern: str) -> None:
    with pytest.raises(TargetError) as caught:
        pick_links({"link": pattern}, _tools())
    known = "app-1.db-rw, app-1.redis, app-2.redis"
    assert caught.value.message == f"no link matches {pattern!r}; there are: {known}"


def test_waiting_ends_with_the_first_proof_or_at_the_deadline() -> None:
    tools = _tools()
    clock = tools.clock
    assert isinstance(clock, FakeClock)
    assert isinstance(tools.links, FakeLinks)
    seen: list[float] = []

    def look(from_s: float) -> Proof:
        seen.append(clock.now_s())
        return Proof(clock.now_s() >= from_s, f"look {len(seen)}")

    assert wait_for(tools, lambda: look(100.0), 5.0) == Proof(True, "look 1")
    assert wait_for(tools, lambda: look(100.25), 5.0) == Proof(True, "look 5")
    assert seen == pytest.approx([100.0, 100.0, 100.1, 100.2, 100.3])
    clock.at_s = 200.0
    assert wait_for(tools, lambda: look(1e9), 0.0) == Proof(False, "look 6")  # one look, no more
    assert clock.at_s == 200.0


EU = {"harness.probe.patroni": "8008", "harness.region": "eu"}
FOLLOWS = patroni_cluster(patroni_member("eu-db-1", "standby_leader", "streaming", timeline=3))


def test_the_primary_is_that_of_the_region_which_leads() -> None:
    """The leader of a cluster that follows another one takes no writes."""
    eu = container("eu-db-1", "db", labels=EU, ports={8008: 4})
    answers = {"http://127.0.0.1:4/cluster": Answer(200, FOLLOWS)}
    alone = replace(make_tools(None, eu), http=FakeHttp(answers))  # type: ignore[arg-type]
    assert pick_container({"role": "db-primary"}, alone).service == "eu-db-1"
    answers["http://127.0.0.1:2/cluster"] = Answer(200, patroni_cluster(*HEALTHY))
    tools = replace(make_tools(None, eu, *LISTED), http=FakeHttp(answers))  # type: ignore[arg-type]
    assert pick_container({"role": "db-primary"}, tools).service == "db-1"
    assert pick_container({"role": "db-standby"}, tools).service == "db-2"
