"""Looks tokens up by one SELECT, run by the database's own client in the database's container.

Nothing is written: the statement was checked to be one SELECT when the file was read, the
transaction is read-only, and what is put into the statement is [A-Za-z0-9_-] alone, in quotes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.adapters.readback.lookup import Rows
from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.container import Container
from harness.model.load import Load
from harness.model.readback import PLACES, TOKEN, Readback
from harness.sql_client import asked, read_answer

CALL_S = 20.0
BATCH = 1000
"""Tokens of 64 letters in quotes: 67 kB, of the 128 kB that one argument may have."""


class SqlLookup:
    """The first container of the service that runs."""

    batch, pause_s = BATCH, 0.0

    def __init__(self, readback: Readback, engine: Engine) -> None:
        self._readback, self._engine = readback, engine

    def check(self) -> None:
        """The statement without any token: it must be understood, and find nothing."""
        if found := self._lines("NULL"):
            raise TargetError(
                f"readback.sql finds {found[0][:80]!r} though it is asked for nothing",
                f"write it so that {PLACES} says which rows are wanted",
            )

    def open(self, _: Load) -> str:
        """The service, whatever the load was."""
        return self._readback.service

    def rows(self, tokens: Sequence[str]) -> Rows:
        """The rows that the statement finds, by token."""
        found = Counter(self._lines(", ".join(map(quoted, tokens))))
        if others := found.keys() - set(tokens):
            raise TargetError(
                f"readback.sql finds {min(others)[:80]!r}, which it was not asked for",
                "select the column that has the token, and no other",
            )
        return {token: found[token] for token in tokens}

    def _lines(self, tokens: str) -> list[str]:
        readback, container = self._readback, self._container()
        sql = readback.sql.replace(PLACES, tokens)
        said = (sql, readback.user, readback.database, readback.password_from)
        code, output = self._engine.execute(container.id, asked(*said), CALL_S)
        answer = read_answer(output)
        if answer.code != 0:
            why = answer.notes or f"exit {code}: {output.strip()}"
            raise TargetError(f"readback.sql in {readback.service}: {why[:300]}", HINT)
        return [row.strip() for row in answer.rows if row.strip()]

    def _container(self) -> Container:
        service = self._readback.service
        mine = [c for c in self._engine.containers() if c.service == service]
        running = next((c for c in mine if c.is_running), None)
        if running is None:
            raise TargetError(f"readback: no container of {service} runs", "see: harness status")
        return running


HINT = "try the statement in that container; `user`, `database` and `password_from` can be given"


def quoted(token: str) -> str:
    """A token as an SQL text; ValueError unless it is made of letters, digits, _ and - alone."""
    if not TOKEN.fullmatch(token):
        raise ValueError(f"{token[:80]!r} is never put into a statement")
    return f"'{token}'"
