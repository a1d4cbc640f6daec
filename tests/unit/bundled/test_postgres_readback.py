"""Which replicas are evidence: on the primary's timeline, up to its position, streaming from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes import Cut, FakeClock, FakeEngine, container

from harness.bundled.postgres_readback import CATCH_UP_S, PostgresReadback, ReadBack
from harness.errors import TargetError
from harness.model.container import Attachment
from harness.record.folder import RunFolder

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


def test_what_is_found_is_written_after_the_run(case: Case, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    reading = PostgresReadback(case.engine, case.clock)
    reading.take_before()
    assert not folder.has("target/writes.json")
    reading.take_after(folder)
    found = case.read()
    assert folder.read_json("target/writes.json")["nodes"] == found.nodes
    assert folder.read_writes().to_pydict() == found.rows
    assert found.rows["node"]


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


# -- to the letter


def test_every_row_of_every_node_is_kept_with_its_stream_number_and_count(case: Case) -> None:
    case.engine.nodes[PRIMARY].tokens = "m1|1\nm12|2\nc7|1"
    case.engine.nodes[REPLICA].tokens = "m1|1"
    case.engine.nodes[OLD].tokens = "c7|3"
    found = case.read()
    assert found.rows == {
        "node": [PRIMARY, PRIMARY, PRIMARY, REPLICA, OLD],
        "stream": ["m", "m", "c", "m", "c"],
        "n": [1, 12, 7, 1, 7],
        "rows": [1, 2, 1, 1, 3],
    }
    assert [found.nodes[name]["found"] for name in (PRIMARY, REPLICA, OLD)] == [3, 1, 1]


@pytest.mark.parametrize("token", ["x", "M1", "m", "m1x", "1m", "mm1", "m-1", ""])
def test_a_row_that_is_no_token_of_ours_is_counted_and_not_kept(case: Case, token: str) -> None:
    """Somebody's link under the run's own prefix: no write of the run, and no crash."""
    case.engine.nodes[PRIMARY].tokens = f"{token}|1\nm2|1"
    found = case.read()
    assert found.nodes[PRIMARY]["found"] == 2
    assert [n for n, node in zip(found.rows["n"], found.rows["node"], strict=True)
            if node == PRIMARY] == [2]  # fmt: skip


def test_the_facts_of_each_node(case: Case) -> None:
    case.engine.nodes[OLD] = Node("t", timeline=1)
    shared = {"timeline": 2, "lsn": "0/9000", "found": 2}
    assert case.read().nodes == {
        PRIMARY: {"role": "primary", "caught_up": True, "why_not": "", **shared},
        REPLICA: {"role": "replica", "caught_up": True, "why_not": "", **shared},
        OLD: {
            "role": "replica", "caught_up": False,
            "why_not": "it follows timeline 1, the primary writes timeline 2", **shared,
        },
    }  # fmt: skip


def test_without_a_primary_there_is_no_position(case: Case) -> None:
    case.engine.nodes[PRIMARY] = Node("t")
    facts = case.read().nodes[REPLICA]
    assert (facts["timeline"], facts["lsn"], facts["role"]) == (None, "", "replica")


def test_a_node_whose_rows_cannot_be_read_is_no_evidence_whatever_it_is(case: Case) -> None:
    case.engine.nodes[PRIMARY].tokens = ""
    found = case.read().nodes[PRIMARY]
    message = "db-1: psql exited with 1: ERROR: no such table"
    assert found == {
        "role": "primary", "caught_up": False, "timeline": 2, "lsn": "0/9000",
        "why_not": message, "error": message,
    }  # fmt: skip


def test_a_node_that_was_stopped_is_named_and_a_standby_that_runs_is_read(case: Case) -> None:
    case.engine.found["id-db-2"] = container("db-2", "db", status="exited")
    spare = container("db-4", "db", labels={"harness.standby": ""})
    case.engine.found[spare.id] = spare
    case.engine.nodes["db-4"] = Node("t")
    case.engine.followers = "db-3|10.0.0.3\ndb-4|10.0.0.4"
    found = case.read().nodes
    assert found["db-2"]["error"] == "db-2 does not run"
    assert found["db-2"]["role"] == "unknown"
    assert found["db-4"]["caught_up"] is True


def test_what_is_asked_of_each_node(case: Case) -> None:
    asked: list[tuple[str, str, float]] = []
    ask = case.engine.execute

    def execute(container_id: str, command: Sequence[str], timeout_s: float = 15.0):
        assert tuple(command[:-1]) == ("psql", "-h", "/tmp", "-U", "postgres", "-d", "app", "-AtXc")
        asked.append((container_id, command[-1], timeout_s))
        return ask(container_id, command, timeout_s)

    case.engine.execute = execute  # type: ignore[method-assign]
    case.read()
    assert {timeout_s for *_, timeout_s in asked} == {30.0}
    rows = [sql for _, sql, _ in asked if "FROM urls" in sql]
    prefix = "https://example.com/new/run-"
    assert (
        rows
        == [
            f"SELECT substr(long_url, {len(prefix) + 1}), count(*) FROM urls "
            f"WHERE starts_with(long_url, '{prefix}') GROUP BY 1"
        ]
        * 3
    )
    progress = [sql for node, sql, _ in asked if "pg_stat_wal_receiver" in sql]
    assert len(progress) == 2
    assert all("pg_last_wal_replay_lsn() >= '0/9000'" in sql for sql in progress)
    assert all(node == "id-db-1" for node, sql, _ in asked if "pg_stat_replication" in sql)


@pytest.mark.parametrize("run_id", ["run-1", "A-b-0", "20261127-205435-db-primary-failover"])
def test_a_run_id_of_letters_digits_and_dashes_is_looked_up(case: Case, run_id: str) -> None:
    assert PostgresReadback(case.engine, case.clock).read(run_id).nodes


@pytest.mark.parametrize("run_id", ["", "a b", "a_b", "a'", "a;", "a\n", "ä"])
def test_any_other_run_id_is_refused_by_name(case: Case, run_id: str) -> None:
    with pytest.raises(TargetError) as caught:
        PostgresReadback(case.engine, case.clock).read(run_id)
    assert caught.value.message == f"run id {run_id!r} cannot be looked up in the database"


@pytest.mark.parametrize("answer", ["", "2", "2|0/9000|more", "no|rows|at|all|now"])
def test_a_position_that_cannot_be_read_is_an_error(case: Case, answer: str) -> None:
    ask = case.engine.execute

    def execute(container_id: str, command: Sequence[str], timeout_s: float = 15.0):
        if "pg_current_wal_lsn" in command[-1]:
            return 0, answer
        return ask(container_id, command, timeout_s)

    case.engine.execute = execute  # type: ignore[method-assign]
    with pytest.raises(TargetError, match=r"db-1: psql answered .*, not 2 columns"):
        case.read()


@pytest.mark.parametrize(
    ("answer", "why_not"),
    [
        ("t|0/9000|streaming|2|", "db-3: psql answered 't|0/9000|streaming|2|', not 4 columns"),
        ("||streaming|2", "it has replayed  of 0/9000"),
        ("|||0", "it streams from no server, at no position"),
        ("f|0/8000|streaming|2", "it has replayed 0/8000 of 0/9000"),
        ("", "db-3: psql answered '', not 4 columns"),
    ],
)
def test_progress_that_is_no_evidence(case: Case, answer: str, why_not: str) -> None:
    ask = case.engine.execute

    def execute(container_id: str, command: Sequence[str], timeout_s: float = 15.0):
        if container_id == "id-db-3" and "pg_stat_wal_receiver" in command[-1]:
            return 0, answer
        return ask(container_id, command, timeout_s)

    case.engine.execute = execute  # type: ignore[method-assign]
    found = case.read().nodes
    assert (found[OLD]["caught_up"], found[OLD]["why_not"]) == (False, why_not)
    assert found[REPLICA]["caught_up"] is True


@pytest.mark.parametrize("tokens", ["m1", "m1|", "m1|one", "NOTICE: a word|", "|"])
def test_a_row_without_a_number_is_no_evidence_and_no_crash(case: Case, tokens: str) -> None:
    case.engine.nodes[REPLICA].tokens = f"m2|1\n{tokens}"
    found = case.read()
    facts = found.nodes[REPLICA]
    assert facts["caught_up"] is False
    assert facts["why_not"].startswith("db-2: psql answered ")
    assert facts["why_not"].endswith("not a number")
    assert REPLICA not in found.rows["node"]  # none of its rows is half of the truth
    assert found.nodes[OLD]["caught_up"] is True


def test_a_link_may_hold_a_bar_itself(case: Case) -> None:
    case.engine.nodes[PRIMARY].tokens = "m1|x|3\nm2|1"
    found = case.read()
    assert found.nodes[PRIMARY]["found"] == 2
    assert found.rows["n"][0] == 2


@pytest.mark.parametrize("answer", ["two|0/9000", "t|0/9000|streaming|two"])
def test_a_timeline_that_is_no_number_is_an_error(case: Case, answer: str) -> None:
    ask = case.engine.execute
    asked = "pg_stat_wal_receiver" if answer.startswith("t|") else "pg_current_wal_lsn"

    def execute(container_id: str, command: Sequence[str], timeout_s: float = 15.0):
        return (0, answer) if asked in command[-1] else ask(container_id, command, timeout_s)

    case.engine.execute = execute  # type: ignore[method-assign]
    if answer.startswith("t|"):
        assert case.read().nodes[OLD]["why_not"] == "db-3: psql answered 'two', not a number"
        return
    with pytest.raises(TargetError, match=r"db-1: psql answered 'two', not a number"):
        case.read()
