"""A run folder as a record: every request in order of time, whatever the parts and their names."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.reading import COLUMNS, read_record
from harness.bundled.traffic import shortener_traffic
from harness.errors import RunFolderError
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.model.plan_json import plan_to_json
from harness.plan import make_plan
from harness.record.folder import RunFolder
from harness.record.tables import SAMPLES, write_samples

EXPERIMENT = b"""\
title: A claim
load: {rate: 40/s, mix: {redirect: 0.5, create: 0.5}}
phases: {warmup: 2s, fault: 4s}
faults: [{kill: {service: app-1}, at: fault + 1s}, {pause: {service: redis}, at: fault + 2s}]
expect: {fault: {redirect: [p95 < 1s]}}
"""
Row = dict[str, Any]
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["redirect", "create"]),
            "intended_s": st.integers(0, 12).map(lambda n: n / 4),
            "error": st.sampled_from(["", "timeout", "dropped"]),
            "served_by": st.sampled_from(["", "app-1", "app-2"]),
            "cache": st.sampled_from(["", "db"]),
            "ok": st.booleans(),
        }
    ),
    max_size=12,
)


@cache
def plan() -> dict[str, Any]:
    experiment = parse_experiment(EXPERIMENT, Path("x.yaml"), KINDS, None, shortener_traffic)
    return plan_to_json(make_plan(experiment, 1), experiment)


@contextmanager
def folder_of(
    *parts: tuple[str, list[Row]], events: list[Row] | None = None
) -> Iterator[RunFolder]:
    """A run folder with these parts of its streams."""
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name) / "run")
        folder.create()
        folder.write_json("plan.json", plan())
        folder.write_text("events.jsonl", "".join(f"{json.dumps(e)}\n" for e in events or []))
        count = {"main": 0, "canary": 0}
        for stream, rows in parts:
            columns = {c: [row[c] for row in rows] for c in SAMPLES.names}
            write_samples(folder.samples_dir, stream, count[stream], columns)
            count[stream] += 1
        yield folder


def whole(row: Row, key: int) -> Row:
    times = {"sent_s": row["intended_s"] + 0.25, "done_s": row["intended_s"] + 0.5}
    rest = {"key": key, "status": 200, "bytes": 1, "db_node": "", "write": ""}
    return {**rest, **times, **row}


@settings(max_examples=12)
@given(st.lists(st.tuples(st.sampled_from(["main", "canary"]), ROWS), max_size=4))
def test_requests_are_in_order_of_time_and_those_due_at_once_as_they_were_written(
    made: list[tuple[str, list[Row]]],
) -> None:
    parts = [
        (stream, [whole(row, 100 * number + at) for at, row in enumerate(rows)])
        for number, (stream, rows) in enumerate(made)
    ]
    with folder_of(*parts) as folder:
        record = read_record(folder)
    for stream, table in (("main", record.main), ("canary", record.canary)):
        rows = [row for name, part in parts if name == stream for row in part]
        expected = sorted(rows, key=lambda row: row["intended_s"])
        assert [*table.columns] == COLUMNS
        for column in COLUMNS:
            assert table[column].tolist() == [row[column] for row in expected], column


def test_names_are_categories_and_times_are_numbers() -> None:
    """So that a run of ten million requests fits into memory."""
    rows: Row = {"op": "redirect", "error": "", "served_by": "", "cache": "", "ok": True}
    with folder_of(("main", [whole({**rows, "intended_s": 1.0}, 7)])) as folder:
        main = read_record(folder).main
    names = ["op", "error", "served_by", "cache", "db_node", "write"]
    assert {name for name in COLUMNS if isinstance(main[name].dtype, pd.CategoricalDtype)} == {
        *names
    }
    assert {str(main[name].dtype) for name in ("intended_s", "sent_s", "done_s")} == {"float64"}
    assert (main["key"].dtype, main["ok"].dtype) == (np.int64, np.bool_)


def test_faults_are_those_of_the_plan_with_what_the_events_say() -> None:
    events: list[Row] = [
        {"event": "run.started", "t_s": 0.0},
        {"event": "fault.injecting", "t_s": 4.0, "fault": "pause-2", "kind": "pause",
         "target": "redis", "resolved": {"containers": [{"service": "redis"}]}},
    ]  # fmt: skip
    with folder_of(events=events) as folder:
        record = read_record(folder)
    assert record.experiment.name == "x"
    assert record.events == events
    assert [(row["fault"], row["start_s"]) for row in record.faults] == [
        ("kill-1", None), ("pause-2", 4.0),
    ]  # fmt: skip
    assert len(record.main) == len(record.canary) == 0


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"plan\.json"):
        read_record(RunFolder(tmp_path))
