"""Which replicas are evidence: on the primary's timeline, up to its position, streaming from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from fakes import Cut, FakeClock, FakeEngine, container

from harness.adapters.postgres_readback import CATCH_UP_S, PostgresReadback, ReadBack
from harness.errors import TargetError
from harness.model.container import Attachment

PRIMARY, REPLICA, OLD = "db-1", "db-2", "db-3"
WRITTEN = 0x9000


@dataclass
class Node:
    """One server: its role, where it is, and what its receiver says."""

    in_recovery: str
    replayed: int = WRITTEN
    status: str = "streaming"
    timeline: int = 2
    tokens: str = "m1|1\nc2|1"


class Servers(FakeEngine):
    """Answers each question as PostgreSQL does; the primary writes timeline 2."""

    nodes: dict[str, Node]
    followers: str

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        node, sql = self.nodes[container_id.removeprefix("id-")], command[-1]
        if "pg_current_wal_lsn" in sql:
            return (1, "ERROR: recovery") if node.in_recovery == "t" else (0, "2|0/9000")
        if "pg_stat_replication" in sql:
            return 0, self.followers
        if "pg_stat_wal_receiver" in sql:
            is_there = "t" if node.replayed >= WRITTEN else "f"
            return 0, f"{is_there}|0/{node.replayed:X}|{node.status}|{node.timeline}"
        if "pg_is_in_recovery" in sql:
            return (0, node.in_recovery) if node.in_recovery else (2, "the system is starting up")
        return (0, node.tokens) if node.tokens else (1, "ERROR: no such table")


class Case:
    """One primary and two replicas, all well."""

    def __init__(self) -> None:
        nets = [{"fake_back": Attachment(f"10.0.0.{n}", ())} for n in (1, 2, 3)]
        listed = [
            container(name, "db", networks=net)
            for name, net in zip((PRIMARY, REPLICA, OLD), nets, strict=True)
        ]
        self.clock = FakeClock()
        self.engine = Servers({c.id: c for c in listed}, self.clock, Cut())
        self.engine.nodes = {PRIMARY: Node("f"), REPLICA: Node("t"), OLD: Node("t")}
        self.engine.followers = "db-2|10.0.0.2\ndb-3|10.0.0.3"

    def read(self) -> ReadBack:
        return PostgresReadback(self.engine, self.clock).read("run")


@pytest.fixture
def case() -> Case:
    return Case()


def test_replicas_that_stream_the_primarys_timeline_and_replayed_all_of_it(case: Case) -> None:
    found = case.read()
    assert {name: node["caught_up"] for name, node in found.nodes.items()} == {
        PRIMARY: True, REPLICA: True, OLD: True,
    }  # fmt: skip
    assert found.nodes[OLD]["timeline"] == 2
    assert found.nodes[OLD]["lsn"] == "0/9000"
    assert found.rows["node"].count(OLD) == 2
    assert case.clock.now_s() == 100.0  # nobody was waited for


def test_a_position_on_another_timeline_does_not_count_however_far_it_is(case: Case) -> None:
    """An old primary that nobody rewound is ahead in bytes, and lacks all that came after."""
    case.engine.nodes[OLD] = Node("t", replayed=2 * WRITTEN, timeline=1)
    found = case.read().nodes
    assert found[OLD]["caught_up"] is False
    assert found[OLD]["why_not"] == "it follows timeline 1, the primary writes timeline 2"
    assert found[REPLICA]["caught_up"] is True


@pytest.mark.parametrize(
    ("node", "why_not"),
    [
        (Node("t", replayed=0x8FFF), "it has replayed 0/8FFF of 0/9000"),
        (Node("t", status="", timeline=0), "it streams from no server, at 0/9000"),
        (Node("t", status="waiting"), "it streams from no server, at 0/9000"),
        (Node(""), "it does not answer"),
    ],
)
def test_why_a_replica_is_no_evidence(case: Case, node: Node, why_not: str) -> None:
    case.engine.nodes[OLD] = node
    found = case.read().nodes[OLD]
    assert (found["caught_up"], found["why_not"]) == (False, why_not)


def test_a_replica_of_another_server_is_no_evidence(case: Case) -> None:
    case.engine.followers = "db-2|10.0.0.2"
    found = case.read().nodes
    assert found[OLD]["why_not"] == "it does not stream from the primary, db-1"
    assert found[REPLICA]["caught_up"] is True


@pytest.mark.parametrize("line", ["db-3|10.9.9.9", "walreceiver|10.0.0.3"])
def test_a_follower_is_known_by_its_name_or_its_address(case: Case, line: str) -> None:
    case.engine.followers = line
    assert case.read().nodes[OLD]["caught_up"] is True


def test_a_replica_has_its_time_to_catch_up(case: Case) -> None:
    old = case.engine.nodes[OLD] = Node("t", replayed=1)
    ask = case.engine.execute

    def execute(container_id: str, command: Sequence[str], timeout_s: float = 15.0):
        if case.clock.now_s() > 100 + CATCH_UP_S / 2:
            old.replayed = WRITTEN
        return ask(container_id, command, timeout_s)

    case.engine.execute = execute  # type: ignore[method-assign]
    assert case.read().nodes[OLD]["caught_up"] is True
    assert 100 + CATCH_UP_S / 2 < case.clock.now_s() < 100 + CATCH_UP_S


def test_it_is_not_waited_for_without_end(case: Case) -> None:
    case.engine.nodes[OLD].replayed = 1
    case.read()
    assert case.clock.now_s() - 100 == pytest.approx(CATCH_UP_S, abs=1)


def test_without_a_primary_no_replica_is_evidence(case: Case) -> None:
    case.engine.nodes[PRIMARY] = Node("")
    found = case.read().nodes
    assert found[PRIMARY]["role"] == "unknown"
    assert found[REPLICA]["why_not"] == "there is no primary that it could catch up with"


def test_a_node_whose_rows_cannot_be_read_says_so(case: Case) -> None:
    case.engine.nodes[REPLICA].tokens = ""
    found = case.read().nodes[REPLICA]
    assert found["caught_up"] is False
    assert "no such table" in found["why_not"]


def test_an_answer_that_is_no_row_is_an_error_not_a_crash(case: Case) -> None:
    case.engine.nodes[OLD].status = "a|b"
    assert "not 4 columns" in case.read().nodes[OLD]["why_not"]


def test_a_standby_that_was_never_started_is_not_missed(case: Case) -> None:
    spare = container("db-4", "db", status="created", labels={"harness.standby": ""})
    case.engine.found[spare.id] = spare
    case.engine.nodes["db-4"] = Node("")
    assert set(case.read().nodes) == {PRIMARY, REPLICA, OLD}


def test_a_run_id_never_becomes_sql(case: Case) -> None:
    with pytest.raises(TargetError, match="cannot be looked up"):
        PostgresReadback(case.engine, case.clock).read("x' OR 1")
