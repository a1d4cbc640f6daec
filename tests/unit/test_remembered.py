"""What a run leaves for `down` and `heal`; damage to it stops neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.target import Part
from harness.remembered import FILE, Remembered, forget, recall, remember

A, B = Path("/a.yaml"), Path("/b.yaml")


def test_overrides_of_all_runs_are_kept_and_the_services_of_the_last(tmp_path: Path) -> None:
    remember(tmp_path, (A,), {"web": Part(role="app")})
    remember(tmp_path, (), {})
    remember(tmp_path, (B, A), {"db": Part(toxiproxy="8474")})
    assert recall(tmp_path) == Remembered(overrides=(A, B), services={"db": Part(toxiproxy="8474")})
    forget(tmp_path)
    assert recall(tmp_path) == Remembered()
    forget(tmp_path)


def test_the_engine_is_that_of_the_last_run(tmp_path: Path) -> None:
    remember(tmp_path, (), {}, "tcp://192.0.2.7:2376")
    assert recall(tmp_path).engine == "tcp://192.0.2.7:2376"
    remember(tmp_path, (), {}, "unix:///var/run/docker.sock")
    assert recall(tmp_path).engine == "unix:///var/run/docker.sock"
    (tmp_path / FILE).write_text('{"overrides": [], "services": {}}')  # of an earlier version
    assert recall(tmp_path).engine == ""


def test_where_there_is_nothing_to_keep_nothing_is_written(tmp_path: Path) -> None:
    remember(tmp_path, (), {})
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"overrides": 1}', "{", "\xff"])
def test_what_is_damaged_counts_as_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    assert recall(tmp_path) == Remembered()
    remember(tmp_path, (A,), {})
    assert recall(tmp_path).overrides == (A,)
