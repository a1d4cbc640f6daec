"""The click check on planted losses, doubles, drops and deaths; every count is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis.clicks import figures
from harness.analysis.record import Record
from harness.model.experiment import Experiment
from harness.model.load import SHORTENER_OPERATIONS, Load
from harness.run_store import RunFolder, write_clicks

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
        self.load: dict[str, Any] = {}
        self.waits_for = {"before": "", "after": ""}
        self.folder = RunFolder(tmp_path / "run")
        self.folder.create()

    def figures(self) -> dict[str, Any]:
        sides = {"before": self.before, "after": self.after}
        facts = {
            when: {"drained": not text, "waits_for": text, "servers": sides[when]}
            for when, text in self.waits_for.items()
        }
        write_clicks(self.folder, facts, self.gained)
        return figures(self.record(), self.folder)

    def record(self) -> Record:
        experiment = Experiment(
            name="x", title="t", load=Load(rate_per_s=PER_S, mix={"redirect": 1.0}, **self.load),
            operations=SHORTENER_OPERATIONS, phases=(), faults=(), hypothesis=(),
        )  # fmt: skip
        return Record(experiment, self.events, self.main, self.canary)

    def dies(self, service: str, at_s: float) -> None:
        self.events.append({"event": "container.die", "t_s": at_s, "service": service})


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
    found = figures(case.record(), case.folder)
    assert (found["checked"], found["acknowledged"], found["lost"]) == (False, 1100, None)
