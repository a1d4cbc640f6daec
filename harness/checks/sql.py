"""sql: a query, by the database's own client in its container; read-only."""

from __future__ import annotations

import re

from pydantic import field_validator

from harness.checks.base import CheckKind, Parameters, Seen, Site
from harness.sql_client import asked, read_answer

_OF_THE_CLIENT = re.compile(r"^\s*(\\|system\b|source\b)", re.MULTILINE | re.IGNORECASE)


class SqlParameters(Parameters):
    """As for `readback`: user, database and password are those of the image, unless given."""

    service: str
    query: str
    user: str = ""
    database: str = ""
    password_from: str = ""

    @field_validator("query")
    @classmethod
    def _is_sql(cls, value: str) -> str:
        if not value.strip() or _OF_THE_CLIENT.search(value):
            raise ValueError("not a query; write SQL, without commands of the client (\\...)")
        return value


def _look(parameters: SqlParameters, site: Site, timeout_s: float) -> Seen:
    """The rows; if the client failed, what it said."""
    said = (parameters.query, parameters.user, parameters.database, parameters.password_from)
    seen = site.run(parameters.service, asked(*said), timeout_s)
    answer = read_answer(seen.text)
    if answer.code is None:  # cut off: it is not known how the client ended
        return Seen(seen.status or 1, seen.text, seen.took_s)
    text = answer.notes if answer.code else "\n".join(answer.rows)
    return Seen(answer.code, text, seen.took_s)


KIND = CheckKind(
    SqlParameters,
    _look,
    words=lambda p: f"`{p.query}` by the SQL client of {p.service}",
)
