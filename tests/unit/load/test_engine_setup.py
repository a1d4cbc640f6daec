"""How many requests the engine lets wait at once."""

from __future__ import annotations

import resource

import pytest

from harness.load import engine_setup
from harness.model.load import Load

HARD = 8_000


@pytest.fixture(autouse=True)
def known_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (HARD, HARD))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)


def _load(rate_per_s: float) -> Load:
    return Load(rate_per_s=rate_per_s, mix={"redirect": 1.0}, timeout_s=5.0, canary_rate_per_s=0)


def test_there_is_room_for_a_time_out_of_arrivals() -> None:
    assert engine_setup.in_flight_limit(_load(100), endpoints=2) >= 100 * 5


def test_no_published_port_is_given_more_connections_than_it_has_descriptors_for() -> None:
    assert engine_setup.in_flight_limit(_load(10_000), endpoints=1) * 6 < HARD
    assert engine_setup.in_flight_limit(_load(10_000), endpoints=2) * 6 < 2 * HARD
