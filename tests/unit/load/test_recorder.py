"""The recorder writes whole parts off the sending thread, and survives a full disk."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from harness.load.recorder import ROWS_MAX, Recorder, Row

ROW: Row = ("create", 7, 0.1, 0.2, 0.3, 201, True, "", 99, "app-1", "db", "db-1", "ok")


def test_rows_come_back_as_they_were_added(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "main")
    recorder.add(ROW)
    recorder.flush()
    recorder.add(ROW)
    recorder.close()
    parts = sorted(tmp_path.iterdir())
    assert [part.name for part in parts] == ["main-00000.parquet", "main-00001.parquet"]
    assert tuple(pq.read_table(parts[0]).to_pylist()[0].values()) == ROW


def test_many_rows_do_not_wait_for_a_flush(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "main")
    for _ in range(ROWS_MAX + 1):
        recorder.add(ROW)
    recorder.close()
    counts = [pq.read_metadata(part).num_rows for part in sorted(tmp_path.iterdir())]
    assert counts == [ROWS_MAX, 1]


def test_what_cannot_be_written_is_told_and_does_not_end_the_recorder(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    recorder = Recorder(folder, "main")
    recorder.add(ROW)
    recorder.flush()
    recorder.close()
    assert str(folder) in recorder.error
