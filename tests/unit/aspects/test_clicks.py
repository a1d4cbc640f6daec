"""The click check on planted losses, doubles, drops and deaths; every count is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plain import plain

from harness.aspects.base import Findings
from harness.aspects.clicks import ASPECT, Clicks, figures
from harness.bundled.traffic import OPERATIONS, TRAFFIC
from harness.errors import RunFolderError
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, no_figure
from harness.model.findings import Run
from harness.model.load import Load, Operation
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
        self.operations: dict[str, Any] = dict(OPERATIONS)
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
            operations=self.operations, phases=(), faults=(), hypothesis=(),
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
    assert (
        found["why_not"] == f"{when} the run, clicks were still waiting for {case.waits_for[when]}"
    )


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
        "definitely missing from app-2: 3 clicks answered from 0.2 to 0.4 s",
        "definitely missing from app-1: 1 clicks answered from 0.4 to 0.4 s",
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


def test_only_a_get_of_a_key_is_a_click(case: Case) -> None:
    case.operations |= {
        "visit": Operation(path="/{key}"), "peek": Operation(method="HEAD", path="/{key}"),
        "stats": Operation(path="/stats/{key}"),
    }  # fmt: skip
    names = np.array(["redirect", "visit", "peek", "stats"])
    case.main["op"] = names[np.arange(1000) % 4]
    case.main.loc[case.main.index % 40 < 4, ["ok", "error"]] = [False, "timeout"]
    assert (case.figures()["acknowledged"], case.figures()["unknown"]) == (100 + 450, 50)


def test_without_cold_keys_the_canary_asks_for_those_of_the_main_load(case: Case) -> None:
    case.load = {"keys": TRAFFIC.keys.model_copy(update={"cold_population": 0})}
    case.canary["key"] = np.arange(100) % 2
    case.gained = {f"h{n:06d}": 20 for n in range(KEYS)}
    found = case.figures()
    assert found["examples"]["lost"] == [
        "h000000: 70 acknowledged, 20 counted", "h000001: 70 acknowledged, 20 counted",
    ]  # fmt: skip
    assert (found["acknowledged"], found["counted"], found["missing"]) == (1100, 1000, 100)


def test_a_run_may_have_another_way_to_make_a_key(case: Case) -> None:
    case.load = {
        "keys": TRAFFIC.keys.model_copy(
            update={"format": "k{index:03d}", "cold_format": "n{index:d}"}
        )
    }
    case.gained = {f"k{n:03d}": 20 for n in range(KEYS)} | {f"n{n}": 1 for n in range(99)}
    assert case.figures()["examples"] == {"lost": ["n99: 1 acknowledged, 0 counted"], "double": []}


def test_of_what_is_wrong_ten_examples_are_shown(case: Case) -> None:
    for key in range(12):
        case.gained[f"c{key:06d}"] = 0
        case.gained[f"h{key:06d}"] += 1 + key
    found = case.figures()
    assert (found["missing"], found["double"]) == (12, sum(range(1, 13)))
    assert found["examples"] == {
        "lost": [f"c{key:06d}: 1 acknowledged, 0 counted" for key in range(10)],
        "double": [f"h{key:06d}: 20 acknowledged, {21 + key} counted" for key in range(10)],
    }


def test_missing_clicks_that_were_all_reported_as_dropped_are_not_looked_for(case: Case) -> None:
    del case.gained["c000003"]
    case.gained["h000007"] -= 2
    case.after = {"app-1": server(dropped=2), "app-2": server(dropped=3)}
    found = case.figures()
    assert (found["missing"], found["dropped"], found["lost"]) == (3, 5, 0)
    assert found["dropped_share"] == 5 / 1100
    assert (found["missing_of"], found["examples"]["lost"]) == ([], [])
    assert found["explanations"] == []


def test_of_several_servers_the_one_that_misses_most_comes_first(case: Case) -> None:
    """Three answered the canary in turn; the second one's clicks did not all arrive."""
    names = ["app-1", "app-2", "app-3"]
    case.canary["served_by"] = [names[n % 3] for n in range(100)]
    case.main["served_by"] = [names[n % 2] for n in range(1000)]
    case.main.loc[7, "key"] = 60  # and is never counted
    case.canary.loc[[31, 32], ["ok", "error"]] = [False, "timeout"]
    case.canary.loc[34, "served_by"] = "edge"
    for key in (2, 4, 31, 32, 34, 40, 41, 43):
        del case.gained[f"c{key:06d}"]
    found = case.figures()
    approx = pytest.approx
    assert found["missing_of"] == [
        {"server": "app-2", "missing": 4, "first_s": approx(0.044), "last_s": approx(0.434)},
        {"server": "app-3", "missing": 2, "first_s": approx(0.024), "last_s": approx(0.414)},
    ]
    assert found["missing"] == 6
    assert (found["acknowledged"], found["unknown"]) == (1097, 2)


def test_each_death_that_had_clicks_is_explained_before_what_is_missing(case: Case) -> None:
    case.dies("app-1", 0.001)  # had answered nothing yet
    case.dies("app-2", 0.1)
    del case.gained["c000001"]
    case.gained["c000099"] = 0
    found = case.figures()
    assert [(death["server"], death["in_memory"]) for death in found["deaths"]] == [
        ("app-1", 0), ("app-2", 10),
    ]  # fmt: skip
    assert found["explanations"] == [
        "app-2 died at 0.1 s with up to 10 clicks in memory, the oldest answered at 0.0 s",
        "definitely missing from app-2: 2 clicks answered from 0.0 to 1.0 s",
    ]
    assert (found["in_memory"], found["lost"], found["lost_beyond_memory"]) == (10, 2, 0)


def test_retries_explain_doubles_of_all_streams_and_of_unknown_outcome(case: Case) -> None:
    """In flight from 0.15 s to 0.4 s; servers that answered nothing have no clicks."""
    case.canary.loc[30, ["ok", "error", "served_by"]] = [False, "timeout", ""]
    case.gained |= {"c000030": 2, "c000031": 3, "h000032": 21, "h000033": 22}
    case.retries(0.4, 9)
    case.retries(0.4, 9, server="edge")
    case.retries(0.4, 9, server="")
    case.retries(0.4, 9, server="app-3")
    found = case.figures()
    assert (found["double_by_retries"], found["double"]) == (1 + 1 + 1 + 1, 1 + 1)
    case.main.loc[:, "served_by"] = "edge"
    case.canary.loc[:, "served_by"] = ""
    assert case.figures()["double_by_retries"] == 0


def test_a_code_that_no_app_server_was_asked_for_is_another_clients(case: Case) -> None:
    case.canary.loc[5, "served_by"] = "edge"
    case.gained["c000005"] = 7
    found = case.figures()
    assert (found["acknowledged"], found["counted"], found["double"]) == (1099, 1099, 0)


def test_counts_that_were_cut_off_are_called_so(case: Case) -> None:
    case.figures()
    case.folder.write_json("target/clicks.json", {"before": {}, "after": []})
    with pytest.raises(RunFolderError, match="after"):
        figures(case.record(), case.folder)


def test_what_nobody_answered_has_no_share(case: Case) -> None:
    case.main["served_by"] = case.canary["served_by"] = "edge"
    case.gained = {}
    found = case.figures()
    assert found["acknowledged"] == 0
    assert np.isnan(found["dropped_share"])


@pytest.mark.parametrize(
    ("change", "why_not"),
    [
        ({"load": {"locustfile": "mine.py::Visitor"}},
         "a custom locustfile does not report which links it follows"),
        ({"waits_for": {"before": "app-1", "after": "app-2"}},
         "before the run, clicks were still waiting for app-1"),
        ({}, ""),
    ],
)  # fmt: skip
def test_why_the_clicks_were_not_checked(case: Case, change: dict[str, Any], why_not: str) -> None:
    for name, value in change.items():
        setattr(case, name, value)
    found = case.figures()
    assert (found["checked"], found["why_not"]) == (not why_not, why_not)


def test_a_run_without_counts_says_so(case: Case) -> None:
    assert figures(case.record(), case.folder).why_not == "the target's counts were not read"


WHOLE = Clicks(
    acknowledged=9000, counted=8990, dropped=45, dropped_share=0.25, lost=1200, in_memory=0,
    lost_beyond_memory=3, double=7, unknown=5, checked=True,
)  # fmt: skip
SEEN = "9,000 acknowledged, 8,990 counted, 45 reported as dropped"


@pytest.mark.parametrize(
    ("metric", "found", "expected"),
    [
        ("lost", WHOLE, Figure(1200, f"1,200 clicks; {SEEN}")),
        ("lost_beyond_memory", WHOLE, Figure(3, f"3 clicks; {SEEN}")),
        ("double", replace(WHOLE, in_memory=1040),
         Figure(7, f"7 clicks; {SEEN}, at most 1,040 in the memory of servers that died")),
        ("dropped_share", WHOLE, Figure(0.25, f"25.00% dropped; {SEEN}")),
        ("dropped_share", replace(WHOLE, dropped_share=None),
         Figure(0.005, f"0.50% dropped; {SEEN}")),
        ("dropped_share", replace(WHOLE, dropped_share=0.0), Figure(0.0, f"0.00% dropped; {SEEN}")),
        ("counted", replace(WHOLE, counted=0, dropped=None),
         Figure(0, "0 clicks; 9,000 acknowledged, 0 counted, 0 reported as dropped")),
        ("double", replace(WHOLE, checked=False, why_not="it waits"),
         no_figure("it waits", "clicks_not_checked")),
        ("double", replace(WHOLE, checked=False, acknowledged=None),
         no_figure("the target's counts were not read", "clicks_not_checked")),
        ("double", replace(WHOLE, acknowledged=0),
         no_figure("no app server answered a redirect", "too_few_samples")),
        ("double", replace(WHOLE, acknowledged=None),
         no_figure("no app server answered a redirect", "too_few_samples")),
        ("acknowledged", replace(WHOLE, acknowledged=1),
         Figure(1, "1 clicks; 1 acknowledged, 8,990 counted, 45 reported as dropped")),
    ],
)  # fmt: skip
def test_a_figure_says_what_it_was_made_of(metric: str, found: Clicks, expected: Figure) -> None:
    item = Expectation("run", "clicks", metric, "<=", 1.0, "count", "text", "clicks")
    assert ASPECT.figure(item, Findings(Run(), {"clicks": found})) == expected


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (WHOLE, {"lost_beyond_memory": 3.0, "double": 7.0}),
        (replace(WHOLE, double=0), {"lost_beyond_memory": 3.0, "double": 0.0}),
        (replace(WHOLE, double=0, checked=False), {"lost_beyond_memory": 3.0}),
        (Clicks(), {}),
    ],
)
def test_what_must_never_be_is_compared(found: Clicks, counts: dict[str, float]) -> None:
    rows = ASPECT.compare(Findings(Run(), {"clicks": found}), set())
    assert list(rows) == [
        (Compared("run", "clicks", name, "never", "count"), Measured(count))
        for name, count in counts.items()
    ]
