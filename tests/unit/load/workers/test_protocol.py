"""Workers of one load draw the same arrivals, or one of them is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.load.engine import schedule
from harness.load.workers import protocol as module
from harness.load.workers.protocol import VERSION, protocol


def test_who_draws_the_same_says_the_same() -> None:
    said = protocol()
    protocol.cache_clear()
    assert protocol() == said
    assert said.startswith(f"{VERSION} ")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("unit_gaps", lambda kind, _: schedule.unit_gaps(kind, 9)),
        ("by_weight", lambda weights, _: schedule.by_weight(weights, 9)),
        ("zipf_keys", lambda n, exponent, _: schedule.zipf_keys(n, exponent, 9)),
    ],
)
def test_who_draws_anything_else_says_something_else(
    monkeypatch: pytest.MonkeyPatch, name: str, other: Callable[..., Any]
) -> None:
    said = protocol()
    monkeypatch.setattr(module, name, other)
    protocol.cache_clear()
    try:
        assert protocol() != said
    finally:
        protocol.cache_clear()
