"""What an engine is made of: its requests, and how many of them may wait at once."""

from __future__ import annotations

import resource

import pytest

from harness.bundled.traffic import OPERATIONS
from harness.load.engine import setup
from harness.load.engine.config import EngineConfig
from harness.load.engine.response import Heads, Response
from harness.model.load import Load

HARD = 8_000


@pytest.fixture(autouse=True)
def known_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (HARD, HARD))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)


def _load(rate_per_s: float) -> Load:
    return Load(rate_per_s=rate_per_s, mix={"redirect": 1.0}, timeout_s=5.0, canary_rate_per_s=0)


def test_there_is_room_for_a_time_out_of_arrivals() -> None:
    assert setup.in_flight_limit(_load(100), endpoints=2) >= 100 * 5


def test_no_published_port_is_given_more_connections_than_it_has_descriptors_for() -> None:
    assert setup.in_flight_limit(_load(10_000), endpoints=1) * 6 < HARD
    assert setup.in_flight_limit(_load(10_000), endpoints=2) * 6 < 2 * HARD


def test_workers_together_are_given_no_more_connections_than_one_alone() -> None:
    alone = setup.in_flight_limit(_load(10_000), endpoints=1)
    assert [4 * setup.in_flight_limit(_load(10_000), 1, workers=4)] == [alone]
    assert setup.in_flight_limit(_load(100), 1, workers=4) == 1.2 * 25 * 5 + 100


@pytest.mark.parametrize(
    ("mix", "wrong"), [(["create"], ""), (["create", "follow"], "wrong_content")]
)
def test_an_answer_must_return_something_only_if_somebody_asks_for_it(
    mix: list[str], wrong: str
) -> None:
    load = Load(rate_per_s=1, mix=dict.fromkeys(mix, 1.0))
    config = EngineConfig(
        stream="main", run_id="r", seed=1, endpoints=[("127.0.0.1", 80)], load={},
        operations={name: OPERATIONS[name].model_dump(mode="json") for name in mix},
        mix=dict(load.mix), samples="",
    )  # fmt: skip
    create, *_ = setup.make_requests(config, load)
    created = Response(Heads())
    created.feed(b"HTTP/1.1 201 X\r\nContent-Length: 28\r\n\r\nhttps://example.com/new/r-m5")
    assert create.error_of(created, (5, 5, 0, b""), 0.1) == wrong


def test_what_is_read_back_by_what_it_returned_is_always_asked_for() -> None:
    operation = OPERATIONS["create"].model_copy(update={"writes": "returned"})
    load = Load(rate_per_s=1, mix={"create": 1.0})
    config = EngineConfig(
        stream="main", run_id="r", seed=1, endpoints=[("127.0.0.1", 80)], load={},
        operations={"create": operation.model_dump(mode="json")}, mix=dict(load.mix), samples="",
    )  # fmt: skip
    [create] = setup.make_requests(config, load)
    assert create.token_in(b'"code": "abc"') == "abc"
