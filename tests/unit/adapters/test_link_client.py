"""Where the client of the links goes: to Toxiproxy's own addresses, and to nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from fakes import FakeHttp, container

from harness.adapters import link_client
from harness.adapters.link_client import SocketLinkClient
from harness.faults.base import Seen
from harness.model.container import Container
from harness.model.http import Answer

PROXIES = {
    "a.any": {"listen": "[::]:22301"},
    "a.old": {"listen": "0.0.0.0:22302"},
    "a.own": {"listen": "10.0.0.160:22303"},
    "a.inside": {"listen": "127.0.0.1:22304"},
    "a.named": {"listen": "somewhere.test:22305"},
}
TOXIPROXY = container(
    "toxiproxy", "toxiproxy", labels={"harness.toxiproxy": "8474"}, ports={8474: 18474},
    addresses=("10.0.0.160", "10.0.1.160"),
)  # fmt: skip


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every address that was connected to; all refuse."""
    addresses: list[tuple[str, int]] = []

    def see(address: tuple[str, int], *_: Any) -> Seen:
        addresses.append(address)
        return Seen("refused")

    monkeypatch.setattr(link_client, "_see", see)
    return addresses


def _client(*containers: Container, proxies: Any = PROXIES) -> SocketLinkClient:
    http = FakeHttp({"http://127.0.0.1:18474/proxies": Answer(200, json.dumps(proxies).encode())})
    listed: Sequence[Container] = containers
    return SocketLinkClient(http, lambda: listed)


@pytest.mark.parametrize(
    ("link", "addresses"),
    [
        ("a.any", [("10.0.0.160", 22301), ("10.0.1.160", 22301)]),
        ("a.old", [("10.0.0.160", 22302), ("10.0.1.160", 22302)]),
        ("a.own", [("10.0.0.160", 22303)]),
        ("a.inside", []),  # of the container's own loopback, not of this machine's
        ("a.named", []),
        ("no.such", []),
    ],
)
def test_only_addresses_that_the_engine_gave_to_toxiproxy_are_tried(
    tried: list[tuple[str, int]], link: str, addresses: list[tuple[str, int]]
) -> None:
    assert _client(container("app-1"), TOXIPROXY).meet([link], asks=True) == {}
    assert tried == addresses


def test_what_refuses_while_it_is_whole_is_not_met(tried: list[tuple[str, int]]) -> None:
    client = _client(TOXIPROXY)
    client.meet(["a.own"], asks=False)
    assert client.look(["a.own"], 1.0) == {}
    assert len(tried) == 1


def test_without_a_toxiproxy_that_answers_no_link_is_met(tried: list[tuple[str, int]]) -> None:
    assert _client(container("app-1")).meet(["a.any"], asks=True) == {}
    silent = SocketLinkClient(FakeHttp(), lambda: [TOXIPROXY])
    assert silent.meet(["a.any"], asks=True) == {}
    assert tried == []


def test_the_links_of_every_toxiproxy_are_found(tried: list[tuple[str, int]]) -> None:
    second = container(
        "proxy-2", labels={"harness.toxiproxy": "8474"}, ports={8474: 18475},
        addresses=("10.0.0.161",),
    )  # fmt: skip
    listed = {"18474": {"a": {"listen": "[::]:1"}}, "18475": {"b": {"listen": "[::]:2"}}}
    http = FakeHttp(
        {
            f"http://127.0.0.1:{port}/proxies": Answer(200, json.dumps(proxies).encode())
            for port, proxies in listed.items()
        }
    )
    SocketLinkClient(http, lambda: [TOXIPROXY, second]).meet(["a", "b"], asks=False)
    assert sorted(tried) == [("10.0.0.160", 1), ("10.0.0.161", 2), ("10.0.1.160", 1)]
