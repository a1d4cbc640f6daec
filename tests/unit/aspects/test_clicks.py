"""The click check on planted losses, doubles, drops and deaths; every count is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plain import plain

from harness.aspects.clicks import figures
from harness.bundled.traffic import OPERATIONS, TRAFFIC
from harness.model.experiment import Experiment
from harness.model.load import Load
from harness.record.folder import RunFolder
from harness.record.run import Record

SECONDS, PER_S = 10, 100
KEYS = 50


def requests(keys: list[int], op: str = "redirect") -> pd.DataFrame:
    """Answered rightly after 4 ms, by two app servers in turn."""
    due_s = np.arange(len(keys)) / PER_S
    return pd.DataFrame(
        {
            "op": op, "key": keys, "sent_s": due_s, "done_s": due_s + 0.004, "ok": True,
            "error": "", "served_by": [f"app-{1 + n % 2}" for n in range(len(keys))],
        }
    )  # fmt: skip


class Case:
    """1,000 redirects of 50 keys and 100 canaries of a key each, all counted once; then planted."""

    def __init__(self, tmp_path: Path) -> None:
        self.main = requests([n % KEYS for n in range(SECONDS * PER_S)])
        self.canary = requests(list(range(100)))
        self.gained = {f"h{n:06d}": SECONDS * PER_S // KEYS for n in range(KEYS)}
        self.gained |= {f"c{n:06d}": 1 for n in range(100)}
        self.before = {name: server() for name in ("app-1", "app-2")}
        self.after = {name: server() for name in ("app-1", "app-2")}
        self.events: list[dict[str, Any]] = []
        self.load: dict[str, Any] = {"keys": TRAFFIC.keys}
        self.waits_for = {"before": "", "after": ""}
        self.folder = RunFolder(tmp_path / "run")
        self.folder.create()

    def figures(self) -> dict[str, Any]:
        sides = {"before": self.before, "after": self.after}
        facts = {
            when: {"drained": not text, "waits_for": text, "servers": sides[when]}
            for when, text in self.waits_for.items()
        }
        self.folder.write_clicks(facts, self.gained)
        found: dict[str, Any] = plain(figures(self.record(), self.folder))
        return found

    def record(self) -> Record:
        experiment = Experiment(
            name="x", title="t", load=Load(rate_per_s=PER_S, mix={"redirect": 1.0}, **self.load),
            operations=OPERATIONS, phases=(), faults=(), hypothesis=(),
        )  # fmt: skip
        return Record(experiment, self.events, self.main, self.canary)

    def dies(self, service: str, at_s: float) -> None:
        self.events.append({"event": "container.die", "t_s": at_s, "service": service})

    def starts(self, service: str, at_s: float) -> None:
        self.events.append({"event": "container.start", "t_s": at_s, "service": service})

    def says(self, server: str, at_s: float, waiting: int, dropped: int = 0) -> None:
        """At a look at its metrics."""
        facts = {"server": server, "waiting": waiting, "dropped": dropped}
        self.events.append({"event": "clicks.waiting", "t_s": at_s, **facts})

    def retries(self, at_s: float, count: int, server: str = "app-1", moved: int = 0) -> None:
        """Counted in the quarter of a second up to `at_s`."""
        origin = {"lb": "lb-1", "backend": "read", "server": server, "span_s": 0.25}
        facts = {"retries": count, "redispatches": moved}
        self.events.append({"event": "lb.retries", "t_s": at_s, **origin, **facts})

    def opens(self, server: str, at_s: float, breaker: str = "redis", until_s: float = 0) -> None:
        """Stays open, or closes at `until_s`."""
        origin = {"event": "breaker.transition", "server": server, "breaker": breaker}
        self.events.append({**origin, "t_s": at_s, "from": "CLOSED", "to": "OPEN"})
        if until_s:
            self.events.append({**origin, "t_s": until_s, "from": "HALF_OPEN", "to": "CLOSED"})

    def loses_all_of(self, server: str, start_s: float, end_s: float) -> int:
        """The main load's clicks that it answered in that time; how many."""
        done_s = self.main["done_s"]
        is_lost = (self.main["served_by"] == server) & (done_s > start_s) & (done_s <= end_s)
        for key in self.main["key"][is_lost]:
            self.gained[f"h{key:06d}"] -= 1
        return int(is_lost.sum())


def server(dropped: int = 0, started_s: float = 1.0) -> dict[str, Any]:
    return {"started_s": started_s, "dropped": dropped, "waiting": 0}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def losses(found: dict[str, Any]) -> tuple[int, int, int]:
    return found["lost"], found["lost_beyond_memory"], found["double"]


def test_every_click_counted_once(case: Case) -> None:
    found = case.figures()
    assert found["checked"] is True
    assert (found["acknowledged"], found["counted"]) == (1100, 1100)
    assert losses(found) == (0, 0, 0)


def test_a_click_that_is_not_counted_is_lost(case: Case) -> None:
    case.gained["h000007"] -= 2
    del case.gained["c000003"]
    found = case.figures()
    assert losses(found) == (3, 3, 0)
    assert found["examples"]["lost"] == [
        "c000003: 1 acknowledged, 0 counted", "h000007: 20 acknowledged, 18 counted",
    ]  # fmt: skip


def test_a_batch_that_is_counted_twice_is_not_hidden_by_one_that_is_lost(case: Case) -> None:
    case.gained["h000007"] += 5
    case.gained["h000008"] -= 5
    assert losses(case.figures()) == (5, 5, 5)


def test_what_was_told_as_dropped_is_not_lost(case: Case) -> None:
    case.gained["h000007"] -= 4
    case.before["app-1"] = server(dropped=10)
    case.after["app-1"] = server(dropped=13)
    found = case.figures()
    assert (found["dropped"], found["lost"]) == (3, 1)


def test_a_restarted_server_counts_its_drops_from_nought(case: Case) -> None:
    case.gained["h000007"] -= 4
    case.before["app-1"] = server(dropped=10)
    case.after["app-1"] = server(dropped=4, started_s=7.0)
    assert (case.figures()["dropped"], case.figures()["lost"]) == (4, 0)


def test_a_redirect_without_a_right_answer_may_be_counted_or_not(case: Case) -> None:
    case.main.loc[[7, 57], ["ok", "error"]] = [False, "timeout"]
    case.gained["h000007"] -= 1
    found = case.figures()
    assert (found["acknowledged"], found["unknown"]) == (1098, 2)
    assert losses(found) == (0, 0, 0)


def test_a_redirect_that_was_never_sent_is_no_click(case: Case) -> None:
    case.main.loc[7, ["ok", "error", "sent_s", "done_s"]] = [False, "dropped", np.nan, np.nan]
    assert case.figures()["double"] == 1


def test_what_the_edge_answered_is_no_click(case: Case) -> None:
    case.main.loc[7, "served_by"] = "edge"
    found = case.figures()
    assert (found["acknowledged"], found["unknown"], found["double"]) == (1099, 0, 1)


def test_writes_and_clicks_on_other_codes_are_left_out(case: Case) -> None:
    case.main = pd.concat([case.main, requests([3], op="create")], ignore_index=True)
    case.gained["health"] = 12
    found = case.figures()
    assert found["counted"] == 1100
    assert losses(found) == (0, 0, 0)


def test_a_server_that_died_takes_its_last_two_seconds_along_and_no_more(case: Case) -> None:
    case.dies("app-2", 5.0)
    case.gained["h000007"] -= 20
    case.gained["h000009"] -= 20
    case.gained["h000011"] -= 20
    case.gained["h000013"] -= 20
    case.gained["h000015"] -= 20
    case.gained["h000017"] -= 10
    found = case.figures()
    assert found["in_memory"] == 100  # every other of 200 redirects; its canaries ended before
    assert losses(found) == (110, 10, 0)


def test_two_deaths_close_together_count_no_click_twice(case: Case) -> None:
    case.dies("app-2", 5.0)
    case.dies("app-2", 5.5)
    assert case.figures()["in_memory"] == 125


@pytest.mark.parametrize("when", ["before", "after"])
def test_clicks_still_on_their_way_are_no_evidence(case: Case, when: str) -> None:
    case.waits_for[when] = "app-1, with 3 clicks in memory"
    found = case.figures()
    assert found["checked"] is False
    assert found["why_not"] == f"{when} the run clicks still waited for {case.waits_for[when]}"


def test_a_users_own_locustfile_is_not_checked(case: Case) -> None:
    case.load = {"locustfile": "mine.py::Visitor"}
    found = case.figures()
    assert (found["checked"], found["lost"]) == (False, None)


def test_a_run_whose_counts_were_not_read_is_not_checked(case: Case) -> None:
    found = plain(figures(case.record(), case.folder))
    assert (found["checked"], found["acknowledged"], found["lost"]) == (False, 1100, None)


def test_what_waited_at_the_last_look_and_came_since_is_in_memory(case: Case) -> None:
    """Server app-2 answers 50 a second from 0.014 s on, and dies 0.4 s after a look."""
    case.says("app-2", 4.6, waiting=30)
    case.dies("app-2", 5.0)
    assert case.loses_all_of("app-2", 4.0, 5.0) == 50
    found = case.figures()
    assert found["in_memory"] == 30 + 20 + 12  # waited, answered since, on their way when it died
    assert losses(found) == (50, 0, 0)
    (death,) = found["deaths"]
    assert (death["server"], death["looked_s"], death["waiting"]) == ("app-2", 4.6, 30)
    assert death["since_s"] == pytest.approx(4.014)
    assert not death["is_late"]
    assert found["explanations"][0] == (
        "app-2 died at 5.0 s with up to 62 clicks in memory, the oldest answered at 4.0 s"
    )


def test_what_the_evidence_does_not_cover_is_lost_beyond_memory(case: Case) -> None:
    """The old rule would have allowed for two seconds."""
    case.says("app-2", 4.6, waiting=0)
    case.dies("app-2", 5.0)
    assert case.loses_all_of("app-2", 3.0, 5.0) == 100
    assert losses(case.figures()) == (100, 100 - 20 - 12, 0)


def test_clicks_that_waited_behind_an_open_breaker_are_explained(case: Case) -> None:
    case.opens("app-2", 0.4)
    case.opens("app-2", 0.5, "db-ro", until_s=2.0)
    case.opens("app-1", 0.1, "other")
    for second in range(1, 9):
        case.says("app-2", float(second), waiting=50 * second + 10)
    case.dies("app-2", 8.5)
    lost = case.loses_all_of("app-2", 0.4, 8.5)
    assert lost > 400
    found = case.figures()
    assert found["lost_beyond_memory"] == 0
    (death,) = found["deaths"]
    assert (death["open_breaker"], death["is_late"]) == ("redis", False)
    assert death["since_s"] == pytest.approx(0.414)
    assert "its breaker redis was not CLOSED" in found["explanations"][0]


def test_a_server_that_keeps_its_clicks_without_an_open_breaker_is_late(case: Case) -> None:
    for second in range(1, 9):
        case.says("app-2", float(second), waiting=50 * second)
    case.dies("app-2", 8.5)
    lost = case.loses_all_of("app-2", 0.0, 8.5)
    found = case.figures()
    (death,) = found["deaths"]
    assert death["is_late"]
    assert death["in_memory"] == 150 + 12  # its last 3 s, and what was on its way
    assert found["lost_beyond_memory"] == lost - 162
    assert "it had kept them too long" in found["explanations"][0]


def test_each_process_has_a_memory_of_its_own(case: Case) -> None:
    case.says("app-2", 4.6, waiting=30)
    case.dies("app-2", 5.0)
    case.says("app-2", 6.0, waiting=5)
    case.dies("app-2", 6.2)
    first, second = case.figures()["deaths"]
    assert (first["in_memory"], second["in_memory"]) == (62, 5 + 10 + 12)


def test_a_process_that_nobody_looked_at_has_not_the_memory_of_the_one_before(case: Case) -> None:
    case.says("app-2", 4.6, waiting=30)
    case.dies("app-2", 5.0)
    case.dies("app-2", 5.4)
    _, second = case.figures()["deaths"]
    assert (second["in_memory"], second["looked_s"]) == (20, None)


def test_a_server_that_was_not_asked_has_the_old_rule(case: Case) -> None:
    case.says("app-1", 4.6, waiting=30)
    case.dies("app-2", 5.0)
    (death,) = case.figures()["deaths"]
    assert (death["in_memory"], death["looked_s"]) == (100, None)


def test_drops_that_died_with_the_server_are_known_from_the_last_look(case: Case) -> None:
    case.gained["h000007"] -= 9
    case.before["app-1"] = server(dropped=10)
    case.after["app-1"] = server(dropped=4, started_s=7.0)
    case.says("app-1", 1.0, waiting=0, dropped=10)
    case.says("app-1", 4.0, waiting=0, dropped=15)  # 5 in this run
    case.dies("app-1", 5.0)
    case.starts("app-1", 5.5)
    case.says("app-1", 7.0, waiting=0, dropped=4)
    found = case.figures()
    assert (found["dropped"], found["lost"]) == (9, 0)


def test_a_process_that_dropped_more_than_the_one_before_it(case: Case) -> None:
    case.says("app-1", 4.0, waiting=0, dropped=2)
    case.starts("app-1", 5.5)
    case.says("app-1", 7.0, waiting=0, dropped=6)
    assert case.figures()["dropped"] == 8


def test_whose_clicks_are_surely_missing_and_since_when(case: Case) -> None:
    """The canary reads each of its codes once: a code without a count has lost that click."""
    for key in (21, 23, 41):  # answered by app-2 at 0.214, 0.234 and 0.414 s
        del case.gained[f"c{key:06d}"]
    del case.gained["c000040"]
    found = case.figures()
    assert found["lost"] == 4
    assert found["missing_of"] == [
        {"server": "app-2", "missing": 3, "first_s": pytest.approx(0.214),
         "last_s": pytest.approx(0.414)},
        {"server": "app-1", "missing": 1, "first_s": pytest.approx(0.404),
         "last_s": pytest.approx(0.404)},
    ]  # fmt: skip
    assert found["explanations"] == [
        "surely missing of app-2: 3 clicks answered from 0.2 to 0.4 s",
        "surely missing of app-1: 1 clicks answered from 0.4 to 0.4 s",
    ]


def test_a_double_of_a_request_that_was_tried_again_is_told_apart(case: Case) -> None:
    case.gained["c000021"] += 1  # in flight from 0.21 to 0.214 s
    case.retries(0.4, 2, moved=2)
    found = case.figures()
    assert (found["double"], found["double_by_retries"]) == (0, 1)


def test_retries_at_another_time_or_of_too_few_explain_no_double(case: Case) -> None:
    for key in (21, 22, 23):
        case.gained[f"c{key:06d}"] += 1
    case.retries(5.0, 9)
    case.retries(3.0, 9)
    assert (case.figures()["double"], case.figures()["double_by_retries"]) == (3, 0)
    case.events.clear()
    case.retries(0.4, 2)
    assert (case.figures()["double"], case.figures()["double_by_retries"]) == (1, 2)
    case.gained["c000080"] += 1  # in flight from 0.8 s, after that look
    assert (case.figures()["double"], case.figures()["double_by_retries"]) == (2, 2)
    case.retries(0.6, 9)
    assert (case.figures()["double"], case.figures()["double_by_retries"]) == (1, 3)


def test_retries_of_what_serves_no_clicks_explain_none(case: Case) -> None:
    case.gained["c000021"] += 1
    case.retries(0.4, 2, server="db-1")
    case.retries(0.4, 0, moved=2)  # those never reached the first server
    assert case.figures()["double"] == 1


def test_a_worker_that_counts_each_batch_twice_is_not_excused_by_retries(case: Case) -> None:
    case.gained = {code: 2 * count for code, count in case.gained.items()}
    for second in range(1, 10):
        case.retries(float(second), 3)
    found = case.figures()
    assert (found["double"], found["double_by_retries"]) == (1100 - 27, 27)
