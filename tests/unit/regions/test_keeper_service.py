"""A keeper's acts on the geo etcd and on the database, its pages, and what it says."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import pytest
from keeper import database
from keeper.database import Nodes, source_in
from keeper.geo import Etcd, as_geo
from keeper.service import UNSETTLED_S, Service, metrics
from keeper.session import Failed
from keeper.turns import Database, Geo, Last, Rules, Seat

RULES = Rules("eu", ("us", "eu", "ap"))
CONNINFO = "user=replicator passfile=/tmp/pgpass host=links port=1 sslmode=prefer"
LOOKED = f"look|t|f|90|0.25|2026-11-29 02:00:00.5+00||{CONNINFO}"


class Web:
    """In the place of urlopen: answers by URL, and what was sent there."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.sent: list[tuple[str, str, Any]] = []

    def __call__(self, to: Any, timeout: float) -> io.BytesIO:
        request = to if isinstance(to, urllib.request.Request) else urllib.request.Request(to)
        body = json.loads(request.data) if isinstance(request.data, bytes) else None
        self.sent.append((request.get_method(), request.full_url, body))
        answer = self.answers.get(request.full_url)
        if answer is None:
            raise urllib.error.URLError("Connection refused")
        return io.BytesIO(json.dumps(answer).encode())


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    made = Web()
    monkeypatch.setattr(urllib.request, "urlopen", made)
    return made


class FakeSession:
    """In the place of psql: prints by what it is asked to wait for, None for nothing in time."""

    printed: dict[tuple[str, str], str | None]
    asked: list[tuple[str, str, str]]
    made: list[FakeSession]

    def __init__(self, node: str, name: str) -> None:
        self.node, self.name, self.is_open = node, name, True
        self.made.append(self)

    def ask(self, sql: str, within_s: float, *, until: str) -> str:
        self.asked.append((self.node, self.name, sql))
        printed = self.printed.get((self.node, until))
        if printed is None:
            self.end()
            raise Failed(f"{self.node}: psql: no answer in time; last: nothing")
        return printed

    def end(self) -> None:
        self.is_open = False


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> type[FakeSession]:
    FakeSession.printed, FakeSession.asked, FakeSession.made = {}, [], []
    monkeypatch.setattr(database, "Session", FakeSession)
    return FakeSession


def as64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def transaction(**keys: str) -> dict[str, Any]:
    """As the gateway answers: a part for each request, the first not a range."""
    parts: list[dict[str, Any]] = [{"response_put": {}}]
    for key, value in keys.items():
        found = {"key": as64(f"/{key}"), "value": as64(value), "lease": "7"}
        parts.append({"response_range": {"kvs": [found]}})
    return {"header": {}, "responses": [*parts, {"response_range": {}}]}


def test_what_the_keys_say() -> None:
    last = json.dumps({"region": "us", "position": 5})
    found = as_geo(transaction(primary="eu", position="12", last=last, wanted="ap"))
    assert found == Geo("eu", "7", 12, Last("us", 5), "ap")
    assert as_geo({"responses": [{"response_range": {}}]}) == Geo()


def test_a_renewal_writes_the_position_only_with_the_lease_and_reads_the_keys(web: Web) -> None:
    web.answers["http://geo/v3/lease/keepalive"] = {"result": {"TTL": "10"}}
    web.answers["http://geo/v3/kv/txn"] = transaction(primary="eu")
    assert Etcd("http://geo", RULES).renew("7", 12).holder == "eu"
    (_, _, first), (_, _, body) = web.sent
    assert first == {"ID": "7"}
    assert body["compare"] == [
        {"key": as64("/primary"), "target": "LEASE", "result": "EQUAL", "lease": "7"}
    ]
    put, *reads = body["success"]
    assert put["requestPut"] == {"key": as64("/position"), "value": as64("12"), "lease": "0"}
    assert reads == body["failure"]
    assert len(reads) == 4


def test_a_renewal_that_is_not_sent_is_none(web: Web) -> None:
    with pytest.raises(OSError, match="Connection refused"):
        Etcd("http://geo", RULES).renew("7", 12)
    assert len(web.sent) == 1


def test_the_key_is_taken_only_if_there_is_none_and_goes_with_its_lease(web: Web) -> None:
    web.answers["http://geo/v3/lease/grant"] = {"ID": "9", "TTL": "10"}
    web.answers["http://geo/v3/kv/txn"] = transaction(primary="eu")
    Etcd("http://geo", RULES).take(33)
    (_, _, first), (_, _, body) = web.sent
    assert first == {"TTL": "10"}
    assert body["compare"] == [
        {"key": as64("/primary"), "target": "VERSION", "result": "EQUAL", "version": "0"}
    ]
    key, last = (part["requestPut"] for part in body["success"][:2])
    assert key == {"key": as64("/primary"), "value": as64("eu"), "lease": "9"}
    note = json.loads(base64.b64decode(last["value"]))
    assert note == {"region": "eu", "lag_bytes": 33}
    assert last["lease"] == "0"  # outlives it


MEMBERS = {"members": [{"ID": "11", "name": "us-geo"}, {"ID": "12", "name": "eu-geo"}]}


@pytest.mark.parametrize(("leader", "sent"), [("12", [{"targetID": "11"}]), ("11", [])])
def test_the_leadership_is_handed_on_only_by_who_has_it(
    web: Web, leader: str, sent: list[object]
) -> None:
    at = "http://geo/v3/maintenance/"
    web.answers[f"{at}status"] = {"header": {"member_id": "12"}, "leader": leader}
    web.answers["http://geo/v3/cluster/member/list"] = MEMBERS
    web.answers[f"{at}transfer-leadership"] = {"header": {}}
    Etcd("http://geo", RULES).let_lead("us")
    assert [body for _, url, body in web.sent if url == f"{at}transfer-leadership"] == sent


def test_a_member_that_is_not_there_cannot_lead(web: Web) -> None:
    web.answers["http://geo/v3/maintenance/status"] = {
        "header": {"member_id": "12"}, "leader": "12"
    }  # fmt: skip
    web.answers["http://geo/v3/cluster/member/list"] = MEMBERS
    with pytest.raises(ValueError, match="unpack"):
        Etcd("http://geo", RULES).let_lead("ap")


def test_the_key_is_given_back_only_by_who_has_it(web: Web) -> None:
    web.answers["http://geo/v3/kv/txn"] = transaction()
    Etcd("http://geo", RULES).give_back("7", 120)
    [(_, _, body)] = web.sent
    assert body["compare"][0]["lease"] == "7"
    assert body["success"][0] == {"requestDeleteRange": {"key": as64("/primary")}}


def test_a_look_is_at_the_leader(web: Web, sessions: type[FakeSession]) -> None:
    web.answers["http://db-1:8008/patroni"] = {"role": "replica", "state": "running"}
    web.answers["http://db-2:8008/patroni"] = {"role": "standby_leader", "state": "running"}
    sessions.printed["db-2", "look|"] = LOOKED
    nodes = Nodes(["http://db-0:8008", "http://db-1:8008", "http://db-2:8008"])
    clock = "2026-11-29 02:00:00.5+00"
    assert nodes.look() == Database("db-2", True, False, 90, 0.25, "links:1", clock)
    web.sent.clear()
    nodes.look()
    assert [url for _, url, _ in web.sent] == ["http://db-2:8008/patroni"]
    assert len(sessions.made) == 1  # it stays connected


def test_without_a_leader_a_look_is_at_who_answers(web: Web, sessions: type[FakeSession]) -> None:
    web.answers["http://db-1:8008/patroni"] = {"role": "replica", "state": "running"}
    sessions.printed["db-1", "look|"] = LOOKED
    assert Nodes(["http://db-0:8008", "http://db-1:8008"]).look().node == "db-1"


def test_no_node_answers(web: Web, sessions: type[FakeSession]) -> None:
    web.answers["http://db-1:8008/patroni"] = {"role": "primary", "state": "stopped"}
    with pytest.raises(Failed, match=r"^no database node answers: http://db-0:8008 http://db-1:80"):
        Nodes(["http://db-0:8008", "http://db-1:8008"]).look()


def test_two_switches_take_turns(sessions: type[FakeSession]) -> None:
    sessions.printed["db-1", "keeper: armed"] = "NOTICE:  keeper: armed"
    nodes = Nodes(["http://db-1:8008"])
    for _ in range(5):
        nodes.open("db-1", "2026-11-29 02:00:00+00", 6.0)
    assert [each.name for each in sessions.made] == ["keeper-switch", "keeper-switch"]
    assert "'2026-11-29 02:00:00+00' + interval '6.0 s'" in sessions.asked[0][2]


def test_a_switch_that_is_not_armed_leaves_the_other_as_it_is(
    sessions: type[FakeSession],
) -> None:
    sessions.printed["db-1", "keeper: armed"] = "NOTICE:  keeper: armed"
    nodes = Nodes(["http://db-1:8008"])
    nodes.open("db-1", "noon", 6.0)
    armed = sessions.made[0]
    sessions.printed["db-1", "keeper: armed"] = None
    with pytest.raises(Failed, match=r"^db-1: psql: no answer in time"):
        nodes.open("db-1", "noon", 6.0)
    assert armed.is_open
    assert [each.is_open for each in sessions.made] == [True, False]


def test_a_new_leader_gets_switches_of_its_own(sessions: type[FakeSession]) -> None:
    for node in ("db-1", "db-2"):
        sessions.printed[node, "keeper: armed"] = "NOTICE:  keeper: armed"
    nodes = Nodes(["http://db-1:8008", "http://db-2:8008"])
    nodes.open("db-1", "noon", 6.0)
    nodes.open("db-2", "noon", 6.0)
    assert [(each.node, each.is_open) for each in sessions.made] == [
        ("db-1", False),
        ("db-2", True),
    ]


@pytest.mark.parametrize(("confirming", "is_closed"), [(["db-1", "db-2"], True), (["db-1"], False)])
def test_closed_is_what_all_nodes_confirm(
    confirming: Sequence[str], is_closed: bool, sessions: type[FakeSession]
) -> None:
    for node in confirming:
        sessions.printed[node, "keeper: done"] = "NOTICE:  keeper: done"
    assert Nodes(["http://db-1:8008", "http://db-2:8008"]).close() is is_closed
    assert not any(each.is_open for each in sessions.made)


def test_patroni_is_told_by_its_leader(web: Web) -> None:
    web.answers["http://db-1:8008/patroni"] = {"role": "primary", "state": "running"}
    web.answers["http://db-1:8008/config"] = {}
    nodes = Nodes(["http://db-1:8008"])
    assert nodes.follow("links:30201")
    assert nodes.promote()
    patches = [body for method, _, body in web.sent if method == "PATCH"]
    follows = {"host": "links", "port": 30201, "create_replica_methods": ["basebackup"]}
    assert patches == [{"standby_cluster": follows}, {"standby_cluster": None}]


def test_patroni_does_not_take_it(web: Web) -> None:
    web.answers["http://db-1:8008/patroni"] = {"role": "primary", "state": "running"}
    with pytest.raises(Failed, match=r"^http://db-1:8008: PATCH /config: .*Connection refused"):
        Nodes(["http://db-1:8008"]).promote()


@pytest.mark.parametrize(
    ("conninfo", "source"),
    [(CONNINFO, "links:1"), ("", ""), ("host='links' port='30201'", "links:30201"), ("host=a", "")],
)
def test_where_it_streams_from(conninfo: str, source: str) -> None:
    assert source_in(conninfo) == source


@pytest.fixture
def service(web: Web, sessions: type[FakeSession]) -> Service:
    web.answers["http://eu-db:8008/patroni"] = {"role": "standby_leader", "state": "running"}
    web.answers["http://geo/v3/kv/txn"] = transaction(primary="us", position="100")
    sessions.printed["eu-db", "look|"] = LOOKED
    sessions.printed["eu-db", "keeper: done"] = "NOTICE:  keeper: done"
    seat = Seat(RULES, {"us": "links:1", "eu": "links:2", "ap": "links:3"})
    return Service(seat, Etcd("http://geo", RULES), Nodes(["http://eu-db:8008"]))


def test_what_a_standbys_keeper_tells(service: Service) -> None:
    service.take_turn()
    told = service.told()
    expected = {
        "region": "eu", "holder": "us", "role": "standby", "is_holder": False, "lag_bytes": 10,
        "lag_s": 0.25, "takes_writes": False, "follows": "links:1", "fenced_at": None,
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected


def test_what_is_unknown_is_no_metric(service: Service, web: Web) -> None:
    service.take_turn()
    lines = metrics(service.told()).splitlines()
    assert 'keeper_lag_bytes{region="eu"} 10' in lines
    assert 'keeper_takes_writes{region="eu"} 0' in lines
    assert not any("fenced" in line for line in lines)


def test_what_fails_again_and_again_is_said_once(
    service: Service, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    del web.answers["http://geo/v3/kv/txn"]
    for _ in range(3):
        service.take_turn()
    said = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "Read: <urlopen error Connection refused>",
        "holder: unknown; database: standby (eu-db)",
    ]
    assert service.told()["holder"] is None


def test_while_the_geo_etcd_does_not_answer_it_is_asked_again_soon(
    service: Service, web: Web
) -> None:
    service.take_turn()
    service.seat.is_settled = True
    assert service.every_s() == RULES.renew_s / 2
    service.seat.lease = "7"
    assert service.every_s() == RULES.renew_s
    del web.answers["http://geo/v3/kv/txn"]
    service.take_turn()
    assert service.every_s() == UNSETTLED_S


def test_a_keeper_without_a_database_says_so(
    service: Service, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    del web.answers["http://eu-db:8008/patroni"]
    service.take_turn()
    said = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "Look: no database node answers: http://eu-db:8008",
        "holder: us; database: unknown ()",
    ]
