"""The acknowledged-write check on planted lost, phantom and duplicate writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain import plain

from harness.aspects.writes import figures
from harness.record.folder import RunFolder
from harness.record.run import Record
from harness.record.tables import WRITES

COUNT = 1000
FAULT = {"start_s": 5.0, "effect_s": 5.0}
PRIMARY, REPLICA, LAGGING = "db-1", "db-2", "db-3"


def sent(outcomes: list[str]) -> pd.DataFrame:
    due_s = np.arange(len(outcomes)) / 100
    return pd.DataFrame(
        {
            "key": np.arange(len(outcomes)),
            "intended_s": due_s,
            "done_s": due_s + 0.004,
            "write": outcomes,
        }
    )


class Case:
    """1,000 acknowledged main writes and 1,000 canaries, all found on every node; then planted."""

    def __init__(self, tmp_path: Path) -> None:
        self.outcomes = {"m": ["ok"] * COUNT, "c": ["ok"] * COUNT}
        self.rows = {
            (node, stream, n): 1
            for node in (PRIMARY, REPLICA, LAGGING)
            for stream in "mc"
            for n in range(COUNT)
        }
        self.nodes: dict[str, dict[str, Any]] = {
            PRIMARY: {"role": "primary", "caught_up": True},
            REPLICA: {"role": "replica", "caught_up": True},
            LAGGING: {"role": "replica", "caught_up": True},
        }
        self.folder = RunFolder(tmp_path / "run")
        self.folder.create()

    def figures(self) -> dict[str, Any]:
        columns = [[*key, count] for key, count in self.rows.items()]
        table = pa.table(list(map(list, zip(*columns, strict=True))), schema=WRITES)
        path = self.folder.path / "target" / "writes.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
        self.folder.write_json("target/writes.json", {"nodes": self.nodes})
        streams = {stream: sent(outcomes) for stream, outcomes in self.outcomes.items()}
        record = Record(cast(Any, None), [], streams["m"], streams["c"], [FAULT])
        found: dict[str, Any] = plain(figures(record, self.folder))
        return found


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_nothing_planted_nothing_found(case: Case) -> None:
    found = case.figures()
    assert (found["checked"], found["why_not"], found["not_caught_up"]) == (True, "", [])
    assert (found["lost"], found["phantom"], found["duplicates"]) == (0, 0, 0)
    assert found["acknowledged"] == 2 * COUNT
    assert found["acknowledged_last_second_before_fault"] == 2 * 100


@pytest.mark.parametrize("stream", ["m", "c"])
def test_lost_on_all_nodes(case: Case, stream: str) -> None:
    for node in case.nodes:
        del case.rows[node, stream, 7]
    found = case.figures()
    assert found["lost"] == 1
    assert found["examples"]["lost"] == [f"{stream}7, acknowledged at 0.074 s"]


@pytest.mark.parametrize("node", [PRIMARY, REPLICA])
def test_lost_on_one_node_only_is_lost(case: Case, node: str) -> None:
    del case.rows[node, "m", 7]
    assert case.figures()["lost"] == 1


def test_a_replica_that_never_caught_up_is_a_finding_and_no_loss(case: Case) -> None:
    """The others are evidence all the same."""
    why = "it follows timeline 1, the primary writes timeline 2"
    case.nodes[LAGGING] |= {"caught_up": False, "why_not": why}
    for n in range(COUNT):
        del case.rows[LAGGING, "m", n]
    found = case.figures()
    assert (found["lost"], found["checked"]) == (0, True)
    assert found["not_caught_up"] == [{"node": LAGGING, "why": why}]


def test_a_loss_is_a_loss_though_another_node_never_caught_up(case: Case) -> None:
    case.nodes[LAGGING]["caught_up"] = False
    del case.rows[REPLICA, "m", 7]
    found = case.figures()
    assert found["lost"] == 1
    assert found["not_caught_up"] == [{"node": LAGGING, "why": "it was behind"}]


def test_a_primary_that_could_not_be_read_lost_nothing(case: Case) -> None:
    case.nodes[PRIMARY] |= {"error": "psql exited with 2", "caught_up": False}
    case.rows = {key: rows for key, rows in case.rows.items() if key[0] != PRIMARY}
    found = case.figures()
    assert (found["checked"], found["lost"]) == (False, None)
    assert found["why_not"] == "the primary could not be read: psql exited with 2"


def test_without_a_primary_there_is_no_check(case: Case) -> None:
    case.nodes[PRIMARY] |= {"role": "unknown", "caught_up": False, "error": "db-1 does not run"}
    found = case.figures()
    assert (found["checked"], found["lost"]) == (False, None)
    assert found["why_not"] == "no database node said that it is the primary"
    assert found["not_caught_up"] == []  # there is nothing to catch up with


def test_a_write_of_unknown_outcome_may_be_there_or_not(case: Case) -> None:
    case.outcomes["m"][3] = case.outcomes["m"][4] = "unknown"
    for node in case.nodes:
        del case.rows[node, "m", 4]
    found = case.figures()
    assert (found["lost"], found["phantom"], found["unknown"]) == (0, 0, 2)


def test_a_write_that_surely_failed_must_not_be_there(case: Case) -> None:
    case.outcomes["c"][3] = "failed"
    assert case.figures()["phantom"] == 1


def test_one_token_in_two_rows_is_a_duplicate(case: Case) -> None:
    for node in case.nodes:
        case.rows[node, "m", 9] = 2
    found = case.figures()
    assert found["duplicates"] == 1
    assert found["examples"]["duplicates"] == ["m9"]


def test_two_primaries_are_no_check(case: Case) -> None:
    case.nodes[REPLICA]["role"] = "primary"
    found = case.figures()
    assert found["checked"] is False
    assert found["lost"] is None
    assert found["why_not"] == "more than one node said that it is the primary: db-1, db-2"
