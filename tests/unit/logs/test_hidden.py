"""No secret stays in a log: neither one that is known nor one that looks like it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.logs.hidden import Secrets, secrets_in

KNOWN = 'p/w "ü" 1'


@pytest.mark.parametrize(
    "text",
    [
        f"login with {KNOWN} failed",
        "redis://:p%2Fw%20%22%C3%BC%22%201@cache:6379",
        json.dumps({"said": KNOWN}),
        "p/w &quot;ü&quot; 1",
    ],
)
def test_a_known_secret_is_hidden_however_it_is_spelt(text: str) -> None:
    hidden = Secrets([KNOWN]).without(text)
    assert "***" in hidden
    assert not any(part in hidden for part in ("p/w", "p%2Fw", "ü", "u00fc"))


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("connect to postgresql://app:hunter2@db:5432/app", "connect to postgresql://***@db:5432/app"),
        ("redis://:hunter2@redis/0 is away", "redis://***@redis/0 is away"),
        ("Authorization: Bearer abc.def-1", "Authorization: ***"),
        ("sent Bearer abc.def-1 to it", "sent *** to it"),
        ("Cookie: sid=1a2b; theme=dark", "Cookie: ***"),
        ("set-cookie: sid=1a2b; Path=/", "set-cookie: ***"),
        ("sent {'cookie': 'sid=1a2b; x=y', 'a': 'b'}", "sent {'cookie': ***, 'a': 'b'}"),
        ("ALTER USER a PASSWORD 'hunter2' VALID", "ALTER USER a PASSWORD *** VALID"),
        ("CREATE USER a IDENTIFIED BY 'hunter2'", "CREATE USER a IDENTIFIED BY ***"),
        ("dsn: host=db password=hunter2 user=app", "dsn: host=db password=*** user=app"),
        ("GET /x?api_key=hunter2&a=1", "GET /x?api_key=***&a=1"),
        ("MII" + "Ab1/" * 20, "***"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden(text: str, hidden: str) -> None:
    assert Secrets().without(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "GET /abc 302 in 4 ms",
        'FATAL:  password authentication failed for user "app"',
        "Server read/app-2 is DOWN, reason: Layer4 timeout",
        "see http://app-1:8000/debug/breakers",
        "0af7651916cd43dd8448eb211c80319c",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert Secrets(["", "abc", "true", "trust"]).without(text) == text


def test_json_stays_json() -> None:
    value = {
        "password": "x1", "user": {"session_token": ["a"], "name": "ann"}, "attempts": 3,
        "is_authorized": True, "url": "redis://:hunter2@r/0", "none": None, "secret": "",
        "list": ["Bearer abc"], "known-9": 1,
    }  # fmt: skip
    hidden: Any = Secrets(["known-9"]).without_in(value)
    assert hidden == {
        "password": "***", "user": {"session_token": "***", "name": "ann"}, "attempts": 3,
        "is_authorized": True, "url": "redis://***@r/0", "none": None, "secret": "",
        "list": ["***"], "***": 1,
    }  # fmt: skip


def test_which_variables_are_secrets() -> None:
    variables = {
        "REDIS_PASSWORD": "one", "DB_PW": "two", "STRIPE_API_KEY": "three", "JWT_SECRET": "four",
        "DSN": "postgresql://app:five@db/app", "POSTGRES_PASSWORD_FILE": "/run/secrets/pw",
        "PORT": "8000", "URL": "http://app:8000/", "MONGO": "mongodb://root:s%2Fx@m",
        "XDG_SESSION_CLASS": "user", "SORT_KEY": "name", "APP_KEY": "base64:0123456789",
    }  # fmt: skip
    known = {"one", "two", "three", "four", "five", "s%2Fx", "base64:0123456789"}
    assert secrets_in(variables) == known


def test_each_line_of_a_secret_with_several_is_hidden() -> None:
    assert Secrets(["first-line\nsecond-line\n"]).without("a second-line b") == "a *** b"


def test_what_lies_too_deep_is_left_out() -> None:
    value: Any = "hunter2"
    for _ in range(500):
        value = [value]
    hidden = json.dumps(Secrets().without_in(value))
    assert "hunter2" not in hidden
    assert hidden.count("[") == 21
