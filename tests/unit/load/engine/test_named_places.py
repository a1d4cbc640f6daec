"""Values that somebody else chose are written as the place has it, never as more than that."""

from __future__ import annotations

import json
from base64 import b64decode
from urllib.parse import parse_qs, unquote

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.engine.request import Places, Request, Values
from harness.load.secret import with_secrets
from harness.model.load import Operation

PLACES = Places("{index}", "run-m", "0" * 16, ("id", "name"))
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60)
SENDABLE = ANY.filter(lambda text: not any(ord(c) < 32 or ord(c) == 127 for c in text))


def values(of_id: str = "17", name: str = "ann", cookies: bytes = b"") -> Values:
    return (7, 5, 0, b"", cookies, of_id.encode(), name.encode())


def request(operation: Operation, *, is_walked: bool = False) -> Request:
    return Request("x", operation, "127.0.0.1:80", PLACES, is_walked=is_walked)


def parsed(data: bytes) -> tuple[h11.Request, bytes]:
    """What a strict server understands."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    head, body = server.next_event(), b""
    assert isinstance(head, h11.Request)
    while isinstance(event := server.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return head, body


def head_of(operation: Operation, of: Values) -> dict[str, str]:
    head, _ = parsed(request(operation).render(of))
    return {name.decode(): value.decode("utf-8") for name, value in head.headers}


@given(SENDABLE)
def test_in_a_path_or_a_query_a_value_is_one_part(text: str) -> None:
    operation = Operation(path="/items/{id}/x?q={id}&token={token}")
    head, _ = parsed(request(operation).render(values(text)))
    path, _, query = head.target.decode().partition("?")
    assert path.count("/") == 3
    assert unquote(path.split("/")[2]) == text
    assert parse_qs(query, keep_blank_values=True) == {"q": [text], "token": ["run-m5"]}


@given(SENDABLE)
def test_in_a_json_body_a_value_is_inside_of_its_string(text: str) -> None:
    operation = Operation(path="/", method="POST", body='{"name": "{name}", "n": {id}}')
    _, body = parsed(request(operation).render(values("3", text)))
    assert json.loads(body) == {"name": text, "n": 3}


@given(SENDABLE)
def test_in_a_form_a_value_is_one_field(text: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    operation = Operation(path="/", method="POST", headers=form, body="name={name}&n={id}")
    _, body = parsed(request(operation).render(values("3", text)))
    assert parse_qs(body.decode()) == {"name": [text], "n": ["3"]}


@given(SENDABLE)
def test_in_any_other_body_and_in_a_header_a_value_is_as_it_is(text: str) -> None:
    operation = Operation(
        path="/", method="POST", headers={"Content-Type": "text/plain", "X": "a {name} b"},
        body="hello {name}",
    )  # fmt: skip
    data = request(operation).render(values("3", text))
    head, _, body = data.partition(b"\r\n\r\n")
    assert body == b"hello " + text.encode()
    assert b"\r\nX: a " + text.encode() + b" b\r\n" in head + b"\r\n"
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head + b"\r\n"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/orders/17?x=1", "/orders/17?x=1"),
        ("https://shop.test:8443/orders/17?x=1", "/orders/17?x=1"),
        ("//shop.test/orders", "/orders"),
        ("orders", "/orders"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/x HTTP/1.1", "/x%20HTTP/1.1"),
    ],
)
def test_a_path_may_be_a_value_as_a_whole(location: str, target: str) -> None:
    head, _ = parsed(request(Operation(path="{id}")).render(values(location)))
    assert head.target.decode() == target
    more, _ = parsed(request(Operation(path="{id}/lines/{name}")).render(values("/o", "a/b")))
    assert more.target.decode() == "/o/lines/a%2Fb"


@given(ANY)
def test_whatever_a_whole_path_is_the_request_stays_one_line(text: str) -> None:
    data = request(Operation(path="{id}")).render(values(text))
    assert data.partition(b"\r\n")[0].count(b" ") == 2
    assert data.startswith(b"GET /")


def test_what_has_no_name_here_is_left_as_it_is() -> None:
    data = request(Operation(path="/", body="{other} {id}", method="POST")).render(values())
    assert data.endswith(b"{other} 17")


def test_basic_authentication_is_what_rfc_7617_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SECRET_SHOP", "p%d{id}:ü")
    said = {"basic": {"user": "ann", "password_from": "SHOP"}}
    operation = with_secrets(Operation.model_validate({"path": "/", "auth": said}))
    scheme, _, text = head_of(operation, values())["authorization"].partition(" ")
    assert (scheme, b64decode(text).decode()) == ("Basic", "ann:p%d{id}:ü")


def test_each_user_of_a_file_can_sign_in() -> None:
    said = {"basic": {"user": "{name}", "password": "{id}"}}
    operation = with_secrets(Operation.model_validate({"path": "/", "auth": said}))
    for name in ("ann", "bob"):
        text = head_of(operation, values("pw", name))["authorization"].removeprefix("Basic ")
        assert b64decode(text).decode() == f"{name}:pw"


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({"token_from": "API"}, "Bearer s{id}%"),
        ({"token_from": "HARNESS_SECRET_API"}, "Bearer s{id}%"),
        ({"token": "{id}"}, "Bearer 17"),
    ],
)
def test_a_bearer_token_is_sent(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], sent: str
) -> None:
    monkeypatch.setenv("HARNESS_SECRET_API", "s{id}%")
    operation = Operation.model_validate({"path": "/", "auth": {"bearer": said}})
    assert head_of(with_secrets(operation), values())["authorization"] == sent


def test_cookies_are_sent_by_a_walk_alone_and_not_over_the_operations_own() -> None:
    line = b"Cookie: a=1\r\n"
    plain, own = Operation(path="/"), Operation(path="/", headers={"cookie": "mine=1"})
    assert line in request(plain, is_walked=True).render(values(cookies=line))
    assert line not in request(plain).render(values(cookies=line))
    sent = request(own, is_walked=True).render(values(cookies=line))
    assert line not in sent
    assert b"cookie: mine=1\r\n" in sent
