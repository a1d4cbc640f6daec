"""Several Toxiproxies are one to a fault: each call goes to the one whose link it is."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeHttp, FakeLinks, container

from harness.adapters import tools as tools_module
from harness.adapters.tools import tools_of
from harness.adapters.toxiproxy_links import AllLinks
from harness.errors import TargetError
from harness.faults.base import LinkState

TOXIC = {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": 9}}


def _both() -> tuple[FakeLinks, FakeLinks, AllLinks]:
    first, second = (FakeLinks(Cut(), {f"{name}.x": True, f"{name}.y": True}) for name in "ab")
    return first, second, AllLinks([first, second])


def test_all_of_them_are_listed() -> None:
    _, second, links = _both()
    second.enabled["b.x"] = False
    assert links.names() == ["a.x", "a.y", "b.x", "b.y"]
    assert {name: state.is_enabled for name, state in links.states().items()} == {
        "a.x": True, "a.y": True, "b.x": False, "b.y": True,
    }  # fmt: skip
    assert links.states()["a.x"] == LinkState(is_enabled=True, toxics={})


@pytest.mark.parametrize("link", ["a.y", "b.x"])
def test_a_link_is_broken_where_it_is_and_nowhere_else(link: str) -> None:
    first, second, links = _both()
    mine, other = (first, second) if link.startswith("a") else (second, first)
    links.set_enabled(link, enabled=False)
    assert not links.is_enabled(link)
    assert mine.enabled[link] is False
    assert all(other.enabled.values())
    links.set_enabled(link, enabled=True)
    assert mine.enabled[link] is True
    links.add_toxic(link, "slow", TOXIC)
    assert links.toxics(link) == mine.suffering[link] == {"slow": TOXIC}
    assert other.suffering == {}
    links.remove_toxic(link, "slow")
    assert links.toxics(link) == {}


def test_a_link_that_is_nobodys_is_an_error_of_theirs() -> None:
    with pytest.raises(TargetError, match="no link c"):
        _both()[2].add_toxic("c", "slow", TOXIC)


@dataclass
class _Api:
    port: int
    host: str

    def names(self) -> list[str]:
        return [f"{self.host}:{self.port}"]


@pytest.mark.parametrize(
    ("ports", "asked"),
    [
        ([{8474: 1}, {8474: 2}], ["127.0.0.1:1", "127.0.0.1:2"]),
        ([{8474: 1}, {}], ["127.0.0.1:1"]),
        ([], ["127.0.0.1:0"]),
    ],
)
def test_every_published_api_is_asked(
    monkeypatch: pytest.MonkeyPatch, ports: list[dict[int, int]], asked: list[str]
) -> None:
    monkeypatch.setattr(tools_module, "ToxiproxyLinks", _Api)
    label = {"harness.toxiproxy": "8474"}
    listed = [container(f"p-{n}", labels=label, ports=one) for n, one in enumerate(ports)]
    engine: Any = SimpleNamespace(containers=lambda: [container("web"), *listed])
    clock: Any = FakeClock()
    http: Any = FakeHttp()
    assert tools_of(engine, clock, http).links.names() == asked
