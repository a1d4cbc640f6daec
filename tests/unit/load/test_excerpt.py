"""What people see of an answer: its beginning, on one line, printable, without secrets."""

from __future__ import annotations

from time import process_time

import pytest

from harness.load.excerpt import LENGTH_MAX, excerpt


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", ""),
        (b"ok\n", "ok"),
        (b"<html>\r\n\t<b>hi</b>\n", "<html> <b>hi</b>"),
        (b"a\x1b[31mb\x00", "a\ufffd[31mb\ufffd"),
        (b"\xff\xfeab", "\ufffd\ufffdab"),
        ("\u202eabc".encode(), "\ufffdabc"),
        (b"x" * 200, "x" * (LENGTH_MAX - 1) + "…"),
        (b"x" * LENGTH_MAX, "x" * LENGTH_MAX),
    ],
)
def test_the_beginning_is_bounded_and_printable(body: bytes, shown: str) -> None:
    assert excerpt(body) == shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"user": "ann", "password": "hunter2", "n": 1}',
         '{"user": "ann", "password": ***, "n": 1}'),
        (b"access_token=abc123&next=/home", "access_token=***&next=/home"),
        (b'{"apiKey":"k","x":2}', '{"apiKey":***,"x":2}'),
        (b"Authorization: Bearer abc.def", "Authorization: ***"),
        (b'{"jwt": "eyJhbGciOi.eyJzdWIi.c2ln"}', '{"jwt": "***"}'),
        (b'{"secret": "no end', '{"secret": ***'),
        (b'{"title": "passwords are bad"}', '{"title": "passwords are bad"}'),
    ],
)  # fmt: skip
def test_what_its_name_says_is_a_secret_is_taken_out(body: bytes, shown: str) -> None:
    assert excerpt(body) == shown


@pytest.mark.parametrize(
    "word", ["a", "token", "token-", "eyJ-", "eyJa.", "Bearer ", '"token', "token=", "="]
)
def test_whatever_a_target_answers_it_is_looked_at_in_no_time(word: str) -> None:
    """A target's answer of one long word took minutes."""
    before_s = process_time()
    excerpt(word.encode() * 4096)
    assert process_time() - before_s < 0.5


def test_a_secret_in_the_value_of_another_name_is_taken_out() -> None:
    assert excerpt(b"url=/x?token=abc&next=/") == "url=/x?token=***&next=/"


def test_a_secret_of_the_environment_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SECRET_KEY", "swordfish")
    monkeypatch.setenv("HARNESS_SECRET_SHORT", "a")
    monkeypatch.setenv("OTHER", "banana")
    assert excerpt(b"a swordfish and a banana") == "a *** and a banana"
