"""Wrong answers on disk: of all generators, in order of time; a damaged file is named."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.errors import RunFolderError
from harness.model.example import Example
from harness.record.examples import write_examples
from harness.record.folder import RunFolder


def example(at_s: float, stream: str = "main") -> Example:
    return Example(
        operation="home", error="wrong_status", stream=stream, at_s=at_s, status=500,
        expected="status 200", came="status 500, no redis",
    )  # fmt: skip


def folder(tmp_path: Path) -> RunFolder:
    found = RunFolder(tmp_path / "run")
    found.create()
    return found


def test_they_come_back_in_order_of_time(tmp_path: Path) -> None:
    run = folder(tmp_path)
    assert run.read_examples() == []
    write_examples(run.samples_dir, "main-w1", [example(3.0), example(1.0)])
    write_examples(run.samples_dir, "canary", [example(2.0, "canary")])
    write_examples(run.samples_dir, "main", [])
    assert run.read_examples() == [example(1.0), example(2.0, "canary"), example(3.0)]
    assert run.sample_parts("main") == []
    assert len(list(run.samples_dir.iterdir())) == 2


def test_what_a_later_version_adds_is_left_out(tmp_path: Path) -> None:
    run = folder(tmp_path)
    rows = [{**asdict(example(1.0)), "later": 1}]
    (run.samples_dir / "main-examples.json").write_text(json.dumps(rows))
    assert run.read_examples() == [example(1.0)]


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "[{}]", "3", '[{"operation": "home"}]', json.dumps({"a": 1})]
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    run = folder(tmp_path)
    (run.samples_dir / "main-examples.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"main-examples\.json"):
        run.read_examples()
