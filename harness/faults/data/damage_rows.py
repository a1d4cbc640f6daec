"""damage_rows: a share of the rows has wrong content, as after a bug: `~damaged` is appended.

The column must hold text. Where it holds a limited number of letters, the last ones give way. The
rows are chosen by a hash of their primary key, so the same ones each time.
"""

from __future__ import annotations

from pydantic import field_validator

from harness.errors import TargetError
from harness.faults.data.database import NAME, Column, Table, quoted
from harness.faults.data.rows import RowsKind, RowsParameters, RowsUndo

MARK = "~damaged"
WAS, IS = quoted("harness_original"), quoted("harness_damaged")


class DamageParameters(RowsParameters):
    """`column`: the one whose text is damaged."""

    column: str

    @field_validator("column")
    @classmethod
    def _is_column(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError("not a plain name; write letters, digits and _")
        return value


def _columns(wanted: DamageParameters, table: Table) -> tuple[str, ...]:
    """The one column, which must be text of its own and no part of the key."""
    found = _column(wanted, table)
    if found is None:
        text = f"table {wanted.table} has no column {wanted.column}"
        raise TargetError(text, f"it has: {', '.join(each.name for each in table.columns)}")
    if not found.is_text or found.is_generated:
        what = "computed from others" if found.is_generated else f"{found.type}, no text"
        texts = [c.name for c in table.columns if c.is_text and not c.is_generated]
        text = f"column {found.name} of {wanted.table} is {what}"
        raise TargetError(text, f"choose one of: {', '.join(texts) or 'no column is text'}")
    if found.name in table.key:
        text = f"column {found.name} is in the primary key of {wanted.table}"
        raise TargetError(text, "choose another: rows are found again by their key")
    return (found.name,)


def _column(wanted: DamageParameters, table: Table) -> Column | None:
    return next((each for each in table.columns if each.name == wanted.column), None)


def _damaged(column: Column) -> str:
    """The damaged value in SQL."""
    name, most = quoted(column.name), column.letters
    if most is None:
        return f"{name} || '{MARK}'"
    return f"left(left({name}, {max(most - len(MARK), 0)}) || '{MARK}', {most})"


def _breaking(wanted: DamageParameters, undo: RowsUndo, table: Table) -> list[str]:
    """Keep what they were and will be; then one UPDATE of those that nobody changed meanwhile."""
    column = _column(wanted, table)
    assert column is not None
    name, damaged = quoted(column.name), _damaged(column)
    kept = ", ".join([*map(quoted, undo.key), f"{name} AS {WAS}", f"{damaged} AS {IS}"])
    chosen = undo.chosen(wanted.share, f"{damaged} <> {name}")
    return [
        f"CREATE TABLE {undo.kept} AS SELECT {kept} {chosen}",
        f"UPDATE {undo.place} AS t SET {name} = kept.{IS} FROM {undo.kept} AS kept"
        f" WHERE {undo.matches('t', 'kept')} AND t.{name} = kept.{WAS}",
    ]


def _broken(undo: RowsUndo) -> str:
    is_broken = f"t.{quoted(*undo.columns)} = kept.{IS}"
    joined = f"{undo.place} AS t JOIN {undo.kept} AS kept ON {undo.matches('t', 'kept')}"
    return (
        f"SELECT json_build_object('broken', (SELECT count(*) FROM {joined} AND {is_broken}),"
        f" 'rows', (SELECT count(*) FROM {undo.place}))"
    )


def _restoring(undo: RowsUndo) -> str:
    """Only where the value is still the damaged one: what was written since stays."""
    name = quoted(*undo.columns)
    return (
        f"WITH changed AS (UPDATE {undo.place} AS t SET {name} = kept.{WAS}"
        f" FROM {undo.kept} AS kept WHERE {undo.matches('t', 'kept')} AND t.{name} = kept.{IS}"
        " RETURNING 1) SELECT count(*) FROM changed"
    )


KIND = RowsKind(
    DamageParameters, RowsUndo, word="damaged",
    columns=_columns, breaking=_breaking, broken=_broken, restoring=_restoring,
)  # fmt: skip
