"""Each kind looks where it is told to, by the target's own client, and takes no for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from answering import answering
from fakes import Cut, FakeClock, FakeEngine, container
from pydantic import ValidationError

from harness.checks import KINDS
from harness.checks.base import TEXT_MAX, Seen, Site
from harness.checks.redis import READS
from harness.errors import TargetError
from harness.model.http import Address
from harness.model.load import Load
from harness.sql_client import SCRIPT

LOAD = Load(entry="web", rate_per_s=1, mix={"x": 1})


@dataclass
class Place:
    """Two replicas of a worker, of which the first does not run, and a database."""

    engine: FakeEngine = field(init=False)
    site: Site = field(init=False)
    entries: dict[str, list[Address]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    commands: list[tuple[str, Sequence[str], float]] = field(default_factory=list)
    answer: tuple[int, str] = (0, "7\n")

    def __post_init__(self) -> None:
        parts = [
            container("worker", id="w1", name="a-1", status="exited"),
            container("worker", id="w2", name="a-2"),
            container("db", "db"),
        ]
        self.engine = FakeEngine({c.id: c for c in parts}, FakeClock(), Cut())
        self.engine.execute = self._execute  # type: ignore[method-assign]
        self.site = Site(self.engine, self.engine.clock, LOAD, self._entries)

    def _entries(self, entry: str) -> list[Address]:
        self.asked.append(entry)
        return self.entries[entry]

    def _execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        self.commands.append((container_id, command, timeout_s))
        self.engine.clock.at_s += 0.25
        return self.answer

    def look(self, kind: str, timeout_s: float = 5.0, **parameters: Any) -> Seen:
        chosen = KINDS[kind]
        return chosen.look(chosen.parameters.model_validate(parameters), self.site, timeout_s)


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_command_is_run_in_a_replica_that_runs(place: Place) -> None:
    assert place.look("command", service="worker", run=["count", "jobs"]) == Seen(0, "7\n", 0.25)
    assert place.commands == [("w2", ("count", "jobs"), 5.0)]


def test_the_container_of_before_is_taken_again_while_it_runs(place: Place) -> None:
    place.look("command", service="worker", run=["a"])
    place.engine.found["w1"] = replace(place.engine.found["w1"], status="running")
    place.look("command", service="worker", run=["a"])
    place.engine.found["w2"] = replace(place.engine.found["w2"], status="paused")
    place.look("command", service="worker", run=["a"])
    assert [where for where, *_ in place.commands] == ["w2", "w2", "w1"]


def test_where_nothing_runs_nothing_is_seen(place: Place) -> None:
    with pytest.raises(TargetError, match="no container of cache runs"):
        place.look("redis", service="cache", command="DBSIZE")
    assert place.commands == []


def test_an_engine_needs_a_second_at_least_and_an_answer_is_bounded(place: Place) -> None:
    place.answer = (1, "x" * (TEXT_MAX + 1))
    seen = place.look("command", 0.1, service="db", run=["a"])
    assert seen == Seen(1, "x" * TEXT_MAX, 0.25)
    assert place.commands[0][2] == 1.0


def test_a_query_is_an_argument_and_never_a_part_of_the_script(place: Place) -> None:
    query = "select count(*) from t where a = '$(touch /tmp/x)'"
    place.look("sql", service="db", query=query, user="ann", database="shop", password_from="PASS")
    place.look("sql", service="db", query=query)
    assert [command[2] for _, command, _ in place.commands] == [SCRIPT, SCRIPT]
    assert [command[4:] for _, command, _ in place.commands] == [
        (query, "ann", "shop", "PASS"), (query, "", "", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("output", "status", "text"),
    [
        ("3\n4\n! NOTICE: slow\n! exit 0\n", 0, "3\n4"),
        ("3\n! ERROR: no table\n! exit 1\n", 1, "ERROR: no table exit 1"),
        ("3\n", 1, "3\n"),  # cut off
    ],
)
def test_of_a_query_its_rows_count_and_how_its_client_ended(
    place: Place, output: str, status: int, text: str
) -> None:
    place.answer = (0, output)
    assert place.look("sql", service="db", query="select 1") == Seen(status, text, 0.25)


def test_a_command_of_redis_is_split_as_at_its_prompt(place: Place) -> None:
    place.look("redis", service="db", command='get "my key"')
    assert place.commands[0][1][:2] == ("sh", "-c")
    assert place.commands[0][1][3:] == ("check", "get", "my key")


@pytest.mark.parametrize(
    ("kind", "parameters", "problem"),
    [
        ("redis", {"command": "FLUSHALL"}, "not a command that only reads; known: DBSIZE, "),
        ("redis", {"command": "set a 1"}, "not a command that only reads"),
        ("redis", {"command": ""}, "not a command that only reads"),
        ("redis", {"command": 'get "a'}, "not a command: No closing quotation"),
        ("sql", {"query": "  "}, "not a query"),
        ("sql", {"query": "\\! rm -rf /"}, "not a query"),
        ("sql", {"query": "select 1\n\\! id"}, "not a query"),
        ("sql", {"query": "system id"}, "not a query"),
        ("command", {"run": []}, "run"),
    ],
)
def test_what_may_change_something_is_refused(
    kind: str, parameters: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        KINDS[kind].parameters.model_validate({"service": "db", **parameters})


def test_no_command_that_is_allowed_writes() -> None:
    writes = {"SET", "DEL", "FLUSHALL", "FLUSHDB", "EVAL", "CONFIG", "LPOP", "GETDEL", "XREADGROUP"}
    assert not writes & READS


def test_only_a_request_needs_no_permission() -> None:
    assert [name for name, kind in KINDS.items() if not kind.needs_flag] == ["http"]


def test_a_request_goes_to_the_entry_that_is_meant(place: Place) -> None:
    with answering(lambda *_: (503, b"busy", {})) as web, answering(lambda *_: (200, b"", {})) as a:
        place.entries = {"web": [web.address], "admin": [a.address]}
        got = place.look("http", path="/health")
        place.look("http", path="/x y", method="post", body="{}", entry="admin")
    assert (got.status, got.text) == (503, "busy")
    assert (web.seen, a.seen) == (["GET /health"], ["POST /x%20y"])
    assert a.bodies["POST /x%20y"] == b"{}"


def test_no_answer_is_an_answer_and_the_port_is_looked_up_again(place: Place) -> None:
    with answering(lambda *_: (200, b"", {})) as server:
        place.entries = {"web": [server.address]}
        place.look("http", path="/")
        place.look("http", path="/")
    assert place.asked == ["web"]
    got = place.look("http", path="/")
    assert (got.status, got.text) == (0, "no answer (refused)")
    place.look("http", path="/")
    assert place.asked == ["web", "web"]
