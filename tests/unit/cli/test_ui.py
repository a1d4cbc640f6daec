"""While the page is open, where the load is sent is said once, and again when it changes."""

from __future__ import annotations

from harness.cli.ui_command import teller
from harness.errors import EngineError
from harness.load.entry_follower import EntryFollower
from harness.model.observation import Observation


class Follower(EntryFollower):
    """Reports what it is given, or fails with it."""

    def __init__(self, *seen: dict[str, object] | EngineError | None) -> None:
        self._left = list(seen)

    def observe(self) -> Observation:
        seen = self._left.pop(0)
        if isinstance(seen, EngineError):
            raise seen
        return Observation("entry", 1.0, ok=True, events=(seen,) if seen else ())


def answer(region: str) -> dict[str, object]:
    return {"event": "dns.answer", "place": "eu", "region": region}


def test_each_change_is_said_once() -> None:
    moved = {"event": "load.entry", "entry": "shop", "to": ["127.0.0.1:8080", "nowhere"]}
    away = EngineError("Docker does not answer")
    said: list[str] = []
    look = teller(
        [
            Follower(answer("eu"), None, answer("eu"), answer("ap"), answer("eu")),
            Follower(moved, away, away, None, moved),
            Follower(*[{"event": "dns.failed", "place": "us", "error": "no answer"}] * 5),
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
