"""What a user's own class sees: who answered, and what was wrong, with its secrets taken out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq

from harness.load.user_recorder import UserRecorder
from harness.model.answer_headers import headers_by_column
from harness.record.examples import read_examples


def test_who_answered_is_said_by_the_headers_of_the_target(tmp_path: Path) -> None:
    cache = {"name": "X-Cache-Status", "values": {"HIT": "cache"}}
    recorder = UserRecorder(tmp_path, "main", headers_by_column({"cache": cache}))
    headers = {"X-Cache-Status": "hit", "X-Cache": "other", "X-Served-By": "web-1"}
    recorder.add("GET", "look", 5.0, 9, response=SimpleNamespace(status_code=200, headers=headers))
    recorder.add("GET", "look", 5.0, 0, exception=ConnectionRefusedError("refused"))
    recorder.close()
    rows = pq.read_table(tmp_path / "main-00000.parquet").to_pylist()
    assert [(row["served_by"], row["cache"], row["db_node"]) for row in rows] == [
        ("web-1", "cache", ""), ("", "", ""),
    ]  # fmt: skip


def test_what_it_said_was_wrong_is_kept(tmp_path: Path) -> None:
    recorder = UserRecorder(tmp_path, "main", headers_by_column({}))
    recorder.begin(0.0)
    headers = {"Authorization": "Bearer abcdefgh"}
    response = SimpleNamespace(
        status_code=200, headers={}, request=SimpleNamespace(headers=headers)
    )
    recorder.add("GET", "/", 1.0, 9, response=response, exception=ValueError("no abcdefgh: empty"))
    recorder.add("GET", "/", 1.0, 9, response=response, exception=ValueError("a moment later"))
    recorder.add("GET", "/ok", 1.0, 9, response=response, exception=None)
    recorder.add("GET", "/gone", 1.0, 0, response=None, exception=ConnectionRefusedError("refused"))
    recorder.close()
    (found,) = read_examples(tmp_path)
    assert (found.operation, found.error, found.stream) == ("/", "wrong_content", "main")
    assert (found.status, found.expected) == (200, "")
    assert found.came == "status 200, no ***: empty"
