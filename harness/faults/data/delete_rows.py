"""delete_rows: a share of the rows is deleted, as by somebody who forgot a condition.

The rows are chosen by a hash of their primary key, so the same ones each time.
"""

from __future__ import annotations

from harness.errors import TargetError
from harness.faults.data.database import Table, quoted
from harness.faults.data.rows import RowsKind, RowsParameters, RowsUndo


def _columns(wanted: RowsParameters, table: Table) -> tuple[str, ...]:
    """All that can be written again; nothing else may go with the rows."""
    if table.takes_along:
        listed = ", ".join(table.takes_along)
        text = f"with the rows of {wanted.table} those of {listed} would be deleted or changed"
        raise TargetError(f"{text}, and would not come back (ON DELETE)", "choose another table")
    return tuple(each.name for each in table.columns if not each.is_generated)


def _breaking(wanted: RowsParameters, undo: RowsUndo, _: Table) -> list[str]:
    """One DELETE; what it deletes goes into the store."""
    names, key = _names(undo), ", ".join(map(quoted, undo.key))
    deleted = ", ".join(f"t.{quoted(name)}" for name in undo.columns)
    return [
        f"CREATE TABLE {undo.kept} AS SELECT {names} FROM {undo.place} WITH NO DATA",
        f"WITH gone AS (DELETE FROM {undo.place} AS t"
        f" USING (SELECT {key} {undo.chosen(wanted.share)}) AS chosen"
        f" WHERE {undo.matches('t', 'chosen')} RETURNING {deleted})"
        f" INSERT INTO {undo.kept} SELECT {names} FROM gone",
    ]


def _broken(undo: RowsUndo) -> str:
    is_there = f"SELECT FROM {undo.place} AS t WHERE {undo.matches('t', 'kept')}"
    absent = f"SELECT count(*) FROM {undo.kept} AS kept WHERE NOT EXISTS ({is_there})"
    return (
        f"SELECT json_build_object('broken', ({absent}),"
        f" 'rows', (SELECT count(*) FROM {undo.place}) + ({absent}))"
    )


def _restoring(undo: RowsUndo) -> str:
    """A row whose key was taken again since stays as it is."""
    names = _names(undo)
    return (
        f"WITH changed AS (INSERT INTO {undo.place} ({names}) OVERRIDING SYSTEM VALUE"
        f" SELECT {names} FROM {undo.kept} ON CONFLICT DO NOTHING RETURNING 1)"
        " SELECT count(*) FROM changed"
    )


def _names(undo: RowsUndo) -> str:
    return ", ".join(map(quoted, undo.columns))


KIND = RowsKind(
    RowsParameters, RowsUndo, word="deleted",
    columns=_columns, breaking=_breaking, broken=_broken, restoring=_restoring,
)  # fmt: skip
