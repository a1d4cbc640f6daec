"""How a target is asked, after a run, which acknowledged writes it has stored."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.model.json_path import path_of_one

TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What is looked up: nothing else is ever put into a statement or a URL."""
PLACE, PLACES = "{token}", "{tokens}"
HTTP_MAX, SQL_MAX = 10_000, 500_000
"""The most tokens that are looked up after one run."""
_STATEMENT = re.compile(r"select\b", re.IGNORECASE)
_NOT_READING = re.compile(r"\b(into|for\s+update|for\s+share|lock\s+in|for\s+no\s+key|for\s+key)\b")
_REQUEST = re.compile(r"GET (/\S*)")


class Readback(BaseModel):
    """By `sql` in the containers of a `service`, or by `http` at an entry.

    sql            one SELECT of the tokens that are stored, out of `{tokens}`: a row for each row
    user, database "" for those that the image's environment names
    password_from  a variable of the container, or a file in it; "" for the image's own
    http           `GET /items/{token}`; an answer of `status` has it, one of `absent` has not
    entry          where that is sent: NAME or ADDRESS:PORT, "" for the load's
    count          the JSON path at which an answer of `status` has how many there are; "" for one
    within_s       how long a write that was acknowledged may take to be there, in seconds
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    service: str = ""
    sql: str = ""
    user: str = ""
    database: str = ""
    password_from: str = ""
    http: str = ""
    entry: str = ""
    count: str = ""
    status: tuple[int, ...] = (200,)
    absent: tuple[int, ...] = (404, 410)
    within_s: float = Field(default=5.0, ge=0, le=60)

    @field_validator("sql")
    @classmethod
    def _only_selects(cls, value: str) -> str:
        sql = value.strip().removesuffix(";").strip()
        if wrong := _wrong_sql(sql) if sql else "":
            raise ValueError(f"{wrong}; write select COLUMN from TABLE where COLUMN in ({PLACES})")
        return sql

    @field_validator("user", "database")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*", value):
            raise ValueError(f"{value!r} is not the name of a user or a database")
        return value

    @field_validator("password_from")
    @classmethod
    def _is_variable_or_file(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*|/[A-Za-z0-9_./-]+", value):
            raise ValueError(
                f"{value!r} is neither a variable of the container nor a file in it; "
                "write its name, or an absolute path: the password itself does not belong here"
            )
        return value

    @field_validator("http")
    @classmethod
    def _is_get(cls, value: str) -> str:
        parts = value.split(PLACE)
        if value and (
            not _REQUEST.fullmatch(value) or len(parts) != 2 or re.search("[{}]", "".join(parts))
        ):
            raise ValueError(f"{value!r} is no request that only reads; write GET /items/{PLACE}")
        return value

    @field_validator("count")
    @classmethod
    def _is_path_of_one(cls, value: str) -> str:
        if value:
            path_of_one(value)
        return value

    @field_validator("status", "absent", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, int) else value

    @property
    def contradiction(self) -> str:
        """Why it cannot be done so, "" if it can."""
        if bool(self.sql) == bool(self.http):
            return "write either {service: db, sql: ...} or {http: GET /items/{token}}"
        if bool(self.sql) != bool(self.service):
            return "`service` names where `sql` is run; write both, or neither"
        if self.sql and (self.entry or self.count):
            return "`entry` and `count` belong to `http`; leave them out"
        if set(self.status) & set(self.absent):
            return "`status` and `absent` have a status in common"
        return ""

    @property
    def counts_rows(self) -> bool:
        """Whether it shows how many rows have a token."""
        return bool(self.sql or self.count)

    @property
    def tokens_max(self) -> int:
        """How many are looked up at most."""
        return SQL_MAX if self.sql else HTTP_MAX

    @property
    def path(self) -> str:
        """The path of the request, with the place for the token."""
        return self.http.partition(" ")[2]


def _wrong_sql(sql: str) -> str:
    """Why the statement is not run, "" if it only reads.

    The transaction is read-only as well; this says it before anything starts. A backslash or a
    second statement would be the client's to interpret.
    """
    if not _STATEMENT.match(sql):
        return "not a SELECT"
    if any(part in sql for part in (";", "\\", "/*", "--")):
        return "one statement only, without ; \\ or comments"
    if found := _NOT_READING.search(sql.lower()):
        return f"{found[1]!r} does more than read"
    if PLACES not in sql:
        return f"{PLACES}, which stands for what is looked up, is missing"
    if re.search("[{}]", sql.replace(PLACES, "")):
        return f"only {PLACES} may be in braces"
    return ""
