"""A server's word on its breakers against what is seen from outside, in hand-made runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plain import plain

from harness.aspects import breakers
from harness.bundled.traffic import OPERATIONS
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load
from harness.record.run import Record

SERVERS = ("app-1", "app-2", "app-3")
FAULT_S, HEALED_S, CLOSED_S, END_S = 30.0, 60.0, 90.0, 150.0
FAULT = {"fault": "down-1", "kind": "down", "start_s": FAULT_S, "healed_s": HEALED_S}
EXPERIMENT = Experiment(
    name="x", title="t", load=Load(rate_per_s=1, mix={"redirect": 1.0}),
    operations=OPERATIONS, phases=(Phase(name="run", start_s=0, end_s=END_S),),
    faults=(), hypothesis=(),
)  # fmt: skip


def honest() -> pd.DataFrame:
    """20 answers a second of each server, in turn out of its memory, Redis and the database, which
    stands in for Redis from just after the fault until the breaker has closed."""
    due_s = np.arange(0, END_S, 1 / 60)
    tiers = np.array(["local", "redis", "db"])[(np.arange(len(due_s)) // 3) % 3]
    is_out = (due_s > FAULT_S) & (due_s < CLOSED_S)
    tiers = np.where(is_out & (tiers == "redis"), "db", tiers)
    took_s = np.select([tiers == "local", tiers == "redis"], [0.002, 0.003], 0.006)
    return pd.DataFrame(
        {
            "served_by": pd.Categorical(np.array(SERVERS)[np.arange(len(due_s)) % 3]),
            "cache": tiers.astype(object), "sent_s": due_s, "done_s": due_s + took_s, "ok": True,
        }
    )  # fmt: skip


def log(server: str) -> list[dict[str, Any]]:
    """Opened 0.2 s after the fault, CLOSED at 90 s; refuses within 0.2 ms."""
    origin = {"server": server, "breaker": "redis"}
    moves = [("CLOSED", "OPEN", FAULT_S + 0.2), ("OPEN", "HALF_OPEN", CLOSED_S - 0.1)]
    moves += [("HALF_OPEN", "CLOSED", CLOSED_S)]
    says = {"fast_fails": 0, "fast_fail_p99_s": None}
    later = {"fast_fails": 5000, "fast_fail_p99_s": 0.0002}
    return [
        {"event": "breaker.state", "t_s": -0.4, **origin, "state": "CLOSED", **says},
        *({"event": "breaker.transition", "t_s": t, **origin, "from": a, "to": b, "failures": 5,
           "probes": 1, "boot": "b"} for a, b, t in moves),
        {"event": "breaker.state", "t_s": END_S, **origin, "state": "CLOSED", **later},
    ]  # fmt: skip


def parts(*extra: dict[str, Any], servers: tuple[str, ...] = SERVERS) -> dict[str, Any]:
    rows = [
        {"service": s, "role": "app", "is_standby": False, "is_running": True,
         "is_instrument": False, "probes": ["breakers"]}
        for s in servers
    ]  # fmt: skip
    return {"event": "target.parts", "t_s": -0.4, "parts": [*rows, *extra]}


def record_of(
    samples: pd.DataFrame | None = None, *events: dict[str, Any], servers: Any = SERVERS
) -> Record:
    every = [parts(), *events, *(e for server in servers for e in log(server))]
    main = honest() if samples is None else samples
    return Record(EXPERIMENT, every, main, main.iloc[:0], [FAULT])


def contradictions(*arguments: Any) -> list[tuple[str, str]]:
    found = figures_of(record_of(*arguments))["contradictions"]
    return [(row["server"], row["what"]) for row in found]


def traffic(t_s: float, link: str = "app-2.redis", received: int = 400) -> dict[str, Any]:
    return {"event": "link.traffic", "t_s": t_s, "link": link, "received": received, "sent": 0}


def test_an_honest_run_has_none() -> None:
    assert contradictions() == []


def liar(change: Callable[[pd.DataFrame, Any], None], server: str = "app-2") -> pd.DataFrame:
    samples = honest()
    change(samples, samples["served_by"] == server)
    return samples


def test_answers_out_of_redis_while_its_breaker_says_open() -> None:
    def change(samples: pd.DataFrame, mine: Any) -> None:
        rows = mine & samples["sent_s"].between(70, 75) & (samples["cache"] == "db")
        samples.loc[rows, "cache"] = "redis"

    assert contradictions(liar(change)) == [
        ("app-2", "it answered out of redis while it said OPEN")
    ]
    (row,) = figures_of(record_of(liar(change)))["contradictions"]
    assert row["evidence"] == "67 answers"
    assert 70 <= row["at_s"] < 70.2
    assert row["breaker"] == "redis"


@pytest.mark.parametrize("around_s", [FAULT_S + 0.2, CLOSED_S - 0.1])
def test_answers_around_a_change_of_state_are_no_contradiction(around_s: float) -> None:
    def change(samples: pd.DataFrame, mine: Any) -> None:
        near = samples["sent_s"].between(around_s - 0.9, around_s + 0.9)
        samples.loc[mine & near, "cache"] = "redis"

    assert contradictions(liar(change)) == []


def test_two_answers_that_hung_are_none_and_three_are_one() -> None:
    def change(count: int) -> Callable[[pd.DataFrame, Any], None]:
        def work(samples: pd.DataFrame, mine: Any) -> None:
            rows = samples.index[mine & samples["sent_s"].between(70, 75)][:count]
            samples.loc[rows, "cache"] = "redis"

        return work

    assert contradictions(liar(change(2))) == []
    assert contradictions(liar(change(3))) == [
        ("app-2", "it answered out of redis while it said OPEN")
    ]


def test_bytes_into_the_link_while_open() -> None:
    asked = [traffic(70.0 + second) for second in range(3)]
    assert contradictions(None, *asked) == [("app-2", "it sent to redis while it said OPEN")]
    assert contradictions(None, *asked[:2]) == []
    assert contradictions(None, *(traffic(70.0 + s, "app-2.db-rw") for s in range(9))) == []
    assert contradictions(None, *(traffic(100.0 + s) for s in range(9))) == []  # CLOSED again
    at_the_change = [traffic(FAULT_S + 0.2 + n / 2) for n in range(4)]
    assert contradictions(None, *at_the_change) == []  # of connections that the cut ended
    after_the_heal = [traffic(HEALED_S + n / 2) for n in range(4)]
    assert contradictions(None, *after_the_heal) == []


def test_bytes_of_connections_that_an_opening_ended() -> None:
    """Whatever a fault does: what hung when the breaker opened ends within 2 s."""
    record = record_of(None, *(traffic(FAULT_S + 0.2 + s) for s in (1.2, 1.5, 1.8)))
    record.faults[:] = [{**FAULT, "start_s": 10.0}]
    assert figures_of(record)["contradictions"] == []


def test_a_stopwatch_that_stops_before_the_call_has_failed() -> None:
    def change(samples: pd.DataFrame, mine: Any) -> None:
        rows = mine & samples["sent_s"].between(FAULT_S, CLOSED_S) & (samples["cache"] == "db")
        samples.loc[rows, "done_s"] += 0.25

    assert contradictions(liar(change)) == [
        ("app-2", "it said that it refuses within 0.2 ms, and took longer")
    ]


def test_a_machine_that_slows_down_everything_is_no_liar() -> None:
    def change(samples: pd.DataFrame, mine: Any) -> None:
        samples.loc[mine & samples["sent_s"].between(FAULT_S, CLOSED_S), "done_s"] += 0.25

    assert contradictions(liar(change)) == []


def test_a_database_that_is_often_slow_is_no_liar() -> None:
    def change(samples: pd.DataFrame, mine: Any) -> None:
        is_db = samples["cache"] == "db"
        rows = samples.index[mine & is_db & samples["sent_s"].between(FAULT_S, CLOSED_S)]
        samples.loc[rows[np.arange(len(rows)) % 5 > 0], "done_s"] += 0.25

    assert contradictions(liar(change)) == []


def test_a_server_that_says_closed_and_asks_redis_no_more() -> None:
    def change(samples: pd.DataFrame, mine: Any) -> None:
        rows = mine & (samples["sent_s"] > FAULT_S) & (samples["cache"] == "redis")
        samples.loc[rows, "cache"] = "db"

    assert contradictions(liar(change)) == [("app-2", "it said CLOSED and asked redis no more")]


def test_a_server_that_does_not_list_its_breaker_is_missing() -> None:
    redis = figures_of(record_of(servers=("app-1", "app-3")))["by_breaker"]["redis"]
    assert redis["expected_servers"] == ["app-1", "app-2", "app-3"]
    assert redis["missing_servers"] == ["app-2"]
    assert not redis["opened_on_all"]
    assert not redis["reopened_on_all"]
    assert not redis["closed_at_end"]
    whole = figures_of(record_of())["by_breaker"]["redis"]
    assert (whole["missing_servers"], whole["opened_on_all"], whole["closed_at_end"]) == (
        [], True, True,
    )  # fmt: skip


def test_who_must_speak_is_like_those_who_do_and_runs() -> None:
    base = {"is_instrument": False, "is_standby": False, "is_running": True, "role": "app"}
    others = [
        {**base, "service": "app-4", "is_standby": True, "probes": ["breakers"]},
        {**base, "service": "app-5", "is_running": False, "probes": ["breakers"]},
        {**base, "service": "app-6", "probes": ["clicks"]},
        {**base, "service": "worker", "role": "worker", "probes": ["breakers"]},
        {**base, "service": "app-7", "probes": ["breakers"]},
    ]
    record = record_of()
    record.events[0] = parts(*others)
    redis = figures_of(record)["by_breaker"]["redis"]
    assert redis["missing_servers"] == ["app-7"]


def test_an_old_run_expects_all_servers_that_speak_of_any_breaker() -> None:
    other = {"event": "breaker.state", "t_s": 0.0, "breaker": "db-rw", "state": "CLOSED"}
    record = record_of(None, {**other, "server": "app-9"})
    record.events.pop(0)
    assert figures_of(record)["by_breaker"]["redis"]["missing_servers"] == ["app-9"]


def test_a_new_process_is_not_held_to_the_word_of_the_old_one() -> None:
    """It answers out of Redis at once; its own log is first read a while later."""

    def change(samples: pd.DataFrame, mine: Any) -> None:
        rows = mine & samples["sent_s"].between(70, 78) & (samples["cache"] == "db")
        samples.loc[rows, "cache"] = "redis"

    renewed = [
        {"event": "container.start", "t_s": 70.0, "service": "app-2"},
        {"event": "clock.offset", "t_s": 78.0, "service": "app-2", "offset_s": 0.0,
         "uncertainty_s": 0.002},
        {"event": "breaker.state", "t_s": 78.0, "server": "app-2", "breaker": "redis",
         "state": "CLOSED"},
    ]  # fmt: skip
    record = record_of(liar(change), *renewed)
    cut_off = [e for e in record.events if e.get("server") != "app-2" or e["t_s"] < 79]
    record.events[:] = cut_off
    assert figures_of(record)["contradictions"] == []


def figures_of(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = plain(breakers.figures(record))
    return found
