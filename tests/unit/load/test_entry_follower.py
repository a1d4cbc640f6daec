"""Where the entry is published is written down for the engines whenever it has moved."""

from __future__ import annotations

import json
from pathlib import Path

from fakes import FakeClock

from harness.load.engine.moving_entry import MovingEntry
from harness.load.entry_follower import NOWHERE, EntryFollower
from harness.model.http import Address

A, B = ("127.0.0.1", 32768), ("127.0.0.2", 32769)


class Look:
    """Says where each of two containers is published."""

    def __init__(self) -> None:
        self.found: list[Address | None] = [A, B]

    def __call__(self) -> list[Address | None]:
        return self.found


def test_its_life(tmp_path: Path) -> None:
    look, file = Look(), tmp_path / "entry.json"
    follower = EntryFollower(look, file, FakeClock(), "shop")
    engine = MovingEntry(str(file))

    def step(*found: Address | None) -> tuple[list[str] | None, list[Address] | None]:
        """What is recorded, and what an engine reads, if anything is new."""
        look.found = list(found)
        seen = follower.observe()
        assert (seen.ok, seen.probe, seen.at_s) == (True, "entry", 100.0)
        [to] = [event["to"] for event in seen.events] or [None]
        assert all((e["event"], e["entry"]) == ("load.entry", "shop") for e in seen.events)
        return to, engine.moved()

    assert step(A, B) == (["127.0.0.1:32768", "127.0.0.2:32769"], [A, B])
    assert step(A, B) == (None, None)
    assert step(A, None) == (["127.0.0.1:32768", "nowhere"], [A, NOWHERE])
    assert step(None, None) == (["nowhere", "nowhere"], [NOWHERE, NOWHERE])
    moved = ("::1", 32770)
    assert step(A, moved) == (["127.0.0.1:32768", "[::1]:32770"], [A, moved])
    look.found = [moved, moved]
    assert follower.finish().events
    assert json.loads(file.read_text()) == [list(moved), list(moved)]
