"""A whole read-back: batches, deadlines, what is late, what was given out twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock

from harness.adapters.readback.reading import READ_S, TargetReadback
from harness.errors import TargetError
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load, Operation
from harness.model.plan_json import plan_to_json
from harness.model.readback import Readback
from harness.plan import make_plan
from harness.record.folder import RunFolder
from harness.record.tables import write_samples, write_tokens

SAID = Readback(service="db", sql="select t from x where t in ({tokens})", within_s=3)
OPERATIONS = {
    "put": Operation(path="/{token}", method="PUT", writes="token"),
    "post": Operation(path="/", method="POST", writes="$.id"),
}


@dataclass
class FakeLookup:
    """A store by token; each batch takes `takes_s`. `act` is called before each one."""

    clock: FakeClock
    stored: dict[str, int | str] = field(default_factory=dict)
    batch: int = 2
    pause_s: float = 0.0
    takes_s: float = 0.1
    act: Callable[[], None] = lambda: None
    asked: list[list[str]] = field(default_factory=list)
    checks: int = 0

    def check(self) -> None:
        self.checks += 1

    def open(self, load: Load) -> str:
        return f"{load.entry}-db"

    def rows(self, tokens: Sequence[str]) -> dict[str, int | str]:
        self.act()
        self.clock.at_s += self.takes_s
        self.asked.append(list(tokens))
        return {token: self.stored.get(token, 0) for token in tokens}


class Case:
    """A run with writes that were acknowledged (m0, m1, ...), and a store that has all of them."""

    def __init__(self, tmp_path: Path, *outcomes: str, op: str = "put") -> None:
        self.folder = RunFolder(tmp_path / "r")
        self.folder.create()
        self.said = SAID
        self.clock = FakeClock()
        tokens = {f"r-m{n}": 1 for n, outcome in enumerate(outcomes) if outcome == "ok"}
        self.lookup = FakeLookup(self.clock, dict(tokens))
        count = len(outcomes)
        columns: dict[str, Any] = {
            "op": op, "intended_s": 0.0, "sent_s": 0.0, "done_s": 1.0, "status": 200, "ok": True,
            "error": "", "bytes": 0, "served_by": "", "cache": "", "db_node": "",
        }  # fmt: skip
        rows = {name: [value] * count for name, value in columns.items()}
        rows |= {"key": list(range(count)), "write": list(outcomes)}
        write_samples(self.folder.samples_dir, "main", 0, rows)
        experiment = Experiment(
            name="x", title="", load=Load(entry="shop", rate_per_s=9, mix={op: 1.0}),
            operations=OPERATIONS, faults=(), hypothesis=(),
            phases=(Phase(name="fault", start_s=0, end_s=9),),
        )  # fmt: skip
        plan = plan_to_json(make_plan(experiment, 1), experiment)
        self.folder.write_json("plan.json", plan)

    def read(self) -> dict[str, Any]:
        """writes.json, with the rows by number of the write as `rows`."""
        reading = TargetReadback(self.said, self.lookup, self.clock)
        reading.take_before()
        reading.take_after(self.folder)
        table = self.folder.read_writes().to_pydict()
        assert set(table["node"]) <= {"shop-db"}
        assert set(table["stream"]) <= {"m"}
        found = self.folder.read_json("target/writes.json")
        return {**found, "rows": dict(zip(table["n"], table["rows"], strict=True))}


def test_all_that_was_written_is_looked_up_in_batches(tmp_path: Path) -> None:
    case = Case(tmp_path, "ok", "failed", "ok", "unknown", "ok", "")
    found = case.read()
    assert case.lookup.checks == 1
    assert case.lookup.asked == [["r-m0", "r-m2"], ["r-m4", "r-m1"], ["r-m3"]]
    assert found["rows"] == {0: 1, 2: 1, 4: 1, 1: 0, 3: 0}
    assert found["nodes"] == {"shop-db": {"role": "primary", "caught_up": True, "found": 3}}
    assert found["operations"] == ["put"]
    assert found["not_read"] == {}
    assert found["judges"] == ["lost", "phantom", "duplicates"]


def test_what_is_stored_a_little_later_is_not_lost(tmp_path: Path) -> None:
    case = Case(tmp_path, "ok", "ok")
    del case.lookup.stored["r-m1"]

    def store_it() -> None:
        if case.clock.at_s > 102:
            case.lookup.stored["r-m1"] = 1

    case.lookup.act = store_it
    assert case.read()["rows"] == {0: 1, 1: 1}
    assert set(map(tuple, case.lookup.asked[1:])) == {("r-m1",)}


def test_what_is_not_there_by_then_is_lost_and_a_refused_write_is_not_waited_for(
    tmp_path: Path,
) -> None:
    case = Case(tmp_path, "ok", "failed")
    del case.lookup.stored["r-m0"]
    assert case.read()["rows"] == {0: 0, 1: 0}
    assert 102.9 < case.clock.at_s < 104.5  # 3 s, and a look
    assert ["r-m1"] not in case.lookup.asked


def test_where_the_last_look_fails_nobody_knows(tmp_path: Path) -> None:
    case = Case(tmp_path, "ok", "ok")
    del case.lookup.stored["r-m0"]

    def fail() -> None:
        if case.lookup.asked:
            raise TargetError("the database is gone")

    case.lookup.act = fail
    found = case.read()
    assert found["rows"] == {0: -1, 1: 1}
    assert found["not_read"] == {"the database is gone": 1}


def test_what_fails_half_way_keeps_what_was_found_and_the_rest_is_not_known(tmp_path: Path) -> None:
    case = Case(tmp_path, "ok", "ok", "ok", "failed")

    def fail() -> None:
        if case.lookup.asked:
            raise TargetError("the database is gone")

    case.lookup.act = fail
    del case.lookup.stored["r-m0"]
    found = case.read()
    assert found["rows"] == {0: 0, 1: 1, 2: -1, 3: -1}
    assert found["not_read"] == {"the database is gone": 1}  # the acknowledged one


def test_it_ends_when_its_time_is_over(tmp_path: Path) -> None:
    case = Case(tmp_path, *["ok"] * 6)
    case.lookup.takes_s = READ_S + 1
    found = case.read()
    assert len(case.lookup.asked) == 1
    assert found["not_read"] == {"the time to look them up was over after 120 s": 4}


def test_batches_have_their_pace(tmp_path: Path) -> None:
    case = Case(tmp_path, *["ok"] * 6)
    case.lookup.pause_s = 5.0
    case.read()
    assert case.clock.at_s == pytest.approx(115.0)


def test_there_is_a_most_that_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.model.readback.SQL_MAX", 2)
    found = Case(tmp_path, "ok", "ok", "ok").read()
    assert found["rows"] == {0: 1, 1: 1, 2: -1}
    assert found["not_read"] == {"more than 2 to look up": 1}


def test_http_counts_no_rows_and_its_answers_may_be_unclear(tmp_path: Path) -> None:
    case = Case(tmp_path, "ok", "ok")
    case.said = Readback(http="GET /{token}", within_s=0)
    case.lookup.stored["r-m1"] = "GET /{token} answered 503"
    found = case.read()
    assert found["judges"] == ["lost", "phantom"]
    assert found["rows"] == {0: 1, 1: -1}
    assert found["not_read"] == {"GET /{token} answered 503": 1}
    assert found["nodes"]["shop-db"]["found"] == 1


@pytest.mark.parametrize(
    ("stored", "rows", "not_read"),
    [
        (0, [0, 0, 1], 0),  # none is there: all are lost
        (1, [-1, -1, 1], 2),  # one row for two writes: whose it is is not known
        (2, [1, 1, 1], 0),
        (3, [2, 1, 1], 0),  # a row too many
    ],
)
def test_a_token_that_was_given_out_twice(
    tmp_path: Path, stored: int, rows: list[int], not_read: int
) -> None:
    case = Case(tmp_path, "ok", "ok", "ok", op="post")
    write_tokens(case.folder.samples_dir, "main", 0, [(0, "7"), (1, "7"), (2, "8")])
    case.lookup.stored = {"7": stored, "8": 1}
    found = case.read()
    assert [found["rows"][n] for n in range(3)] == rows
    assert sum(found["not_read"].values()) == not_read
    assert found["judges"] == ["lost", "duplicates"]  # what a refused write would return is unknown
    if not_read:
        assert list(found["not_read"]) == [
            "7 is the token of several writes, but not of as many rows"
        ]


def test_what_cannot_be_looked_up_is_counted_and_named(tmp_path: Path) -> None:
    case = Case(tmp_path, "ok", "ok", op="post")
    write_tokens(case.folder.samples_dir, "main", 0, [(0, "a b"), (1, "c")])
    case.lookup.stored = {"c": 1}
    found = case.read()
    assert found["rows"] == {0: -1, 1: 1}
    [why] = found["not_read"]
    assert why.startswith("'a b' is not a token of 1 to 64 letters")
    assert case.lookup.asked == [["c"]]
