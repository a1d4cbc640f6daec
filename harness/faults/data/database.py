"""PostgreSQL as faults on its rows need it: what a table is, how a server is now, one change.

psql inside the database's container does it all, as the user that its image names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.container import Container
from harness.sql_client import CHANGE_S, Answer, asked, changing, read_answer

ASK_S = 20.0
SERVER_OWN = "postgres"
"""The database that every server has, in which nobody keeps his own tables."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
MORE = re.compile(r"(?:DETAIL|CONTEXT):")
"""Behind it psql tells what rows hold."""
DATABASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")

_HERE = """
SELECT json_build_object('here', current_database(), 'others', (
  SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database
  WHERE datallowconn AND NOT datistemplate AND datname <> current_database()))"""
_TABLE = """
SELECT json_build_object(
  'is_replica', pg_is_in_recovery(),
  'system', (SELECT system_identifier::text FROM pg_control_system()),
  'schema', n.nspname,
  'key', (
    SELECT coalesce(json_agg(a.attname ORDER BY p.place), '[]') FROM pg_index AS i
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS p(number, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = p.number
    WHERE i.indrelid = c.oid AND i.indisprimary AND p.place <= i.indnkeyatts),
  'columns', (
    SELECT json_agg(json_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
      'is_text', t.typcategory = 'S', 'is_generated', a.attgenerated <> '',
      'letters', CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype)
        AND a.atttypmod > 4 THEN a.atttypmod - 4 END) ORDER BY a.attnum)
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'takes_along', (
    SELECT coalesce(json_agg(DISTINCT conrelid::regclass::text), '[]') FROM pg_constraint
    WHERE confrelid = c.oid AND contype = 'f' AND confdeltype IN ('c', 'n', 'd')),
  'has_store', to_regclass(format('%I.%I', n.nspname, '{store}')) IS NOT NULL)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass('{table}') AND c.relkind IN ('r', 'p')"""
_STATE = """
SELECT json_build_object(
  'is_replica', pg_is_in_recovery(),
  'system', (SELECT system_identifier::text FROM pg_control_system()),
  'has_store', to_regclass('{store}') IS NOT NULL,
  'changing', (SELECT count(*) FROM pg_stat_activity WHERE application_name = '{session}'))"""

Read = TypeVar("Read")


@dataclass(frozen=True)
class Column:
    """`letters`: how many it holds at most, None for any number."""

    name: str
    type: str
    is_text: bool
    is_generated: bool
    letters: int | None


@dataclass(frozen=True)
class Table:
    """What the catalogue says. `system`: the number of the cluster that all its copies share.

    `key`: the columns of its primary key. `takes_along`: tables whose rows change with its rows
    that are deleted. `has_store`: whether the store of this fault is there already.
    """

    is_replica: bool
    system: str
    schema: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    takes_along: tuple[str, ...]
    has_store: bool


@dataclass(frozen=True)
class State:
    """A server now; `changing`: how many sessions of the fault itself still work."""

    is_replica: bool
    system: str
    has_store: bool
    changing: int


def quoted(*names: str) -> str:
    """Names as SQL has them, parted by a dot."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def database_of(engine: Engine, node: Container, said: str) -> str:
    """The database that is meant: `said`, else the image's, else the only one that is there."""
    if said:
        return said
    found = _json(node, _ask(engine, node, _HERE))
    here, others = str(found["here"]), [str(name) for name in found["others"]]
    if here != SERVER_OWN or not others:
        return here
    if len(others) > 1 or not DATABASE.fullmatch(others[0]):
        listed = ", ".join([here, *others])
        raise TargetError(f"{node.service} has the databases {listed}", "write `database: NAME`")
    return others[0]


def table_of(engine: Engine, node: Container, database: str, table: str, store: str) -> Table:
    """What the catalogue says of a table; TargetError if there is none of that name."""
    sql = _TABLE.format(table=quoted(*table.split(".")), store=store)
    rows = _ask(engine, node, sql, database)
    if not rows:
        text = f"{node.service} has no table {table} in database {database}"
        raise TargetError(text, "write `table: SCHEMA.NAME`, or another `database`")
    return _typed(Table, node, rows)


def state_of(engine: Engine, node: Container, database: str, store: str, session: str) -> State:
    """A server as it is now; TargetError if it does not answer."""
    sql = _STATE.format(store=store.replace("'", "''"), session=session)
    return _typed(State, node, _ask(engine, node, sql, database))


def count(engine: Engine, node: Container, database: str, sql: str) -> Mapping[str, Any]:
    """The one JSON object that a query gives."""
    return _json(node, _ask(engine, node, sql, database))


def change(
    engine: Engine, node: Container, database: str, session: str, statements: Sequence[str]
) -> list[str]:
    """All in one transaction; its rows, and last the server's time just after the commit.

    TargetError, and nothing is changed, if one of them fails or if they take 60 s.
    """
    command = changing(database, session, statements)
    code, output = engine.execute(node.id, command, CHANGE_S)
    answer = _whole(node, code, output)
    return [row.strip() for row in answer.rows if row.strip()]


def _ask(engine: Engine, node: Container, sql: str, database: str = "") -> Sequence[str]:
    code, output = engine.execute(node.id, asked(sql, database=database), ASK_S)
    return [row for row in _whole(node, code, output).rows if row.strip()]


def _whole(node: Container, code: int, output: str) -> Answer:
    """The answer of a client that ended well; TargetError without the data that psql may tell."""
    answer = read_answer(output)
    if answer.code != 0:
        why = MORE.split(answer.notes)[0] or f"exit {code}: {output}"
        raise TargetError(f"{node.service}: {why.strip()[:300]}", "see: harness status")
    return answer


def _json(node: Container, rows: Sequence[str]) -> Mapping[str, Any]:
    try:
        found = json.loads(" ".join(rows))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TargetError(f"{node.service}: psql answered {' '.join(rows)[:200]!r}, not JSON")
    return found


def _typed(kind: type[Read], node: Container, rows: Sequence[str]) -> Read:
    try:
        return TypeAdapter(kind).validate_python(_json(node, rows))
    except ValidationError as error:
        text = f"{node.service}: psql's answer cannot be read: {error.errors()[0]['msg']}"
        raise TargetError(text) from error
