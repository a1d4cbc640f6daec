"""A name server is asked for users of one network, and every answer of no use says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import dns.rcode
import pytest
from dns_server import NAME, DnsServer, dns_server

from harness.adapters import name_server
from harness.adapters.name_server import NameServer
from harness.errors import TargetError
from harness.model.geography import Dns, DnsAnswer

EU, US = "192.0.2.64/26", "192.0.2.0/26"


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with dns_server({EU: ["127.0.2.1"], US: ["127.0.1.1", "127.0.2.1"]}) as made:
        yield made


def asked(server: DnsServer, network: str = EU) -> DnsAnswer:
    return NameServer(Dns(server=f"127.0.0.1:{server.port}", name=NAME)).ask(network)


def test_the_answer_is_that_for_the_network_of_the_users(server: DnsServer) -> None:
    assert asked(server) == DnsAnswer(("127.0.2.1",), 5.0)
    assert set(asked(server, US).addresses) == {"127.0.1.1", "127.0.2.1"}
    assert server.asked == [EU, US]


def test_an_alias_is_followed_and_the_shortest_life_counts(server: DnsServer) -> None:
    server.has_alias = True
    assert asked(server) == DnsAnswer(("127.0.2.1",), 2.0)


def test_an_answer_that_is_too_long_for_udp_is_asked_for_by_tcp(server: DnsServer) -> None:
    server.is_cut = True
    assert asked(server) == DnsAnswer(("127.0.2.1",), 5.0)
    assert server.asked == [EU, EU]


@pytest.mark.parametrize(
    ("network", "state", "wrong"),
    [
        (EU, {"silent": True}, "gave no answer within 0.2 s"),
        ("198.51.100.0/24", {"rcode": dns.rcode.NXDOMAIN}, "answered NXDOMAIN"),
        ("198.51.100.0/24", {"rcode": dns.rcode.SERVFAIL}, "answered SERVFAIL"),
        ("198.51.100.0/24", {}, "answered without an address"),
    ],
)
def test_why_an_answer_is_of_no_use(
    server: DnsServer,
    monkeypatch: pytest.MonkeyPatch,
    network: str,
    state: dict[str, Any],
    wrong: str,
) -> None:
    monkeypatch.setattr(name_server, "ANSWER_S", 0.2)
    for key, value in state.items():
        setattr(server, key, value)
    where = f"DNS at 127.0.0.1:{server.port}, asked for {NAME},"
    with pytest.raises(TargetError, match=f"^{re.escape(f'{where} {wrong}')}$") as error:
        asked(server, network)
    assert "dns" in error.value.hint


def test_what_is_no_dns_message_is_no_answer(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "answer", lambda data: data[:2] + b"\xff\xff")
    with pytest.raises(TargetError, match="gave no valid answer"):
        asked(server)
