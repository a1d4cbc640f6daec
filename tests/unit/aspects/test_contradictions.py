"""A server's word on its breakers against what is seen from outside, in hand-made runs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
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

held: Any = import_module("harness.aspects.breakers.contradictions")  # a function is called so, too
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
        ("app-2", "it sent answers from redis while it reported OPEN")
    ]
    (row,) = figures_of(record_of(liar(change)))["contradictions"]
    assert row["evidence"] == "67 answers"
    assert 70 <= row["at_s"] < 70.2
    assert 74.8 < row["until_s"] <= 75
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
        ("app-2", "it sent answers from redis while it reported OPEN")
    ]


def test_bytes_into_the_link_while_open() -> None:
    asked = [traffic(70.0 + second) for second in range(3)]
    assert contradictions(None, *asked) == [
        ("app-2", "it sent requests to redis while it reported OPEN")
    ]
    (row,) = figures_of(record_of(None, *asked))["contradictions"]
    assert (row["at_s"], row["until_s"]) == (70.0, 72.0)
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
        ("app-2", "it reported that it fails fast within 0.2 ms, but took longer")
    ]
    (row,) = figures_of(record_of(liar(change)))["contradictions"]
    assert (row["at_s"], row["until_s"]) == pytest.approx((FAULT_S + 1.2, CLOSED_S - 1.1))


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

    assert contradictions(liar(change)) == [
        ("app-2", "it reported CLOSED but no longer used redis")
    ]
    (row,) = figures_of(record_of(liar(change)))["contradictions"]
    assert (row["at_s"], row["until_s"]) == (CLOSED_S, None)


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


S = "app-1"
MOVES = [[0.0, "CLOSED"], [10.0, "OPEN"], [20.0, "HALF_OPEN"], [20.5, "OPEN"], [40.0, "CLOSED"]]


def claim(*renewed_s: float, states: Any = MOVES, refuses_within_s: float | None = 0.25) -> Any:
    return held.Claim(S, "redis", states, refuses_within_s, list(renewed_s))


@pytest.mark.parametrize(
    ("renewed_s", "state", "edge_s", "spans"),
    [
        ([], "OPEN", 1.0, [(11.0, 19.0), (21.5, 39.0)]),
        ([], "OPEN", 0.0, [(10.0, 20.0), (20.5, 40.0)]),
        ([], "CLOSED", 1.0, [(1.0, 9.0), (41.0, np.inf)]),
        ([], "HALF_OPEN", 0.125, [(20.125, 20.375)]),
        ([], "HALF_OPEN", 0.25, []),  # nothing is left of it
        ([30.0, 25.0, 10.0, 5.0], "OPEN", 1.0, [(11.0, 19.0), (21.5, 24.0)]),
        ([99.0], "CLOSED", 1.0, [(1.0, 9.0), (41.0, 98.0)]),
        ([40.0, 40.5], "CLOSED", 1.0, [(1.0, 9.0)]),
    ],
)
def test_a_word_holds_until_the_next_one_and_no_longer_than_the_process(
    renewed_s: list[float], state: str, edge_s: float, spans: list[tuple[float, float]]
) -> None:
    assert claim(*renewed_s).spans(state, edge_s) == spans


def test_a_word_is_looked_at_a_second_from_either_end() -> None:
    assert claim().spans("OPEN") == [(11.0, 19.0), (21.5, 39.0)]


def answers(*rows: tuple[str, float, float]) -> Any:
    """Of (tier, sent, took)."""
    tiers, sent_s, took_s = zip(*rows, strict=True)
    at_s = np.array(sent_s)
    return held.Answers(np.array(tiers, object), at_s, at_s + np.array(took_s))


def what(found: Any) -> list[tuple[float, str, str]]:
    rows = list(found)
    assert all((row.server, row.breaker) == (S, "redis") for row in rows)
    return [(row.at_s, row.what, row.evidence) for row in rows]


@pytest.mark.parametrize(
    ("times_s", "hits"),
    [
        ([11.0, 12.0, 18.5], 3),
        ([12.0, 18.5], 0),
        ([10.75, 12.0, 18.5], 0),  # sent too near the change
        ([12.0, 18.5, 18.75], 0),  # answered too near the next
        ([30.0, 12.0, 38.0, 22.0], 4),
        ([0.5, 5.0, 20.25, 45.0], 0),
    ],
)
def test_an_answer_counts_that_lies_wholly_in_the_time_it_says_open(
    times_s: list[float], hits: int
) -> None:
    """Each took half a second; those of another tier do not count."""
    mine = [(tier, at_s, 0.5) for at_s in times_s for tier in ("local", "redis")]
    found = what(held._answered_while_open(claim(), answers(*mine)))
    said = "it sent answers from redis while it reported OPEN"
    assert found == ([(min(times_s), said, f"{hits} answers")] if hits else [])


def looks_at(*looks: tuple[float, int | None], link: str = "app-1.redis") -> list[dict[str, Any]]:
    return [
        {"event": "link.traffic", "t_s": at_s, "link": link, "received": received}
        for at_s, received in looks
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("looks", "faults", "expected"),
    [
        ([(12.0, 1), (13.0, 2), (19.0, 1000)], [], (12.0, "1,003 bytes in 3 polls")),
        ([(11.9, 9), (13.0, 2), (19.0, 3)], [], None),  # of what the opening ended
        ([(12.0, 9), (13.0, 2), (19.1, 3)], [], None),
        ([(12.0, 9), (13.0, 2), (15.0, 0), (16.0, None)], [], None),
        ([(22.5, 9), (13.0, 2), (39.0, 3), (38.0, 0)], [], (13.0, "14 bytes in 3 polls")),
        ([(13.0, 1), (14.0, 2), (15.0, 3)], [(13.5, 14.5)], None),
        ([(13.0, 1), (14.0, 2), (15.0, 3)], [(13.0, None)], None),
        ([(13.0, 1), (14.0, 2), (15.0, 3)], [(12.75, 40.0)], None),
        ([(13.0, 1), (14.0, 2), (15.0, 3)], [(15.5, None), (None, None), (9.0, 10.9)],
         (13.0, "6 bytes in 3 polls")),
        ([(13.0, 1), (14.0, 2), (15.0, 3)], [(None, 11.0)], None),
        ([(13.0, 1), (14.0, 2), (15.0, 3)], [(15.0, None)], None),
        ([(13.0, 1), (14.0, 2), (15.0, 3)], [(14.75, None)], None),
    ],
)  # fmt: skip
def test_bytes_count_that_no_change_and_no_fault_explains(
    looks: Any, faults: Any, expected: tuple[float, str] | None
) -> None:
    """A fault begins or is healed up to 2 s before a look: its connections may have ended then."""
    rows = [{"start_s": start_s, "healed_s": healed_s} for start_s, healed_s in faults]
    events = [
        *looks_at(*looks),
        *looks_at(*looks, link="app-1.db"),
        *looks_at(*looks, link="app-11.redis"),
    ]
    record = Record(EXPERIMENT, events, pd.DataFrame(), pd.DataFrame(), rows)
    found = what(held._bytes_while_open(claim(), record))
    said = "it sent requests to redis while it reported OPEN"
    assert found == ([(expected[0], said, f"{expected[1]} of app-1.redis")] if expected else [])


def timed(
    before_s: float,
    now_s: float,
    local_s: float = 0.0,
    *,
    count: int = 100,
    local_count: int = 100,
    quick: int = 0,
    uneven_s: float = 0.0,
    late_count: int = 0,
) -> Any:
    """Answers of the database and out of memory, before the fault at 10 s and while OPEN.

    `uneven_s`: by how much half of those before, and of those out of memory then, took longer.
    """
    rows = []
    for number in range(count):
        at_s, is_slow = number / 128, number >= 50
        rows += [("db", 1 + at_s, 1 + before_s + is_slow * uneven_s)]
        rows += [("db", 25 + at_s, 1 + (before_s if number < quick else now_s))]
        rows += [("redis", 25 + at_s, 9.0), ("db", 9.5 + at_s, 9.0), ("db", 38.5 + at_s, 9.0)]
    for number in range(min(count, local_count)):
        at_s, is_slow = number / 128, number >= 50
        rows += [("local", 1 + at_s, 1.0), ("local", 25 + at_s, 1 + local_s + is_slow * uneven_s)]
    late = [(tier, 8.5, 1.5) for tier in ("db", "local")]  # answered as the fault begins
    late += [("db", 25.0, 1 + now_s), ("local", 25.0, 1.0)]
    return answers(*rows, *(late * late_count))


@pytest.mark.parametrize(
    ("mine", "refuses_within_s", "expected"),
    [
        (timed(0.0, 0.5), 0.25, "500 ms"),
        (timed(0.25, 0.75), 0.25, "500 ms"),
        (timed(0.5, 0.75), 0.25, None),
        (timed(0.0, 0.296875), 0.25, None),
        (timed(0.0, 0.3125), 0.25, "312 ms"),
        (timed(0.0, 0.5), 0.5, None),
        (timed(0.0, 0.5), None, None),
        (timed(0.0, 0.5, local_s=0.5), 0.25, None),
        (timed(0.0, 0.5, local_s=0.125), 0.25, "375 ms"),
        (timed(0.0, 0.5, count=99), 0.25, None),
        (timed(0.0, 0.5, quick=8), 0.25, "500 ms"),
        (timed(0.0, 0.5, quick=10), 0.25, "450 ms"),
        (timed(0.0, 0.5, quick=12), 0.25, None),
        (timed(0.0, 0.5), 0.45, None),
        (timed(0.0, 0.5), 0.4375, "500 ms"),
        (timed(0.0, 0.5, local_count=99), 0.25, None),
        (timed(0.0, 0.5, count=99, late_count=1), 0.25, None),
        (timed(0.0, 1.0, uneven_s=0.25), 0.25, "750 ms"),
    ],
)
def test_refusing_is_as_quick_as_it_says_if_nine_in_ten_answers_are_not_that_slow(
    mine: Any, refuses_within_s: float | None, expected: str | None
) -> None:
    found = what(held._slower_than_said(claim(refuses_within_s=refuses_within_s), mine, 10.0))
    if expected is None:
        assert found == []
        return
    said_ms = (refuses_within_s or 0) * 1e3
    said = f"it reported that it fails fast within {said_ms:.1f} ms, but took longer"
    text = f"its answers from the next tier took {expected} longer than before"
    assert found == [(11.0, said, text)]


def test_a_breaker_that_was_not_open_for_long_refuses_nobody_slowly() -> None:
    shut = [[0.0, "CLOSED"], [10.0, "OPEN"], [11.0, "HALF_OPEN"], [11.5, "CLOSED"]]
    assert what(held._slower_than_said(claim(states=shut), timed(0.0, 0.5), 10.0)) == []


def test_half_of_the_answers_before_were_quicker_than_the_middle_one() -> None:
    """The median of those before, not the quickest tenth; the same of those out of memory."""
    slow = [("db", 5 + n / 100, 1.5) for n in range(60)]
    mine = timed(0.0, 0.5, count=100)
    extra = answers(*slow, *slow[:45])
    both = held.Answers(
        *(np.concatenate([getattr(mine, f), getattr(extra, f)]) for f in held.Answers.__slots__)
    )
    assert what(held._slower_than_said(claim(), both, 10.0)) == []


@pytest.mark.parametrize(
    ("before", "after", "opened_s", "expected"),
    [
        (("redis", "db"), 120, 10.0,
         "none of 120 answers came from there; 50% did before it opened"),
        (("redis", "db"), 119, 10.0, None),
        (("redis", "db", "db", "db"), 240, 10.0,
         "none of 240 answers came from there; 25% did before it opened"),
        (("db",), 500, 10.0, None),
        (("redis",), 60, 10.0,
         "none of 60 answers came from there; 100% did before it opened"),
        (("redis",), 60, 1.0, None),
    ],
)  # fmt: skip
def test_a_tier_that_answers_no_more_is_missed_if_60_answers_were_expected(
    before: tuple[str, ...], after: int, opened_s: float, expected: str | None
) -> None:
    """Answers before it first opened, less a second, and from 5 s after it closed."""
    rows = [(tier, 1.0 + n / 8, 0.001) for n, tier in enumerate(before)]
    near = [("redis", 9.0, 0.001), ("redis", 30.0, 0.001), ("redis", 45.0, 0.001)]
    later = [("db", 46.0 + n / 8, 0.001) for n in range(after)]
    states = [[0.0, "CLOSED"], [opened_s, "OPEN"], *MOVES[2:]]
    found = what(held._nothing_since_closed(claim(states=states), answers(*near, *rows, *later)))
    said = "it reported CLOSED but no longer used redis"
    assert found == ([(40.0, said, expected)] if expected else [])


@pytest.mark.parametrize(
    "states",
    [[[0.0, "CLOSED"], [40.0, "CLOSED"]], MOVES[:4], [*MOVES, [41.0, "OPEN"]], [*MOVES[:3]]],
)
def test_only_one_that_opened_and_closed_can_be_missed(states: Any) -> None:
    rows = [("redis", 1.0, 0.001), *(("db", 50.0 + n, 0.001) for n in range(100))]
    assert what(held._nothing_since_closed(claim(states=states), answers(*rows))) == []
    assert what(held._nothing_since_closed(claim(), answers(*rows))) != []
    back = [*rows, ("redis", 99.0, 0.001)]
    assert what(held._nothing_since_closed(claim(), answers(*back))) == []


def test_what_a_server_answered_is_taken_from_both_streams_where_it_says_the_tier() -> None:
    rows = pd.DataFrame(
        {
            "served_by": ["app-1", "app-2", "app-1", "app-1", "app-1"],
            "cache": ["db", "db", "", "redis", "local"], "sent_s": [1.0, 2.0, 3.0, 4.0, 5.0],
            "done_s": [1.5, 2.5, 3.5, 4.5, 5.5], "ok": [True, True, True, False, True],
        }
    )  # fmt: skip
    found = held._answers(Record(EXPERIMENT, [], rows.iloc[:3], rows.iloc[3:]), "app-1")
    columns = (found.cache.tolist(), found.sent_s.tolist(), found.done_s.tolist())
    assert columns == (["db", "local"], [1.0, 5.0], [1.5, 5.5])
    bare = Record(EXPERIMENT, [], rows.drop(columns="ok"), pd.DataFrame())
    assert held._answers(bare, "app-1").cache.shape == (0,)


def test_a_container_that_ends_or_begins_has_another_process() -> None:
    names = ("container.die", "container.start", "container.pause")
    events = [
        {"event": name, "t_s": at_s, "service": service}
        for at_s, name in enumerate(names) for service in ("app-1", "app-2")
    ]  # fmt: skip
    record = Record(EXPERIMENT, events, pd.DataFrame(), pd.DataFrame())
    assert held._renewals(record, "app-1") == [0.0, 1.0]


def test_one_that_opened_and_stays_open_is_held_to_its_word_whatever_its_name() -> None:
    events = looks_at((13.0, 1), (14.0, 2), (15.0, 3), link="app-1.a/b")
    record = Record(EXPERIMENT, events, pd.DataFrame(), pd.DataFrame(), [])
    (found,) = held.contradictions(record, {"app-1/a/b": MOVES[:2]}, {})
    assert (found.server, found.breaker, found.at_s) == ("app-1", "a/b", 13.0)


def test_all_that_contradicts_several_servers_is_in_order_of_time() -> None:
    """The canary counts as well as the main load; wrong answers and those of no tier do not."""

    def change(samples: pd.DataFrame, mine: Any) -> None:
        rows = samples["sent_s"].between(70, 75) & (samples["cache"] == "db")
        samples.loc[rows & mine, "cache"] = "redis"
        samples.loc[rows & (samples["served_by"] == "app-3"), ["cache", "ok"]] = ["redis", False]

    record = record_of(liar(change), *(traffic(70.0 + n, "app-1.redis") for n in range(3)))
    canary = record.main[record.main["served_by"] == "app-2"]
    split = Record(EXPERIMENT, record.events, record.main.iloc[:0], canary, record.faults)
    assert [(r["at_s"] // 1, r["server"]) for r in figures_of(record)["contradictions"]] == [
        (70, "app-1"), (70, "app-2"),
    ]  # fmt: skip
    assert [r["server"] for r in figures_of(split)["contradictions"]] == ["app-1", "app-2"]
    bare = Record(EXPERIMENT, record.events, canary.drop(columns="cache"), canary[:0], [FAULT])
    assert [r["server"] for r in figures_of(bare)["contradictions"]] == ["app-1"]


def test_without_a_fault_nothing_can_be_slower_than_before() -> None:
    def change(samples: pd.DataFrame, mine: Any) -> None:
        rows = mine & samples["sent_s"].between(FAULT_S, CLOSED_S) & (samples["cache"] == "db")
        samples.loc[rows, "done_s"] += 0.25

    record = record_of(liar(change))
    assert len(figures_of(record)["contradictions"]) == 1
    record.faults.insert(0, {**FAULT, "start_s": 70.0, "healed_s": None})
    assert len(figures_of(record)["contradictions"]) == 1  # the first of two counts
    record.faults.clear()
    assert figures_of(record)["contradictions"] == []


def test_all_links_and_breakers_of_a_server_are_looked_at() -> None:
    """The first of them never changes, and says nothing that could be contradicted."""
    record = record_of(None, *(traffic(70.0 + n) for n in range(3)))
    always = {"event": "breaker.state", "t_s": -0.4, "server": "app-1", "breaker": "a"}
    record.events.append({**always, "state": "OPEN"})
    record.events.extend(traffic(70.0 + n, "app-1.a") for n in range(9))
    assert [row["server"] for row in figures_of(record)["contradictions"]] == ["app-2"]


def figures_of(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = plain(breakers.figures(record))
    return found
