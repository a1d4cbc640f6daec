"""A SELECT is run by the client of the container's own image, and by nothing but it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeEngine, container
from typing_extensions import override

from harness.adapters.readback.sql import BATCH, SqlLookup, quoted
from harness.errors import TargetError
from harness.model.readback import Readback

SAID = Readback(service="db", sql="select token from items where token in ({tokens})")
DONE = "! exit 0\n"


@dataclass
class Database(FakeEngine):
    """Answers with `output`; what it was asked is in `asked`."""

    output: str = DONE
    code: int = 0
    asked: list[tuple[str, Sequence[str], float]] = field(default_factory=list)

    @override
    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        self.asked.append((container_id, command, timeout_s))
        return self.code, self.output


def database(output: str = DONE, **facts: Any) -> Database:
    found = [container("db", "db", **facts), container("web")]
    return Database({c.id: c for c in found}, FakeClock(), Cut(), output=output)


def test_the_rows_of_each_token_are_counted() -> None:
    engine = database("a-1\na-2\na-1\n! NOTICE: be quick\n" + DONE)
    found = SqlLookup(SAID, engine).rows(["a-1", "a-2", "a-3"])
    assert found == {"a-1": 2, "a-2": 1, "a-3": 0}
    [(where, command, timeout_s)] = engine.asked
    assert (where, timeout_s) == ("id-db", 20.0)
    assert list(command[:2]) == ["sh", "-c"]
    assert list(command[4:]) == [
        "select token from items where token in ('a-1', 'a-2', 'a-3')", "", "", "",
    ]  # fmt: skip


def test_who_asks_can_be_given() -> None:
    engine = database()
    said = SAID.model_copy(update={"user": "me", "database": "shop", "password_from": "PASS"})
    SqlLookup(said, engine).rows(["a"])
    assert list(engine.asked[0][1][5:]) == ["me", "shop", "PASS"]


def test_before_the_run_it_is_asked_for_nothing() -> None:
    engine = database()
    SqlLookup(SAID, engine).check()
    assert engine.asked[0][1][4] == "select token from items where token in (NULL)"
    with pytest.raises(TargetError, match="finds 'x' though it is asked for nothing"):
        SqlLookup(SAID, database("x\n" + DONE)).check()


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("! ERROR: no table\n! exit 1\n", "readback.sql in db: ERROR: no table exit 1"),
        ("a-1\n", "readback.sql in db: exit 0: a-1"),  # cut off: not the whole answer
        ("", "readback.sql in db: exit 0"),
        ("a-1\na-9\n" + DONE, "readback.sql finds 'a-9', which it was not asked for"),
        ("A-1\n" + DONE, "finds 'A-1', which it was not asked for"),
    ],
)
def test_an_answer_that_is_none_is_an_error(output: str, why: str) -> None:
    with pytest.raises(TargetError) as caught:
        SqlLookup(SAID, database(output)).rows(["a-1"])
    assert why in caught.value.message
    assert caught.value.hint


def test_a_database_that_does_not_run_is_not_asked() -> None:
    engine = database(status="exited")
    with pytest.raises(TargetError, match="no container of db runs"):
        SqlLookup(SAID, engine).rows(["a"])
    assert engine.asked == []


@pytest.mark.parametrize("token", ["", "a'b", "a' or '1'='1", "a\\", "a" * 65, "a;b"])
def test_nothing_but_a_token_is_put_into_a_statement(token: str) -> None:
    engine = database()
    with pytest.raises(ValueError, match="never put into a statement"):
        SqlLookup(SAID, engine).rows(["a", token])
    assert engine.asked == []


def test_a_batch_fits_into_one_argument() -> None:
    longest = SAID.sql.replace("{tokens}", ", ".join([quoted("a" * 64)] * BATCH))
    assert len(longest) < 128 * 1024 - 100
