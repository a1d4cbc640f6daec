"""The master's side: who takes part, on whose clock, and whose share is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from played_workers import KEY, Played, batch, part, tokens, traced

from harness.load.engine.config import Entry
from harness.load.workers import (
    BATCH,
    BEGIN,
    DRAIN,
    DRAINED,
    END,
    GONE,
    HELLO,
    PART,
    PING,
    PLAN,
    PONG,
    READY,
    TOKENS,
    TRACED,
    UNABLE,
)
from harness.load.workers.clock_bounds import DRIFT_MAX
from harness.load.workers.protocol import VERSION, protocol
from harness.load.workers.roster import SILENT_S
from harness.model.example import Example
from harness.record.examples import read_examples

Play = Callable[..., Played]


def recorded(played: Played, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(played.samples / name).to_pylist()
    return rows


def ready(played: Played) -> bool:
    played.roster.tick(played.now_s)
    return {"ready": True} in played.told


def refusals(played: Played) -> list[str]:
    return [data["why"] for _, _, data in played.take(END)]


def test_each_worker_gets_its_share_of_the_same_plan(play: Play) -> None:
    played = play(3)
    for worker in "abc":
        played.join(worker)
    plans = [data["config"] for _, _, data in played.take(PLAN)]
    assert [(plan["worker"], plan["workers"]) for plan in plans] == [(0, 3), (1, 3), (2, 3)]
    rest = [{k: v for k, v in plan.items() if k != "worker"} for plan in plans]
    assert rest[0] == rest[1] == rest[2]
    assert (rest[0]["seed"], rest[0]["rate_per_s"]) == (3, 100.0)
    assert ready(played)


def test_it_is_ready_once_all_are_and_their_clocks_are_known(play: Play) -> None:
    played = play(2)
    played.join("a")
    assert not ready(played)
    played.hear(HELLO, "b", {"protocol": protocol(), "host": "", "key": KEY})
    played.hear(READY, "b", {"is_here": True})
    played.ahead_s["b"] = 0.0
    for _ in range(7):
        played.answer("b")
        assert not ready(played)
    played.answer("b")
    assert ready(played)
    ready(played)
    assert played.told.count({"ready": True}) == 1


def test_nobody_joins_who_was_not_started_by_the_driver_unless_it_is_expected(play: Play) -> None:
    played = play(2)
    played.hear(HELLO, "stranger", {"protocol": protocol(), "host": "x", "key": ""})
    assert refusals(played) == ["the run takes no worker from elsewhere"]
    assert not played.take(PLAN)


def test_a_stranger_cannot_take_the_place_of_the_drivers_own(play: Play) -> None:
    played = play(2, 1)
    played.join("elsewhere", key="guessed")
    played.hear(HELLO, "second", {"protocol": protocol(), "host": "x", "key": ""})
    assert refusals(played) == ["the run has all 1 of its workers from elsewhere"]
    played.join("own")
    assert ready(played)
    played.hear(HELLO, "third", {"protocol": protocol(), "host": "x", "key": KEY})
    assert refusals(played) == ["the run has all its workers"]


@pytest.mark.parametrize(
    "hello",
    [
        None,
        [],
        {"protocol": 99, "key": KEY},
        {"protocol": f"{VERSION} 0", "key": KEY},
        {"key": KEY},
    ],
)
def test_another_version_is_refused(play: Play, hello: object) -> None:
    played = play(1)
    played.hear(HELLO, "a", hello)
    [why] = refusals(played)
    assert why.startswith("it is another version of the harness")


def test_who_comes_when_the_run_has_begun_is_refused(play: Play) -> None:
    played = play(2)
    played.join("a")
    played.roster.begin(played.now_s)
    played.hear(HELLO, "b", {"protocol": protocol(), "host": "x", "key": KEY})
    assert refusals(played) == ["the run has begun without it"]


def test_a_second_hello_changes_nothing(play: Play) -> None:
    played = play(1)
    played.join("a")
    played.hear(HELLO, "a", {"protocol": protocol(), "host": "x", "key": KEY})
    assert len(played.take(PLAN)) == 1
    assert ready(played)


def test_a_machine_that_permits_no_such_load_frees_its_place_and_the_driver_is_told(
    play: Play,
) -> None:
    played = play(1, 1)
    played.hear(HELLO, "a", {"protocol": protocol(), "host": "far\x1b[31m", "key": ""})
    played.hear(UNABLE, "a", {"why": "not\nallowed here"})
    assert {"refused": "far[31m: notallowed here", "is_own": False} in played.told
    played.join("b", key="")
    assert [data["config"]["worker"] for _, _, data in played.take(PLAN)] == [0, 0]
    assert ready(played)


def test_no_path_of_this_machine_goes_elsewhere_and_a_replay_goes_as_it_is(
    play: Play, tmp_path: Path
) -> None:
    replay = tmp_path / "replay.parquet"
    replay.write_bytes(b"arrivals")
    load = {"timeout_s": 1.0, "replay": "/home/me/reports/x"}
    entries = {"admin": Entry([("192.0.2.8", 80)], "/state/entry-1.json")}
    played = play(
        2, 1, replay=str(replay), entry_file="/state/entry.json", load=load, entries=entries
    )
    played.join("own")
    played.join("far", key="")
    (_, _, own), (_, _, far) = played.take(PLAN)
    assert own["config"]["replay"] == str(replay)
    assert own["config"]["entry_file"] == "/state/entry.json"
    assert own["config"]["entries"]["admin"]["file"] == "/state/entry-1.json"
    assert own["replay"] == b""
    assert far["replay"] == b"arrivals"
    assert str(tmp_path) not in json.dumps(far["config"])
    assert "/home/me" not in json.dumps(far["config"])
    assert "/state" not in json.dumps(far["config"])


def test_second_0_is_told_to_each_on_its_own_clock(play: Play) -> None:
    played = play(3, 2)
    played.join("own")
    played.join("ahead", key="", ahead_s=5000.25)
    played.join("behind", key="", ahead_s=-70.5)
    played.roster.begin(2000.0)
    begun = played.begun()
    assert begun["own"] == 2000.0
    assert begun["ahead"] == pytest.approx(7000.25, abs=0.002)
    assert begun["behind"] == pytest.approx(1929.5, abs=0.002)
    own, ahead, behind = played.states()
    assert (own["offset_s"], own["uncertainty_s"], own["is_shared"]) == (0.0, 0.0, True)
    assert ahead["offset_s"] == pytest.approx(5000.25, abs=0.002)
    assert behind["offset_s"] == pytest.approx(-70.5, abs=0.002)
    for far in (ahead, behind):
        assert not far["is_shared"]
        assert far["uncertainty_s"] == pytest.approx(0.002, abs=1e-4)


def test_what_it_recorded_is_put_on_the_masters_clock(play: Play) -> None:
    """Its clock gains 0.4 ms a second: what it takes for second 100 is 40 ms earlier."""
    played = play(1, 1)
    played.join("far", key="", ahead_s=50.0)
    played.roster.begin(played.now_s)
    for _ in range(100):
        played.ahead_s["far"] += 0.0004
        played.pass_time(1)
    data = part(played.folder, [98.0, 99.0])
    played.hear(PART, "far", {"number": 0, "data": data})
    first, second = recorded(played, "main-00000.parquet")
    assert first["intended_s"] == pytest.approx(98.0 - 0.04, abs=0.004)
    assert second["intended_s"] - first["intended_s"] == pytest.approx(1.0)
    assert first["sent_s"] == first["intended_s"]
    assert first["done_s"] - first["sent_s"] == pytest.approx(0.1)
    [state] = played.states()
    assert state["requests"] == 2
    assert abs(first["intended_s"] - (98.0 - 0.04)) <= state["uncertainty_s"] < 0.01


def test_a_request_that_waited_long_is_placed_less_surely(play: Play) -> None:
    """It was due 32 s before the answer that its time is corrected by."""
    played = play(1, 1)
    played.join("far", key="", ahead_s=50.0)
    start_s = played.now_s
    played.roster.begin(start_s)
    for _ in range(100):
        played.ahead_s["far"] += 0.0004 * 1.004
        played.pass_time(1)
    due_s = played.now_s - start_s - 32.0
    there_s = due_s * 1.0004
    data = part(played.folder, [there_s, there_s + 31])
    played.hear(PART, "far", {"number": 0, "data": data})
    [state] = played.states()
    wrong_by_s = abs(recorded(played, "main-00000.parquet")[0]["intended_s"] - due_s)
    assert wrong_by_s == pytest.approx(32 * 0.0004, abs=0.003)
    assert wrong_by_s <= state["uncertainty_s"]
    assert state["uncertainty_s"] == pytest.approx(32 * DRIFT_MAX + 0.002, abs=0.002)


def test_a_part_that_comes_late_is_placed_less_surely(play: Play) -> None:
    """Nothing was heard for 7 s, not even of the clock."""
    played = play(1, 1)
    played.join("far", key="", ahead_s=50.0)
    played.roster.begin(played.now_s)
    played.now_s += 7.0
    played.hear(PART, "far", {"number": 0, "data": part(played.folder, [0.0, 1.0])})
    [state] = played.states(is_last=False)
    assert state["uncertainty_s"] == pytest.approx(7 * DRIFT_MAX + 0.002, abs=1e-3)


def test_what_was_recorded_on_the_same_clock_stays_as_it_is(play: Play) -> None:
    played = play(1)
    played.join("own")
    played.roster.begin(played.now_s)
    played.hear(PART, "own", {"number": 0, "data": part(played.folder, [1.25, 2.5])})
    assert [row["intended_s"] for row in recorded(played, "main-00000.parquet")] == [1.25, 2.5]


def finish(
    played: Played, worker: str, parts: int, code: int = 0, examples: str = "", **numbers: int
) -> None:
    counts = {"parts": parts, "tokens": 0, "traced": 0, **numbers}
    played.hear(DRAINED, worker, {**counts, "examples": examples, "code": code})


EXAMPLE = Example(
    operation="look", error="wrong_status", stream="main", at_s=7.0, status=503, expected="200",
    came="status 503",
)  # fmt: skip


def test_tokens_and_examples_come_with_the_record(play: Play) -> None:
    """Without its tokens an acknowledged write could not be looked up."""
    played = play(2, 1)
    played.join("own")
    played.join("far", key="", ahead_s=50.0)
    played.roster.begin(played.now_s)
    for _ in range(10):
        played.ahead_s["far"] += 0.001
        played.pass_time(1)
    examples = json.dumps([asdict(EXAMPLE)])
    for worker in ("own", "far"):
        data = tokens(played.folder, (1, "first"), (3, "second"))
        played.hear(TOKENS, worker, {"number": 0, "data": data})
        finish(played, worker, 0, tokens=1, examples=examples)
    assert [state["problem"] for state in played.states()] == ["", ""]
    for index in range(2):
        rows = recorded(played, f"tokens-main-w{index}-00000.parquet")
        assert rows == [{"n": 1, "token": "first"}, {"n": 3, "token": "second"}]
    far, own = read_examples(played.samples)
    assert own == EXAMPLE
    assert far.at_s == pytest.approx(7.0 - 0.01, abs=0.004)


def test_what_was_traced_comes_with_the_record_on_the_masters_clock(play: Play) -> None:
    played = play(1, 1)
    played.join("far", key="", ahead_s=50.0)
    played.roster.begin(played.now_s)
    for _ in range(10):
        played.ahead_s["far"] += 0.001
        played.pass_time(1)
    row = (700, "look", 7.0, 7.5, 503, "wrong_status", "app-1", True)
    played.hear(TRACED, "far", {"number": 0, "data": traced(played.folder, row)})
    finish(played, "far", 0, traced=1)
    assert [state["problem"] for state in played.states()] == [""]
    [found] = recorded(played, "traced-main-00000.parquet")
    assert (found["n"], found["error"], found["is_sampled"]) == (700, "wrong_status", True)
    assert found["intended_s"] == pytest.approx(7.0 - 0.01, abs=0.004)
    assert found["done_s"] - found["intended_s"] == pytest.approx(0.5)


def test_a_share_is_whole_when_all_parts_are_there(play: Play) -> None:
    played = play(2)
    played.join("a")
    played.join("b")
    played.roster.begin(played.now_s)
    for worker in "ab":
        for number in range(3):
            data = part(played.folder, [2.0 * number])
            played.hear(PART, worker, {"number": number, "data": data})
    played.roster.stop()
    assert [worker for _, worker, _ in played.take(DRAIN)] == ["a", "b"]
    assert not played.roster.is_settled(played.now_s)
    finish(played, "a", 3)
    finish(played, "b", 3)
    assert played.roster.is_settled(played.now_s)
    assert [(s["requests"], s["problem"], s["lost_s"]) for s in played.states()] == [
        (3, "", None), (3, "", None),
    ]  # fmt: skip
    names = sorted(path.name for path in played.samples.iterdir())
    assert names == [f"main-w{w}-0000{n}.parquet" for w in (0, 1) for n in range(3)]


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda p: finish(p, "b", 3), "2 of 3 parts of its record did not arrive"),
        (lambda p: finish(p, "b", 1, tokens=1), "1 of 2 parts of its record did not arrive"),
        (lambda p: finish(p, "b", 1, traced=1), "1 of 2 parts of its record did not arrive"),
        (lambda p: finish(p, "b", 1, examples="[1]"), "it sent what nobody"),
        (lambda p: p.hear(TOKENS, "b", {"number": 1, "data": b""}), "part 0 of its record did not"),
        (lambda p: p.hear(TOKENS, "b", {"number": 0, "data": b"x"}), "part 0 of its record is dam"),
        (lambda p: finish(p, "b", 1, 9), "its engine ended with exit code 9"),
        (lambda p: p.hear(GONE, "b", {"why": "ended on its own machine"}), "ended on its own"),
        (lambda p: p.hear(PART, "b", {"number": 2, "data": b""}), "part 1 of its record did not"),
        (lambda p: p.hear(PART, "b", {"number": 1, "data": b"x"}), "part 1 of its record is dam"),
        (lambda p: p.hear(PART, "b", {"number": 1, "data": 10**9}), "it sent what nobody"),
        (lambda p: p.hear(BATCH, "b", {"line": batch(error="disk full")}), "it cannot record: di"),
        (lambda p: p.hear(BATCH, "b", {"line": b"[]"}), "it sent what nobody understands"),
        (lambda p: p.hear(PONG, "b", {"sent_s": 0.0}), "it sent what nobody understands"),
        (lambda p: p.hear(PONG, "b", "x"), "it sent what nobody understands"),
        (lambda p: p.hear(PONG, "b", {"sent_s": p.now_s - 1, "there_s": p.now_s + 9}), "jumped"),
        (lambda p: None, "it did not end in time"),
    ],
)
def test_a_share_that_is_not_whole_is_lost_from_its_last_request_on_and_no_other_is(
    play: Play, end: Callable[[Played], None], why: str
) -> None:
    played = play(2)
    played.join("a")
    played.join("b")
    played.roster.begin(played.now_s)
    for worker in "ab":
        data = part(played.folder, [3.0, 4.5])
        played.hear(PART, worker, {"number": 0, "data": data})
    end(played)
    finish(played, "a", 1)
    whole, lost = played.states()
    assert (whole["problem"], whole["lost_s"]) == ("", None)
    assert why in lost["problem"]
    assert lost["lost_s"] == 4.5
    assert {path.name for path in played.samples.glob("main-*")} == {
        "main-w0-00000.parquet", "main-w1-00000.parquet",
    }  # fmt: skip


def test_who_is_silent_is_missing_until_it_is_heard_again(play: Play) -> None:
    played = play(2)
    played.join("a")
    played.join("b")
    played.roster.begin(played.now_s)
    played.now_s += SILENT_S + 1
    played.answer("a")
    one, other = played.states(is_last=False)
    assert not one["problem"]
    assert other["problem"] == "nothing was heard of it after second 0"
    played.now_s += 5
    assert played.states(is_last=False)[1] == other  # else each second were an event of its own
    played.roster.stop()
    finish(played, "a", 0)
    assert played.roster.is_settled(played.now_s)  # nobody waits for who is silent
    played.hear(BATCH, "b", {"line": batch()})
    assert not played.roster.is_settled(played.now_s)
    finish(played, "b", 0)
    assert [state["problem"] for state in played.states()] == ["", ""]


def test_a_silent_one_that_never_comes_back_is_lost(play: Play) -> None:
    played = play(1)
    played.join("a")
    played.roster.begin(played.now_s)
    played.now_s += 20
    assert played.states()[0]["problem"] == "nothing was heard of it after second 0"


def test_the_same_machine_with_another_clock_is_measured(play: Play) -> None:
    """A time namespace: the boot is the same, the clock is not."""
    played = play(1)
    played.join("own", ahead_s=300.0)
    played.roster.begin(2000.0)
    assert played.begun()["own"] == pytest.approx(2300.0, abs=0.002)
    assert not played.states()[0]["is_shared"]


def test_before_the_start_who_leaves_gives_back_its_place(play: Play) -> None:
    played = play(1)
    played.join("a")
    played.hear(GONE, "a", {"why": "x"})
    assert played.states() == []
    played.join("b")
    assert ready(played)


def test_clocks_are_asked_for_often_at_first_and_then_each_second(play: Play) -> None:
    played = play(1)
    played.hear(HELLO, "a", {"protocol": protocol(), "host": "", "key": KEY})
    played.roster.tick(played.now_s)
    assert not played.take(PING)  # it has not even begun to prepare
    played.hear(READY, "a", {"is_here": True})
    played.ahead_s["a"] = 0.0
    for _ in range(8):
        played.now_s += 0.06
        played.roster.tick(played.now_s)
        assert len(played.take(PING)) == 1
        played.answer("a")
    played.now_s += 0.5
    played.roster.tick(played.now_s)
    assert not played.take(PING)
    played.now_s += 0.6
    played.roster.tick(played.now_s)
    assert len(played.take(PING)) == 1


def test_reports_go_on_to_the_driver_with_their_engine_and_nothing_more_than_it_counts(
    play: Play,
) -> None:
    played = play(2)
    played.join("a")
    played.join("b")
    played.hear(BATCH, "b", {"line": batch()})
    assert played.told[-1] == {
        "engine": 1, "window_s": 0.5, "cpu_s": 0.2, "stalls": 1, "stall_max_s": 0.02,
        "not_reached": 3,
        "ops": [
            {"name": "look", "num_requests": 10, "num_none_requests": 1, "num_failures": 2,
             "response_times": [[5, 9]]}
        ],
    }  # fmt: skip


def test_when_the_driver_is_gone_all_are_ended(play: Play) -> None:
    played = play(2)
    played.join("a")
    played.join("b")
    played.roster.end()
    assert [worker for _, worker, _ in played.take(END)] == ["a", "b"]


def test_a_disk_that_is_full_here_is_no_workers_fault(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = play(1)
    played.join("a")
    played.roster.begin(played.now_s)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    played.hear(PART, "a", {"number": 0, "data": b"x"})
    played.roster.tell_states(played.now_s)
    assert "No space left" in played.told[-1]["error"]
    assert not played.told[-1]["workers"][0]["problem"]


def test_a_part_of_another_run_is_not_taken(play: Play) -> None:
    played = play(1)
    played.join("a")
    played.roster.begin(played.now_s)
    data = part(played.folder, [1.0], op="steal")
    played.hear(PART, "a", {"number": 0, "data": data})
    assert "of another run" in played.states()[0]["problem"]
    assert list(played.samples.iterdir()) == []


def test_begin_is_told_once_to_each(play: Play) -> None:
    played = play(2)
    played.join("a")
    played.join("b")
    played.roster.begin(5.0)
    assert played.take(BEGIN) == [
        (BEGIN, "a", {"start_s": 5.0}), (BEGIN, "b", {"start_s": 5.0}),
    ]  # fmt: skip
