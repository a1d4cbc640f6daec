"""A single request is sent and judged as the load would; nothing hangs, nothing is repeated."""

from __future__ import annotations

import socket

import pytest
from answering import answering

from harness.errors import LoadError
from harness.load.once import Once
from harness.model.load import Keys, Load, Operation

LOAD = Load(rate_per_s=1, mix={"x": 1}, keys=Keys(format="k{index}"), timeout_s=2)


def once(operation: Operation, load: Load = LOAD, **others: Operation) -> Once:
    return Once(load, {"x": operation, **others}, "t")


def test_a_right_answer_is_a_success_and_is_kept() -> None:
    with answering(lambda *_: (200, b"hello", {})) as server:
        got = once(Operation(path="/items/{key}?t={token}")).send("x", server.address)
    assert server.seen == ["GET /items/k0?t=t-o0"]
    assert (got.line, got.error, got.status, got.body) == (server.seen[0], "", 200, b"hello")
    assert 0 < got.took_s < 2


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (Operation(path="/", status=(204,)), "wrong_status"),
        (Operation(path="/", body_contains="world"), "wrong_content"),
        (Operation(path="/", location="/there"), "wrong_content"),
        (Operation(path="/", limit_s=0.0), "too_slow"),
        (Operation(path="/", body_contains="hell"), ""),
    ],
)
def test_it_is_judged_as_the_load_judges(operation: Operation, error: str) -> None:
    with answering(lambda *_: (200, b"hello", {})) as server:
        assert once(operation).send("x", server.address).error == error


def test_a_body_is_sent_and_each_request_has_a_token_of_its_own() -> None:
    write = Operation(method="POST", path="/", body='{"n": "{token}"}', is_write=True)
    with answering(lambda *_: (200, b"", {})) as server:
        sender = once(write)
        sender.send("x", server.address)
        first = server.bodies["POST /"]
        sender.send("x", server.address)
    assert (first, server.bodies["POST /"]) == (b'{"n": "t-o0"}', b'{"n": "t-o1"}')


def test_what_a_write_returned_is_what_its_reader_asks_for() -> None:
    write = Operation(method="POST", path="/", returns='"id": "(.+?)"', is_write=True)
    read = Operation(path="/{returned}/{written}", reads="x")
    with answering(lambda *_: (200, b'{"id": "a7"}', {})) as server:
        sender = once(write, read=read)
        sender.send("x", server.address)
        kept = sender.send("x", server.address).kept
        sender.send("read", server.address, kept)
    assert kept == (1, b"a7")
    assert server.seen[-1] == "GET /a7/t-o1"


def test_a_port_where_nobody_listens_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", free.getsockname()[1])
        got = once(Operation(path="/")).send("x", address)
    assert (got.error, got.status, got.body) == ("refused", 0, b"")


def test_a_server_that_says_nothing_costs_the_time_limit_and_no_more() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        short = LOAD.model_copy(update={"timeout_s": 0.05})
        got = once(Operation(path="/"), short).send("x", silent.getsockname())
    assert got.error == "timeout"
    assert 0.05 <= got.took_s < 1


def test_no_other_address_than_the_load_may_go_to() -> None:
    with pytest.raises(LoadError, match=r"192\.0\.2\.1"):
        once(Operation(path="/")).send("x", ("192.0.2.1", 80))


def test_a_secret_is_sent_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SECRET_KEY", "swordfish")
    with answering(lambda *_: (200, b"", {})) as server:
        got = once(Operation(path="/?key={secret:KEY}")).send("x", server.address)
    assert server.seen == ["GET /?key=swordfish"]
    assert got.line == "GET /?key=***"
