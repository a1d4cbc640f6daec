"""What a look of a check must see: read once, with everything wrong said, then held against it."""

from __future__ import annotations

import pytest

from harness.checks import KINDS
from harness.checks.base import Seen
from harness.checks.clause import parse_clause, wrong

HTTP, SQL = KINDS["http"], KINDS["sql"]


HEADERS = {"x-data-age": "12.5", "x-cache": "redis"}


def seen(text: str = "", status: int = 0, took_s: float = 0.1) -> Seen:
    return Seen(status, text, took_s, HEADERS)


@pytest.mark.parametrize(
    ("clause", "text", "problem"),
    [
        ("count <= 0", "0\n", ""),
        ("count <= 0", " 17 ", "count was 17"),
        ("count<1e3", "999.5", ""),
        ("count == 2", "2.0", ""),
        ("count > 2", "2", "count was 2"),
        ("count >= 0", "ERR no such key", "not a number: ERR no such key"),
        ("count >= 0", "", "not a number: an empty answer"),
        ("count >= 0", "true", "not a number: true"),
        ("count >= 0", "NaN", "not a number: NaN"),
        ("text == PONG", "PONG\n", ""),
        ('text == "up and well"', "up and well", ""),
        ("text == PONG", "LOADING", 'text was "LOADING"'),
        ("duration < 200ms", "", ""),
        ("duration <= 50ms", "", "duration was 100 ms"),
        ("exit_code == 0", "", ""),
        ("exit_code >= 1", "", "exit_code was 0"),
    ],
)
def test_a_clause_about_the_whole_answer(clause: str, text: str, problem: str) -> None:
    assert parse_clause(clause, SQL).wrong(seen(text)) == problem


DOCUMENT = '{"state": "ready", "queue": {"depth": 3}, "ok": true, "none": null, "jobs": [1, 2]}'


@pytest.mark.parametrize(
    ("clause", "problem"),
    [
        ("$.queue.depth <= 3", ""),
        ("$.queue.depth<3", "$.queue.depth was 3"),
        ("$.state == ready", ""),
        ('$.state == "ready"', ""),
        ("$.state == down", '$.state was "ready"'),
        ("$.ok == true", ""),
        ("$.ok == 1", "$.ok was true"),
        ("$.none == null", ""),
        ("$.jobs == [1, 2]", ""),
        ("$.state >= 1", '$.state was "ready", not a number'),
        ("$.ok >= 1", "$.ok was true, not a number"),
        ("$.gone == 1", f"nothing at $.gone: {DOCUMENT}"),
        ("$.jobs[*] == 1", f"2 values at $.jobs[*]: {DOCUMENT}"),
        ("count($.jobs[*]) == 2", ""),
        ("count($.jobs[*]) > 2", "count($.jobs[*]) was 2"),
        ("count($.jobs[?@ >= 2]) == 1", ""),
        ("count($.gone) == 0", ""),
    ],
)
def test_a_clause_about_a_place_in_json(clause: str, problem: str) -> None:
    assert parse_clause(clause, HTTP).wrong(seen(DOCUMENT, 200)) == problem


@pytest.mark.parametrize(
    ("clause", "problem"),
    [
        ("header.X-Data-Age >= 12", ""),
        ("header.x-data-age < 5", "header.x-data-age was 12.5"),
        ("header.x-data-age == 12.5", ""),
        ("header.x-cache == redis", ""),
        ("header.x-cache == edge", 'header.x-cache was "redis"'),
        ("header.x-cache < 5", 'header.x-cache was "redis", not a number'),
        ("header.x-gone == 1", "no header x-gone: an empty answer"),
    ],
)
def test_a_clause_about_a_header(clause: str, problem: str) -> None:
    assert parse_clause(clause, HTTP).wrong(seen()) == problem


def test_only_what_answers_by_http_has_headers() -> None:
    with pytest.raises(ValueError, match="is unknown; known: exit_code, count, duration, text, "):
        parse_clause("header.x-cache == redis", SQL)


def test_an_answer_that_is_no_json_is_shown() -> None:
    clause = parse_clause("count($.jobs[*]) == 0", HTTP)
    assert clause.wrong(seen("<html>", 200)) == "not JSON: <html>"
    assert clause.wrong(seen("[" * 100_000, 200)).startswith("not JSON: [[[")


@pytest.mark.parametrize(
    ("clause", "problem"),
    [
        ("", "'' is not a valid expectation; write it like status == 200"),
        ("count", "'count' is not a valid expectation"),
        ("count = 3", "'count = 3' is not a valid expectation"),
        ("count != 3", "'count != 3' is not a valid expectation"),
        ("count <=", "'count <=' is not a valid expectation"),
        ("count <= many", "'many' is not a number"),
        ("count <= true", "'true' is not a number"),
        ("rows == 1", "'rows == 1': rows is unknown; known: status, count, duration, text, "),
        ("exit_code == 0", "exit_code is unknown; known: status"),
        ("duration < 5", "'5' is not a duration"),
        ("text < a", "a text can only be compared with =="),
        ("$.a[ == 1", "'$.a[' is not a JSON path: "),
        ("$.a < ready", "ready is not a number"),
        ("count($.a) == x", "'x' is not a number"),
    ],
)
def test_what_is_wrong_with_a_clause_is_said(clause: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the text is compared below
        parse_clause(clause, HTTP)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "status", "text", "clauses", "problem"),
    [
        ("http", 200, "", [], ""),
        ("http", 204, "", [], ""),
        ("http", 302, "", [], "status was 302"),
        ("http", 500, "no database", [], "status was 500: no database"),
        ("http", 0, "no answer (refused)", [], "no answer (refused)"),
        ("http", 503, "", ["status == 503"], ""),
        ("http", 200, "", ["status == 503"], "status was 200"),
        ("http", 500, "7", ["count == 7"], "status was 500: 7"),
        ("sql", 0, "7", ["count == 7"], ""),
        ("sql", 2, "FATAL: no", ["count == 7"], "exit_code was 2: FATAL: no"),
        ("sql", 0, "7", ["count == 8", "duration < 1ms"], "count was 7; duration was 100 ms"),
    ],
)
def test_the_status_must_be_good_unless_a_clause_is_about_it(
    kind: str, status: int, text: str, clauses: list[str], problem: str
) -> None:
    chosen = KINDS[kind]
    parsed = [parse_clause(clause, chosen) for clause in clauses]
    assert wrong(parsed, chosen, seen(text, status)) == problem
