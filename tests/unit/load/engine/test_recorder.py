"""The recorder writes whole parts off the sending thread, and survives a full disk."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow.parquet as pq

from harness.load.engine.recorder import Recorder, Row


def row(recorder: Recorder, key: int, error: str = "") -> Row:
    names = recorder.names
    served = (names["served_by"]["app-1"], names["cache"]["db"], names["db_node"]["db-1"])
    answer = (201, names["error"][error], 99)
    times = (10.5, 10.75, 11.0)
    return (names["op"]["create"], key, *times, *answer, *served, names["write"]["ok"])


def test_rows_come_back_as_they_were_added(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "main")
    recorder.began_s = 10.0
    recorder.add(row(recorder, 7))
    columns = recorder.collect()
    assert columns is not None
    assert columns["intended_s"].tolist() == [0.5]
    recorder.flush()
    recorder.add(row(recorder, 2**40, "timeout"))
    recorder.close()
    parts = sorted(tmp_path.iterdir())
    assert [part.name for part in parts] == ["main-00000.parquet", "main-00001.parquet"]
    first, second = (tuple(pq.read_table(part).to_pylist()[0].values()) for part in parts)
    served = ("app-1", "db", "db-1", "ok")
    assert first == ("create", 7, 0.5, 0.75, 1.0, 201, True, "", 99, *served)
    assert second == ("create", 2**40, 0.5, 0.75, 1.0, 201, False, "timeout", 99, *served)


def test_what_was_never_sent_has_no_times(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "main")
    dropped = recorder.names["error"]["dropped"]
    recorder.add((0, 1, 0.5, math.nan, math.nan, 0, dropped, 0, 0, 0, 0, 0))
    recorder.close()
    only = pq.read_table(tmp_path / "main-00000.parquet").to_pylist()[0]
    assert math.isnan(only["sent_s"])
    assert only["error"] == "dropped"


def test_nothing_is_written_twice_or_for_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "main")
    assert recorder.collect() is None
    recorder.flush()
    recorder.add(row(recorder, 1))
    recorder.collect()
    assert recorder.collect() is None
    recorder.close()
    assert [pq.read_metadata(part).num_rows for part in tmp_path.iterdir()] == [1]


def test_what_cannot_be_written_is_told_and_does_not_end_the_recorder(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    recorder = Recorder(folder, "main")
    recorder.add(row(recorder, 1))
    recorder.close()
    assert str(folder) in recorder.error


def test_tokens_are_written_with_their_rows(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "main-w3")
    recorder.add(row(recorder, 1))
    recorder.collect()
    recorder.flush()
    for number in (2, 3):
        recorder.add_token((number, f"t-{number}"))
        recorder.add(row(recorder, number))
    recorder.close()
    parts = sorted(path.name for path in tmp_path.iterdir())
    assert parts == [
        "main-w3-00000.parquet", "main-w3-00001.parquet", "tokens-main-w3-00000.parquet",
    ]  # fmt: skip
    found = pq.read_table(tmp_path / parts[-1]).to_pylist()
    assert found == [{"n": 2, "token": "t-2"}, {"n": 3, "token": "t-3"}]


def test_what_was_traced_is_written_with_its_rows_in_seconds_since_run_start(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path, "canary")
    recorder.began_s = 10.0
    recorder.add(row(recorder, 1))
    recorder.add_traced((4, "create", 10.5, 11.0, 503, "wrong_status", "app-1", True))
    recorder.collect()
    recorder.flush()
    recorder.add(row(recorder, 2))
    recorder.close()
    assert [path.name for path in sorted(tmp_path.glob("traced-*"))] == [
        "traced-canary-00000.parquet"
    ]
    assert pq.read_table(tmp_path / "traced-canary-00000.parquet").to_pylist() == [
        {"n": 4, "op": "create", "intended_s": 0.5, "done_s": 1.0, "status": 503,
         "error": "wrong_status", "served_by": "app-1", "is_sampled": True},
    ]  # fmt: skip
