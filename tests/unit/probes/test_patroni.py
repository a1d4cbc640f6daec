"""Who leads and who follows, as Patroni says in each state of its members."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from recorded_answers import BROKEN, HEALTHY, HISTORY, patroni_cluster
from recorded_answers import patroni_member as member

from harness.model.http import Answer
from harness.model.observation import Observation
from harness.probes.patroni import PatroniProbe, read_cluster

MIB = 1_048_576


def _read(*members: dict[str, Any]) -> dict[str, Any]:
    return read_cluster(json.loads(patroni_cluster(*members)))


def test_a_healthy_cluster() -> None:
    assert _read(HEALTHY[2], HEALTHY[0], HEALTHY[1]) == {
        "leader": "db-1",
        "timeline": 3,
        "members": [
            {"name": "db-1", "role": "leader", "state": "running", "timeline": 3, "lag": None},
            {"name": "db-2", "role": "sync_standby", "state": "streaming", "timeline": 3, "lag": 0},
            {"name": "db-3", "role": "replica", "state": "streaming", "timeline": 3, "lag": 0},
        ],
        "unlocked": False,
    }


@pytest.mark.parametrize(
    "state", ["start failed", "stopped", "starting", "crashed", "stopping", "restarting"]
)
def test_a_leader_that_does_not_run_leads_nobody(state: str) -> None:
    found = _read(member("db-1", "leader", state, timeline=3), *HEALTHY[1:])
    assert (found["leader"], found["timeline"], found["unlocked"]) == (None, None, True)


@pytest.mark.parametrize("role", ["leader", "standby_leader"])
def test_both_kinds_of_leader_lead(role: str) -> None:
    found = _read(HEALTHY[1], member("db-3", role, "running", timeline=7))
    assert (found["leader"], found["timeline"], found["unlocked"]) == ("db-3", 7, False)


@pytest.mark.parametrize("role", ["replica", "sync_standby", "quorum_standby"])
def test_without_a_leader_the_cluster_is_unlocked(role: str) -> None:
    found = _read(member("db-2", role, "running", timeline=3, lag=0))
    assert (found["leader"], found["unlocked"]) == (None, True)


@pytest.mark.parametrize(
    ("facts", "timeline", "lag"),
    [
        ({"timeline": 4, "lag": 0}, 4, 0),
        ({"timeline": 4, "lag": MIB - 1}, 4, 0),
        ({"timeline": 4, "lag": MIB}, 4, MIB),
        ({"timeline": 4, "lag": 25 * MIB - 1}, 4, 24 * MIB),
        ({"lag": "unknown"}, None, "unknown"),  # stopped, starting, creating replica
        ({}, None, None),
    ],
)
def test_lag_is_told_in_steps(facts: dict[str, Any], timeline: Any, lag: Any) -> None:
    (found,) = _read(member("db-3", "replica", "creating replica", **facts))["members"]
    assert (found["state"], found["timeline"], found["lag"]) == ("creating replica", timeline, lag)


@dataclass
class Nodes:
    """Three nodes of which some answer: by node and path what they say."""

    members: tuple[dict[str, Any], ...] = HEALTHY
    down: set[str] = field(default_factory=set)
    replicas: set[str] = field(default_factory=set)  # that say themselves that they are
    history: bytes = json.dumps(HISTORY).encode()
    cluster: bytes | None = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        urls = {f"db-{n}": f"http://127.0.0.1:800{n}" for n in (1, 2, 3)}
        self.probe = PatroniProbe(urls, self, self.clock)

    def ask(self, url: str, timeout_s: float = 2.0, *_: Any) -> Answer:
        node, path = f"db-{url[20]}", url[22:]
        self.asked.append(f"{node}/{path} {timeout_s}")
        if node in self.down:
            return Answer(0, error="refused")
        if path == "replica":
            return Answer(200 if node in self.replicas else 503, b"{}")
        body = patroni_cluster(*self.members) if self.cluster is None else self.cluster
        return Answer(200, self.history if path == "history" else body)

    def look(self, at_s: float) -> Observation:
        self.clock.at_s = at_s
        return self.probe.observe()


def of(observation: Observation, name: str) -> list[dict[str, Any]]:
    return [{**event} for event in observation.events if event["event"] == name]


def test_the_cluster_is_told_at_first_and_when_it_changes() -> None:
    nodes = Nodes()
    first = nodes.look(100.0)
    assert (first.probe, first.at_s, first.ok) == ("patroni", 100.0, True)
    assert first.facts == _read(*HEALTHY)
    assert of(first, "patroni.cluster") == [
        {"at_s": 100.0, "event": "patroni.cluster", "uncertainty_s": 0.0, **_read(*HEALTHY)}
    ]
    assert nodes.look(100.3).events == ()
    assert nodes.asked == ["db-1/cluster 0.7"] * 2
    nodes.members = HEALTHY[:2]
    (changed,) = nodes.look(100.7).events
    assert (changed["at_s"], changed["uncertainty_s"]) == (pytest.approx(100.5), 0.2)
    assert [m["name"] for m in changed["members"]] == ["db-1", "db-2"]


def test_any_node_that_answers_will_do() -> None:
    nodes = Nodes(down={"db-1", "db-2"})
    assert nodes.look(100.0).facts["leader"] == "db-1"
    assert nodes.asked == [f"db-{n}/cluster 0.7" for n in (1, 2, 3)]


def test_without_any_answer_there_is_no_event_and_the_next_change_is_less_sure() -> None:
    nodes = Nodes()
    nodes.look(100.0)
    nodes.down = {"db-1", "db-2", "db-3"}
    silent = nodes.look(100.3)
    assert (silent.ok, silent.events, silent.facts) == (False, (), {"error": "no node answers"})
    assert (silent.probe, silent.at_s) == ("patroni", 100.3)
    nodes.down, nodes.members = set(), HEALTHY[1:]
    (changed,) = nodes.look(101.0).events
    assert changed["uncertainty_s"] == 0.5


@pytest.mark.parametrize(
    "body",
    [
        *BROKEN,
        b'{"scope": "app"}',
        b'{"members": null}',
        b'{"members": ["db-1"]}',
        b'{"members": [{"name": "db-1"}, 7]}',
    ],
)
def test_an_answer_that_is_no_cluster_is_no_answer(body: bytes) -> None:
    nodes = Nodes(cluster=body)
    found = nodes.look(100.0)
    assert (found.ok, found.events) == (False, ())


@given(st.integers(0, 400))
def test_an_answer_that_was_cut_off_is_no_cluster(length: int) -> None:
    whole = patroni_cluster(*HEALTHY)
    nodes = Nodes(cluster=whole[: max(1, min(length, len(whole) - 1))])
    assert not nodes.look(100.0).ok


def _failover(nodes: Nodes) -> None:
    """db-2 takes over from db-1, as it was recorded."""
    nodes.look(100.0)
    nodes.members = (member("db-2", "sync_standby", "running", timeline=3, lag=0),)
    nodes.look(100.3)
    nodes.members = (
        member("db-2", "leader", "running", timeline=4),
        member("db-3", "replica", "streaming", timeline=4, lag=0),
    )
    nodes.look(100.6)


def _with_first(nodes: Nodes, state: str, role: str = "replica") -> None:
    old = member("db-1", role, state, timeline=4, lag=0)
    nodes.members = (old, *nodes.members[-2:])


def test_a_former_leader_is_back_once_it_says_itself_that_it_follows() -> None:
    nodes = Nodes(replicas={"db-3"})
    _failover(nodes)
    for state in ("stopped", "starting", "running"):
        _with_first(nodes, state)
        assert of(nodes.look(101.0), "target.rejoined") == []
    _with_first(nodes, "streaming")
    nodes.asked.clear()
    assert of(nodes.look(102.0), "target.rejoined") == []  # the cluster's word alone
    assert nodes.asked == ["db-1/cluster 0.7", "db-1/replica 1.0"]  # nobody else was a leader
    nodes.replicas.add("db-1")
    assert of(nodes.look(103.0), "target.rejoined") == [
        {"at_s": 103.0, "event": "target.rejoined", "service": "db-1", "role": "replica"}
    ]
    assert of(nodes.look(104.0), "target.rejoined") == []  # once


def test_a_leader_that_leads_again_has_not_rejoined() -> None:
    nodes = Nodes(replicas={"db-1", "db-2", "db-3"})
    _failover(nodes)
    nodes.members = (
        member("db-1", "leader", "running", timeline=5),
        member("db-2", "replica", "streaming", timeline=5, lag=0),
    )
    (back,) = of(nodes.look(102.0), "target.rejoined")
    assert back["service"] == "db-2"  # which led in between
    _with_first(nodes, "streaming")
    assert of(nodes.look(103.0), "target.rejoined") == []


def test_a_former_leader_that_has_no_label_cannot_say_that_it_is_back() -> None:
    nodes = Nodes(replicas={"db-1"})
    _failover(nodes)
    del nodes.probe.nodes["db-1"]  # type: ignore[attr-defined]
    _with_first(nodes, "streaming")
    assert of(nodes.look(102.0), "target.rejoined") == []


def test_a_leader_that_nobody_follows_yet_is_no_former_one() -> None:
    nodes = Nodes(replicas={"db-1", "db-2"})
    nodes.look(100.0)
    nodes.members = tuple(member(f"db-{n}", "replica", "streaming", timeline=3) for n in (1, 2))
    assert of(nodes.look(101.0), "target.rejoined") == []


def test_the_uncertainty_has_four_digits() -> None:
    nodes = Nodes()
    nodes.look(100.0)
    nodes.members = HEALTHY[:2]
    (changed,) = nodes.look(100.246913).events
    assert changed["uncertainty_s"] == 0.1235


def test_the_last_look_brings_the_history() -> None:
    nodes = Nodes()
    nodes.look(100.0)
    nodes.members = HEALTHY[:2]
    nodes.clock.at_s = 101.0
    last = nodes.probe.finish()
    assert [event["event"] for event in last.events] == ["patroni.cluster", "patroni.history"]
    assert last.events[1] == {"at_s": 101.0, "event": "patroni.history", "rows": HISTORY}
    assert (last.probe, last.at_s, last.ok) == ("patroni", 101.0, True)
    assert last.facts["leader"] == "db-1"
    assert nodes.asked[-1] == "db-1/history 0.7"


@pytest.mark.parametrize("body", BROKEN[1:3] + BROKEN[5:])
def test_a_history_that_is_none_has_no_rows(body: bytes) -> None:
    assert Nodes(history=body).probe.finish().events[-1]["rows"] == []
