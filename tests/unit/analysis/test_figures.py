"""Figures of requests, shares and seconds against the plainest way to compute each."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain import plain

from harness.analysis import load_health, series
from harness.analysis.reading import read_record
from harness.aspects import operations, shares
from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.model.experiment import Phase
from harness.model.plan_json import plan_to_json
from harness.plan import make_plan
from harness.record.folder import RunFolder
from harness.record.run import NOT_THE_TARGETS, Record
from harness.record.tables import SAMPLES, write_samples

EXPERIMENT = b"""\
title: A claim
load: {rate: 40/s, mix: {redirect: 0.5, create: 0.5}}
phases: {warmup: 2s, baseline: 3500ms, fault: 4s}
expect: {fault: {redirect: [p95 < 1s]}}
"""
Row = dict[str, Any]
ERRORS = ("", "", "", "timeout", "wrong_status", "dropped", "unfinished")


def make_row(chance: random.Random, number: int) -> Row:
    due_s = chance.uniform(0, 9)  # nothing in the last half second
    error = chance.choice(ERRORS)
    op = chance.choice(("redirect", "create"))
    sent_s = math.nan if error == "dropped" else due_s + chance.uniform(0, 0.08)
    tier = chance.choice(("", "local", "redis", "db")) if op == "redirect" else ""
    return {
        "op": op, "key": number, "intended_s": due_s, "sent_s": sent_s,
        "done_s": sent_s + chance.uniform(0, 0.5), "status": 200, "ok": not error, "error": error,
        "bytes": 1, "served_by": chance.choice(("", "edge", "app-1", "app-2")), "cache": tier,
        "db_node": chance.choice(("db-1", "db-2")) if tier == "db" else "",
        "write": "" if op == "redirect" else "ok",
    }  # fmt: skip


class Run:
    """The same requests as rows and as a record that was read from a folder's parts."""

    def __init__(self, path: Path, seed: int) -> None:
        chance = random.Random(seed)
        self.rows = {
            stream: [make_row(chance, number) for number in range(count)]
            for stream, count in (("main", 400), ("canary", 90))
        }
        experiment = parse_experiment(EXPERIMENT, Path("x.yaml"), KINDS, None, shortener_traffic)
        folder = RunFolder(path)
        folder.create()
        folder.write_json("plan.json", plan_to_json(make_plan(experiment, 1), experiment))
        folder.write_text("events.jsonl", "")
        for stream, rows in self.rows.items():
            for part in range(3):  # each with other names first, and in no order of time
                columns = {c: [row[c] for row in rows[part::3]] for c in SAMPLES.names}
                write_samples(folder.samples_dir, stream, part, columns)
        self.record: Record = read_record(folder)

    @property
    def everything(self) -> list[Row]:
        return self.rows["main"] + self.rows["canary"]


@pytest.fixture(params=range(3))
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    return Run(tmp_path / "run", request.param)


def due_in(rows: list[Row], phase: Phase) -> list[Row]:
    return [row for row in rows if phase.start_s <= row["intended_s"] < phase.end_s]


def percentile(values: list[float], share: float) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return float(np.percentile(known, share)) if known else None


def test_the_record_is_what_was_written_in_order_of_time(run: Run) -> None:
    for stream, frame in (("main", run.record.main), ("canary", run.record.canary)):
        expected = sorted(run.rows[stream], key=lambda row: row["intended_s"])
        for column in frame.columns:
            found = [str(value) for value in frame[column].tolist()]
            assert found == [str(row[column]) for row in expected], column


def test_requests_of_each_operation_and_phase(run: Run) -> None:
    found = plain(operations.figures(run.record))
    for op in ("redirect", "create"):
        for phase in run.record.judged:
            rows = [row for row in due_in(run.everything, phase) if row["op"] == op]
            rows = [row for row in rows if row["error"] not in NOT_THE_TARGETS]
            figures = found[op][phase.name]
            errors = Counter(row["error"] for row in rows if row["error"])
            assert figures["requests"] == len(rows) > 0
            assert figures["errors"] == errors
            assert figures["failed"] == errors.total()
            assert figures["error_rate"] == pytest.approx(errors.total() / len(rows))
            assert figures["success_rate"] == pytest.approx(1 - errors.total() / len(rows))
            for kind, since in (("response_time_s", "intended_s"), ("service_time_s", "sent_s")):
                times = [row["done_s"] - row[since] for row in rows]
                expected = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9, "max": 100}
                for name, share in expected.items():
                    assert figures[kind][name] == pytest.approx(percentile(times, share))


def test_shares_of_each_phase(run: Run) -> None:
    def expected(rows: list[Row], column: str, is_wanted: Callable[[Row], bool]) -> Any:
        wanted = [row for row in rows if is_wanted(row)]
        table: dict[str, dict[str, float]] = {row[column]: {} for row in wanted}
        for phase in run.record.judged:
            counts = Counter(row[column] for row in due_in(wanted, phase))
            for name, row in table.items():
                row[phase.name] = counts[name] / counts.total()
        return {name: pytest.approx(row) for name, row in table.items()}

    assert shares.figures(run.record).traffic_share == expected(
        run.everything, "served_by", lambda row: row["served_by"] not in ("", "edge")
    )
    assert shares.figures(run.record).cache_share == expected(
        run.rows["main"], "cache", lambda row: row["cache"] != ""
    )
    assert shares.figures(run.record).replica_share == expected(
        run.everything, "db_node", lambda row: row["db_node"] != ""
    )


def test_each_second_of_the_series(run: Run) -> None:
    found = series.figures(run.record)
    assert found.t_s == list(range(10))
    for second in range(10):
        window = Phase(name="", start_s=second, end_s=second + 1)
        main, canary = due_in(run.rows["main"], window), due_in(run.rows["canary"], window)
        assert found.offered_per_s[second] == len(main)
        sent = [row for row in main if not math.isnan(row["sent_s"])]
        assert found.achieved_per_s[second] == len(sent)
        reads = [row for row in main + canary if row["db_node"]]
        for op in ("redirect", "create"):
            rows = [row for row in main if row["op"] == op]
            failed = [row for row in rows if not row["ok"]]
            assert found.failed_per_s[op][second] == len(failed)
            times = [row["done_s"] - row["intended_s"] for row in rows]
            figure = found.response_time_s[op]["p95"][second]
            assert figure == pytest.approx(percentile(times, 95) or math.nan, nan_ok=True)
            mine = [row for row in canary if row["op"] == op]
            assert found.canary[op].ok[second] == sum(row["ok"] for row in mine)
        for node in ("db-1", "db-2"):
            share = sum(row["db_node"] == node for row in reads) / len(reads) if reads else math.nan
            figure = found.replica_share[node][second]
            assert figure == pytest.approx(share, nan_ok=True)


def test_how_the_load_kept_its_schedule(run: Run) -> None:
    found = load_health.figures(run.record)
    rows = due_in(run.everything, run.record.judged[-1])
    late_s = [row["sent_s"] - row["intended_s"] for row in rows]
    dropped = sum(row["error"] == "dropped" for row in rows)
    assert (found.intended, found.dropped) == (len(rows), dropped)
    assert found.send_lateness_s["p99"] == pytest.approx(percentile(late_s, 99))
    on_time = [late for late in late_s if late <= load_health.ON_TIME_S]
    assert found.on_schedule_share == pytest.approx(len(on_time) / (len(rows) - dropped))
    assert found.healthy is False


@pytest.mark.parametrize("stream", ["main", "canary"])
def test_a_stream_without_requests_is_no_error(tmp_path: Path, stream: str) -> None:
    made = Run(tmp_path / "run", 1)
    for part in (tmp_path / "run" / "samples").glob(f"{stream}-*"):
        part.unlink()
    record = read_record(RunFolder(tmp_path / "run"))
    assert len(made.rows[stream]) > len(getattr(record, stream)) == 0
    assert operations.figures(record)["redirect"]["run"].requests > 0
    assert len(series.figures(record).offered_per_s) == 10
    found = shares.figures(record)
    assert found.traffic_share.keys() == {"app-1", "app-2"}  # of the stream that is left
    assert found.cache_share.keys() == ({"local", "redis", "db"} if stream == "canary" else set())
