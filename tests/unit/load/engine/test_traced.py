"""Which requests of a stream are noted with their number, and so with their trace id."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.load.engine.config import EngineConfig
from harness.load.engine.loop import Engine
from harness.load.engine.response import Head, Heads, Response
from harness.model.load import Load, Operation
from harness.record.folder import RunFolder


def recorded(folder: RunFolder, stream: str, *answers: tuple[int, int]) -> list[dict[str, Any]]:
    """What is noted of answers to requests of these numbers, by status (0: none came)."""
    config = EngineConfig(
        stream=stream, run_id="run", seed=1, endpoints=[("127.0.0.1", 80)],
        load=Load(rate_per_s=1, mix={"look": 1.0}).model_dump(mode="json"),
        operations={"look": Operation(path="/", limit_s=1.0).model_dump(mode="json")},
        mix={"look": 1.0}, samples=str(folder.samples_dir),
    )  # fmt: skip
    engine = Engine(config)
    engine._recorder.began_s = 100.0
    for number, status in answers:
        response = Response(Heads())
        if status:
            response.head = Head(f"HTTP/1.1 {status} X\r\nX-Served-By: app-2".encode())
        connection: Any = SimpleNamespace(
            values=(7, number, 0, b""), response=response, outcome="" if status else "timeout",
            due_s=101.0, sent_s=101.0, done_s=101.5,
        )  # fmt: skip
        engine._record(connection, 0)
    engine._recorder.close()
    rows: list[dict[str, Any]] = folder.read_traced(stream).to_pylist()
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.create()
    return made


def test_of_the_load_what_was_sampled_and_what_failed(folder: RunFolder) -> None:
    rows = recorded(folder, "main", (0, 200), (1, 200), (2, 503), (100, 503), (101, 0))
    same = {"op": "look", "intended_s": 1.0, "done_s": 1.5}
    assert rows == [
        {"n": 0, **same, "status": 200, "error": "", "served_by": "app-2", "is_sampled": True},
        {"n": 2, **same, "status": 503, "error": "wrong_status", "served_by": "app-2",
         "is_sampled": False},
        {"n": 100, **same, "status": 503, "error": "wrong_status", "served_by": "app-2",
         "is_sampled": True},
        {"n": 101, **same, "status": 0, "error": "timeout", "served_by": "", "is_sampled": False},
    ]  # fmt: skip


def test_of_a_canary_all(folder: RunFolder) -> None:
    rows = recorded(folder, "canary", (1, 200), (2, 503))
    assert [(row["n"], row["is_sampled"]) for row in rows] == [(1, True), (2, True)]


def test_without_any_there_is_none(folder: RunFolder) -> None:
    """As in the folders of earlier versions."""
    assert folder.read_traced("main").to_pylist() == []
