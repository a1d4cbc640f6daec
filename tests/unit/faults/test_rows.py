"""Faults on rows: what is asked of the database to the letter, and who heals, whatever happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeClock, FakeEngine, FakeHttp, container, make_tools
from make_faults import fault_on, read_back

from harness.errors import EngineError, TargetError
from harness.faults import KINDS
from harness.faults.base import Fault, Proof, Tools
from harness.faults.data.rows import RowsUndo
from harness.guard import check_fault
from harness.model.container import Container
from harness.model.http import Answer
from harness.sql_client import CHANGE, CHANGE_S
from harness.undo import heal_fault

ID = "id-db-1"
PARAMETERS: dict[str, dict[str, Any]] = {
    "damage_rows": {"table": "urls", "column": "long_url", "share": "20%"},
    "delete_rows": {"table": "urls", "share": 1.0},
}
WORDS = {"damage_rows": "damaged", "delete_rows": "deleted"}
EACH = pytest.mark.parametrize("kind", sorted(PARAMETERS))
STORE = {kind: f'"public"."harness_undo_{kind}_1"' for kind in PARAMETERS}
CLUSTER = "http://127.0.0.1:8008/cluster"


class Engine(FakeEngine):
    """Remembers the statements of each change, and where; some nodes do not answer."""

    changes: list[tuple[str, tuple[str, ...]]]
    silent: set[str]
    own: dict[str, dict[str, Any]]

    def execute(self, container_id: str, command: Any, timeout_s: float = 15.0) -> tuple[int, str]:
        if container_id in self.silent:
            raise EngineError(f"{container_id} does not answer")
        if command[2] == CHANGE:
            assert timeout_s == CHANGE_S
            self.changes.append((container_id, command[6:]))
        was = self.postgres.table
        self.postgres.table = {**was, **self.own.get(container_id, {})}
        try:
            return super().execute(container_id, command, timeout_s)
        finally:
            self.postgres.table = was


class Case:
    """One fault on db-1 of a project of its own; `others` are beside it."""

    def __init__(self, kind: str, *others: Container, **parameters: Any) -> None:
        self.kind, self.parameters = kind, {**PARAMETERS[kind], **parameters}
        listed = (container("db-1", "db"), *others)
        self.clock = FakeClock()
        made = make_tools(None, *listed)
        self.engine = Engine({c.id: c for c in listed}, self.clock, made.engine.cut)  # type: ignore[attr-defined]
        self.engine.changes, self.engine.silent, self.engine.own = [], set(), {}
        self.http = FakeHttp()
        self.tools: Tools = replace(made, engine=self.engine, clock=self.clock, http=self.http)
        self.fault = self.another()

    def another(self, **selector: str) -> Fault:
        return fault_on(self.tools, self.kind, self.parameters, **(selector or {"service": "db-1"}))

    def broken(self) -> RowsUndo:
        undo = read_back(self.fault.prepare())
        self.fault.inject()
        assert self.fault.is_active().proven
        self.engine.changes.clear()
        assert isinstance(undo, RowsUndo)
        return undo

    def lead(self, name: str) -> None:
        """Patroni says so on any node that has its label."""
        members = [{"name": name, "role": "leader"}]
        body = json.dumps({"members": members}).encode()
        self.http.answers[CLUSTER] = Answer(200, body=body)


def node(name: str, role: str = "db", **facts: Any) -> Container:
    return container(name, role, **facts)


CLUSTERED: Mapping[str, Any] = {
    "labels": {"harness.probe.patroni": "8008"}, "ports": {8008: 8008},
}  # fmt: skip


# -- what is done


def test_damage_is_one_update_of_the_rows_that_a_hash_chooses() -> None:
    case = Case("damage_rows")
    undo = case.fault.prepare()
    assert undo.to_json() == {
        "kind": "damage_rows", "target": "db-1",
        "containers": ({"id": ID, "name": "fake-db-1-1", "service": "db-1", "role": "db"},),
        "database": "app", "schema": "public", "table": "urls",
        "store": "harness_undo_damage_rows_1", "system": "7301", "is_clustered": False,
        "key": ("code",), "columns": ("long_url",),
    }  # fmt: skip
    case.fault.inject()
    store, damaged = STORE["damage_rows"], "\"long_url\" || '~damaged'"
    condition = f'{damaged} <> "long_url"'
    assert case.engine.changes == [(ID, (
        f'CREATE TABLE {store} AS SELECT "code", "long_url" AS "harness_original", {damaged} AS'
        f' "harness_damaged" FROM "public"."urls" WHERE {condition}'
        " ORDER BY md5(concat_ws('|', \"code\"::text)) COLLATE \"C\""
        f' LIMIT (SELECT ceil(0.2 * count(*))::bigint FROM "public"."urls" WHERE {condition})',
        f'UPDATE "public"."urls" AS t SET "long_url" = kept."harness_damaged" FROM {store} AS kept'
        ' WHERE t."code" = kept."code" AND t."long_url" = kept."harness_original"',
        "SELECT date_part('epoch', clock_timestamp())",
    ))]  # fmt: skip


def test_deletion_is_one_delete_that_keeps_what_it_deletes() -> None:
    case = Case("delete_rows")
    case.fault.prepare()
    case.fault.inject()
    store = STORE["delete_rows"]
    assert case.engine.changes == [(ID, (
        f'CREATE TABLE {store} AS SELECT "id", "code", "long_url" FROM "public"."urls"'
        " WITH NO DATA",
        'WITH gone AS (DELETE FROM "public"."urls" AS t USING (SELECT "code" FROM "public"."urls"'
        " WHERE true ORDER BY md5(concat_ws('|', \"code\"::text)) COLLATE \"C\""
        ' LIMIT (SELECT ceil(1.0 * count(*))::bigint FROM "public"."urls" WHERE true)) AS chosen'
        ' WHERE t."code" = chosen."code" RETURNING t."id", t."code", t."long_url")'
        f' INSERT INTO {store} SELECT "id", "code", "long_url" FROM gone',
        "SELECT date_part('epoch', clock_timestamp())",
    ))]  # fmt: skip


def test_a_column_of_limited_length_still_takes_the_damaged_value() -> None:
    case = Case("damage_rows")
    case.engine.postgres.table["columns"] = [
        {**each, "letters": 20} for each in case.engine.postgres.table["columns"]
    ]
    case.fault.prepare()
    case.fault.inject()
    assert "left(left(\"long_url\", 12) || '~damaged', 20)" in case.engine.changes[0][1][0]


@EACH
def test_it_is_proven_by_the_rows_that_are_broken(kind: str) -> None:
    case = Case(kind)
    case.fault.prepare()
    assert case.fault.is_active() == Proof(False, "nothing was changed yet")
    effect = case.fault.inject()
    assert (effect.start_s, effect.effect_s) == (100.0, 100.0)
    facts = {"broken": 3, "rows": 10, "commit_s": 0.0}
    detail = f"3 of 10 rows of urls {WORDS[kind]}"
    assert case.fault.is_active() == Proof(True, detail, 100.0, facts)
    case.engine.postgres.stores["harness_undo_" + kind + "_1"] = 0
    assert case.fault.is_active().proven is False  # a share that hits no row breaks nothing
    case.engine.silent = {ID}
    assert case.fault.is_active() == Proof(False, "id-db-1 does not answer")


def test_the_effect_lies_between_two_readings_of_the_servers_clock() -> None:
    case = Case("damage_rows")
    case.fault.prepare()
    case.engine.postgres.answer = lambda _command, wall_s: (  # type: ignore[method-assign]
        f"{wall_s + 2}\n{wall_s + 2.25}\n! exit 0\n"
    )
    real = case.engine.execute

    def slowly(*said: Any) -> tuple[int, str]:
        answer = real(*said)
        case.clock.at_s += 3
        return answer

    case.engine.execute = slowly  # type: ignore[method-assign]
    assert case.fault.inject().effect_s == 102.0
    case.engine.postgres.answer = lambda _command, _wall_s: (  # type: ignore[method-assign]
        "5\n6\n! exit 0\n"
    )
    assert case.fault.inject().effect_s == 103.0  # another clock: since the call began


# -- what is refused


@EACH
@pytest.mark.parametrize(
    ("facts", "message", "hint"),
    [
        ({"is_replica": True}, "db-1 is a replica: its rows cannot be changed",
         "aim at role db-primary, or at the primary's service"),
        ({"has_store": True}, "db-1 has harness_undo_{kind}_1 already: an earlier fault was not"
         " healed", "harness heal"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_broken(
    kind: str, facts: dict[str, Any], message: str, hint: str
) -> None:
    case = Case(kind)
    case.engine.own[ID] = facts
    with pytest.raises(TargetError) as caught:
        case.fault.prepare()
    assert (caught.value.message, caught.value.hint) == (message.format(kind=kind), hint)
    assert case.engine.changes == []


@EACH
def test_a_table_without_a_primary_key_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(kind)
    row = json.dumps({**case.engine.postgres.table, "key": []})
    monkeypatch.setattr(case.engine.postgres, "_look", lambda _sql: [row])
    case.parameters["database"] = "app"
    with pytest.raises(TargetError, match=r"^table urls has no primary key, so its rows could not"):
        case.another().prepare()


@EACH
def test_a_table_that_is_not_there_is_refused(kind: str) -> None:
    case = Case(kind)
    case.engine.postgres.table["key"] = []  # the catalogue finds no row
    with pytest.raises(TargetError, match=r"^db-1 has no table urls in database app$"):
        case.fault.prepare()


@pytest.mark.parametrize(
    ("column", "message", "hint"),
    [
        ("title", "table urls has no column title", "it has: id, code, long_url"),
        ("id", "column id of urls is bigint, no text", "choose one of: code, long_url"),
        ("code", "column code is in the primary key of urls",
         "choose another: rows are found again by their key"),
    ],
)  # fmt: skip
def test_a_column_that_cannot_be_damaged(column: str, message: str, hint: str) -> None:
    with pytest.raises(TargetError) as caught:
        Case("damage_rows", column=column).fault.prepare()
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_rows_that_would_take_others_along_are_not_deleted() -> None:
    case = Case("delete_rows")
    case.engine.own[ID] = {"takes_along": ["clicks"]}
    with pytest.raises(TargetError, match="with the rows of urls those of clicks would be deleted"):
        case.fault.prepare()


@EACH
@pytest.mark.parametrize(
    ("field", "value"),
    [("table", 'urls"; DROP TABLE urls'), ("table", "a.b.c"), ("table", ""), ("share", "0%"),
     ("share", "101%"), ("share", "some"), ("database", "a b"), ("database", "x'y")],
)  # fmt: skip
def test_what_is_no_plain_name_or_no_share_is_refused(kind: str, field: str, value: str) -> None:
    with pytest.raises(ValueError, match=field):
        KINDS[kind].parameters(**{**PARAMETERS[kind], field: value})


def test_a_column_that_is_no_plain_name_is_refused() -> None:
    with pytest.raises(ValueError, match="column"):
        KINDS["damage_rows"].parameters(**{**PARAMETERS["damage_rows"], "column": "a, b"})


@pytest.mark.parametrize(
    ("here", "others", "said", "found"),
    [
        ("shop", ["a", "b"], "", "shop"), ("postgres", ["app"], "", "app"),
        ("postgres", [], "", "postgres"), ("postgres", ["a", "b"], "b", "b"),
    ],
)  # fmt: skip
def test_which_database_is_meant(here: str, others: list[str], said: str, found: str) -> None:
    case = Case("delete_rows", database=said)
    case.engine.postgres.databases = {"here": here, "others": others}
    undo = case.fault.prepare()
    assert isinstance(undo, RowsUndo)
    assert undo.database == found


def test_of_several_databases_one_must_be_named() -> None:
    case = Case("delete_rows")
    case.engine.postgres.databases = {"here": "postgres", "others": ["a", "b"]}
    with pytest.raises(TargetError, match=r"^db-1 has the databases postgres, a, b$"):
        case.fault.prepare()


@EACH
def test_what_psql_says_is_told_without_the_data_in_it(kind: str) -> None:
    case = Case(kind)
    case.fault.prepare()
    case.engine.postgres.refuses["CREATE TABLE"] = "violates a rule DETAIL: Failing row (secret)"
    with pytest.raises(TargetError) as caught:
        case.fault.inject()
    assert caught.value.message == "db-1: ERROR:  violates a rule"
    assert case.fault.is_active() == Proof(False, "nothing was changed yet")


@EACH
def test_all_rows_of_the_last_member_may_be_broken_for_they_come_back(kind: str) -> None:
    case = Case(kind, share=1.0)
    undo = case.fault.prepare()
    allowing: Any = None  # nobody is asked whether a total loss is meant
    check_fault(KINDS[kind], undo, case.engine.containers(), "fake", allowing)


# -- healing


def test_damage_is_undone_where_it_is_still_there() -> None:
    case = Case("damage_rows")
    undo = case.broken()
    case.another().heal(undo)
    assert case.engine.changes == [(ID, (
        'WITH changed AS (UPDATE "public"."urls" AS t SET "long_url" = kept."harness_original"'
        f' FROM {STORE["damage_rows"]} AS kept WHERE t."code" = kept."code"'
        ' AND t."long_url" = kept."harness_damaged" RETURNING 1) SELECT count(*) FROM changed',
        f'DROP TABLE {STORE["damage_rows"]}',
    ))]  # fmt: skip


def test_deleted_rows_are_written_again_where_they_are_absent() -> None:
    case = Case("delete_rows")
    undo = case.broken()
    case.another().heal(undo)
    names = '"id", "code", "long_url"'
    assert case.engine.changes == [(ID, (
        f'WITH changed AS (INSERT INTO "public"."urls" ({names}) OVERRIDING SYSTEM VALUE'
        f' SELECT {names} FROM {STORE["delete_rows"]} ON CONFLICT DO NOTHING RETURNING 1)'
        " SELECT count(*) FROM changed",
        f'DROP TABLE {STORE["delete_rows"]}',
    ))]  # fmt: skip


@EACH
def test_how_many_rows_were_put_back_is_told(kind: str) -> None:
    case = Case(kind)
    undo = case.broken()
    later = case.another()
    for _ in range(2):  # harmless if repeated
        later.heal(undo)
        assert later.is_healed(undo) == Proof(
            True, "3 rows of urls were put back on db-1", facts={"put_back": 3}
        )


@EACH
def test_where_an_older_state_was_restored_there_is_nothing_to_put_back(kind: str) -> None:
    case = Case(kind)
    undo = case.broken()
    case.engine.postgres.stores.clear()
    proof = heal_fault(case.another(), undo, case.clock)
    assert proof.detail == "db-1: there was nothing to put back in urls"
    assert proof.facts == {"put_back": 0}
    assert case.engine.changes == []


@EACH
def test_what_another_process_put_back_is_not_known_here(kind: str) -> None:
    case = Case(kind)
    undo = case.broken()
    case.another().heal(undo)
    proof = case.fault.is_healed(undo)
    assert (proof.proven, proof.facts) == (True, {})


@EACH
def test_an_answer_that_was_lost_leaves_the_number_unknown(kind: str) -> None:
    """The transaction may have been done: it is not said that nothing was put back."""
    case = Case(kind)
    undo, later, real = case.broken(), case.another(), case.engine.execute

    def lost(container_id: str, command: Any, timeout_s: float = 15.0) -> tuple[int, str]:
        answer = real(container_id, command, timeout_s)
        return answer if command[2] != CHANGE else (-1, "")

    case.engine.execute = lost  # type: ignore[method-assign]
    with pytest.raises(TargetError):
        later.heal(undo)
    case.engine.execute = real  # type: ignore[method-assign]
    later.heal(undo)
    assert later.is_healed(undo).proven
    assert later.is_healed(undo).facts == {}


@EACH
def test_before_it_is_healed_it_is_not(kind: str) -> None:
    case = Case(kind)
    undo = case.broken()
    proof = case.another().is_healed(undo)
    assert proof == Proof(False, f"db-1: harness_undo_{kind}_1 is still there")


@EACH
def test_a_change_that_is_still_going_on_is_ended_first(kind: str) -> None:
    """Its process may have died; the server would commit a minute later."""
    case = Case(kind)
    undo = read_back(case.fault.prepare())
    case.engine.postgres.changing = {"session"}
    later = case.another()
    with pytest.raises(TargetError, match="the change of urls was still going on"):
        later.heal(undo)
    assert "pg_terminate_backend" in case.engine.changes[0][1][0]
    assert f"application_name = 'harness_undo_{kind}_1'" in case.engine.changes[0][1][0]
    assert heal_fault(later, undo, case.clock).facts == {"put_back": 0}


@EACH
def test_after_a_failover_the_new_primary_is_healed(kind: str) -> None:
    case = Case(kind, node("db-2"), node("app-1", "app"))
    undo = case.broken()
    case.engine.own = {ID: {"is_replica": True}}
    assert "put back on db-2" in heal_fault(case.another(), undo, case.clock).detail
    assert [where for where, _ in case.engine.changes] == ["id-db-2"]


@EACH
def test_the_leader_that_patroni_names_comes_first(kind: str) -> None:
    case = Case(kind, node("db-2", **CLUSTERED), node("db-3", **CLUSTERED))
    case.engine.found[ID] = node("db-1", **CLUSTERED)
    case.lead("db-1")
    case.fault = case.another(role="db-primary")
    undo = case.broken()
    assert (undo.target, undo.is_clustered) == ("db-1", True)
    case.lead("db-3")
    case.engine.own["id-db-3"] = {"system": "8888"}  # it was made anew out of a dump
    assert "put back on db-3" in heal_fault(case.another(), undo, case.clock).detail


@EACH
def test_another_database_of_the_same_role_is_left_alone(kind: str) -> None:
    case = Case(kind, node("users-db"))
    undo = case.broken()
    case.engine.found[ID] = replace(case.engine.found[ID], status="exited")
    case.engine.own["id-users-db"] = {"system": "9999"}
    with pytest.raises(TargetError) as caught:
        case.another().heal(undo)
    assert caught.value.message == ("no primary has urls now: users-db is another database")
    assert caught.value.hint == "start it, then: harness heal"
    assert case.engine.changes == []


@EACH
def test_a_primary_that_does_not_answer_is_not_healed(kind: str) -> None:
    case = Case(kind)
    undo = case.broken()
    case.engine.silent = {ID}
    with pytest.raises(TargetError, match=r"^no primary has urls now: id-db-1 does not answer$"):
        case.another().heal(undo)
    del case.engine.found[ID]
    with pytest.raises(TargetError, match=r"^no primary has urls now: no container of db-1 runs$"):
        case.another().is_healed(undo)
