"""Only what reads is ever run on a target: one SELECT, or one GET."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.model.readback import HTTP_MAX, SQL_MAX, TOKEN, Readback

SQL = "select token from items where token in ({tokens})"


def said(**changes: Any) -> Readback:
    return Readback(**{"service": "db", "sql": SQL, **changes})


@pytest.mark.parametrize(
    "sql",
    [
        SQL,
        f"  {SQL.upper().replace('{TOKENS}', '{tokens}')} ;\n",
        "SELECT data #>> '{tokens}' FROM t".replace("'{tokens}'", "x") + " where y in ({tokens})",
        "select t from a where t in ({tokens}) union all select t from b where t in ({tokens})",
        "select updated_into, intox from items where token in ({tokens})",
        "select(token) from items where token in ({tokens})",
    ],
)
def test_a_select_is_run_without_its_end(sql: str) -> None:
    assert said(sql=sql).sql == sql.strip().removesuffix(";").strip()


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("delete from items where token in ({tokens})", "not a SELECT"),
        ("selected from items where token in ({tokens})", "not a SELECT"),
        ("with x as (delete from t returning *) select * from x where t in ({tokens})", "not a"),
        ("select token from items", "{tokens}, which stands for what is looked up, is missing"),
        ("select '{x}' from items where token in ({tokens})", "only {tokens} may be in braces"),
        (f"{SQL}; delete from items", "one statement only"),
        (f"{SQL} \\! rm -r /", "one statement only"),
        (f"{SQL} -- x", "one statement only"),
        (f"{SQL} /*!50000 for update */", "one statement only"),
        (f"{SQL} for update", "'for update' does more than read"),
        (f"{SQL} FOR   SHARE", "does more than read"),
        (f"{SQL} lock in share mode", "'lock in' does more than read"),
        ("select token into other from items where token in ({tokens})", "'into' does more"),
        ("select token from items where token in ({tokens}) INTO OUTFILE '/x'", "'into' does"),
    ],
)
def test_a_statement_that_could_do_more_is_refused(sql: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        said(sql=sql)
    assert why in str(caught.value)
    assert "write select COLUMN from TABLE where COLUMN in ({tokens})" in str(caught.value)


@pytest.mark.parametrize(
    "http",
    ["DELETE /items/{token}", "POST /items/{token}", "/items/{token}", "GET items/{token}",
     "GET /items", "GET /{token}/{token}", "GET /{key}/{token}", "GET /items/{token} HTTP/1.1"],
)  # fmt: skip
def test_a_request_that_could_do_more_is_refused(http: str) -> None:
    with pytest.raises(ValidationError, match="no request that only reads; write GET /items/"):
        Readback(http=http)


def test_a_request_has_its_path() -> None:
    asked = Readback(http="GET /items?token={token}", status=200)
    assert (asked.path, asked.status, asked.absent) == ("/items?token={token}", (200,), (404, 410))


@pytest.mark.parametrize(
    ("key", "value"),
    [("user", "a b"), ("user", "-x"), ("user", "$(x)"), ("database", "a;b"),
     ("password_from", "a b"), ("password_from", "$X"), ("password_from", "../secret"),
     ("password_from", "/run/$(x)")],
)  # fmt: skip
def test_names_are_names(key: str, value: str) -> None:
    with pytest.raises(ValidationError, match=r"is not the name|is neither a variable"):
        said(**{key: value})


def test_a_password_is_named_and_never_given() -> None:
    assert said(password_from="/run/secrets/db").password_from == "/run/secrets/db"
    assert said(password_from="DB_PASS").password_from == "DB_PASS"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"sql": "", "service": "", "http": "GET /{token}"}, ""),
        ({"http": "GET /{token}"}, "write either "),
        ({"sql": "", "service": ""}, "write either "),
        ({"entry": "web"}, "`entry` and `count` belong to `http`"),
        ({"count": "$.n"}, "`entry` and `count` belong to `http`"),
        ({"sql": "", "service": "", "http": "GET /{token}", "entry": "web", "count": "$.n"}, ""),
        ({"service": ""}, "`service` names where `sql` is run"),
        ({"sql": "", "http": "GET /{token}"}, "`service` names where `sql` is run"),
        ({"status": (200, 404)}, "`status` and `absent` have a status in common"),
    ],
)
def test_it_is_done_in_one_way(changes: dict[str, Any], why: str) -> None:
    found = said(**changes).contradiction
    assert found.startswith(why)
    assert bool(found) == bool(why)


def test_what_each_way_can_do() -> None:
    by_http = Readback(http="GET /{token}")
    assert (said().counts_rows, said().tokens_max) == (True, SQL_MAX)
    assert (by_http.counts_rows, by_http.tokens_max) == (False, HTTP_MAX)
    assert Readback(http="GET /{token}", count="$.n").counts_rows


@pytest.mark.parametrize(
    ("path", "why"), [("$.items[*]", "may find several values"), ("n", "is not a JSON path")]
)
def test_a_count_is_one_number_in_the_answer(path: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Readback(http="GET /{token}", count=path)


@pytest.mark.parametrize("token", ["", "a'b", "a b", "a;", "ä", "a\n", "a" * 65, "a%", "a)"])
def test_what_is_no_token(token: str) -> None:
    assert not TOKEN.fullmatch(token)
