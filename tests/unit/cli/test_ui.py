"""The page has a port of its own, and says where the load is sent when that changes."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest
from typing_extensions import override

from harness.cli.ui_command import free_port, teller
from harness.errors import EngineError, TargetError
from harness.load.entry_follower import EntryFollower
from harness.model.observation import Observation


class Follower(EntryFollower):
    """Reports what it is given, or fails with it."""

    def __init__(self, *seen: Mapping[str, object] | EngineError | None) -> None:
        self._left = list(seen)

    @override
    def observe(self) -> Observation:
        seen = self._left.pop(0)
        if isinstance(seen, EngineError):
            raise seen
        return Observation("entry", 1.0, ok=True, events=(seen,) if seen else ())


def answer(region: str) -> dict[str, object]:
    return {"event": "dns.answer", "place": "eu", "region": region}


def test_each_change_is_said_once() -> None:
    moved: Mapping[str, object] = {
        "event": "load.entry",
        "entry": "shop",
        "to": ["127.0.0.1:8080", "nowhere"],
    }
    failed: Mapping[str, object] = {"event": "dns.failed", "place": "us", "error": "no answer"}
    away = EngineError("Docker does not answer")
    said: list[str] = []
    look = teller(
        [
            Follower(answer("eu"), None, answer("eu"), answer("ap"), answer("eu")),
            Follower(moved, away, away, None, moved),
            Follower(*[failed] * 5),
        ],
        said.append,
    )
    looks = []
    for _ in range(5):
        look()
        looks.append(list(said))
        said.clear()
    shop = "shop: load is sent to 127.0.0.1:8080, nowhere"
    assert looks == [
        ["eu: users are sent to region eu", shop, "us: no answer"],
        ["Docker does not answer"],
        [],
        ["eu: users are sent to region ap"],
        ["eu: users are sent to region eu", shop],
    ]


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TargetError, match=f"port {port} is taken by process ") as caught:
            free_port(port)
    assert "harness ui --port N" in caught.value.hint
    assert free_port(port) == port
