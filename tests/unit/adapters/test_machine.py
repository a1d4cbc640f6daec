"""No engine here: what doctor says of a machine without one, and of a left-over journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.adapters.machine import Check, check_machine


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Not a missing socket file: the SDK forgets to close its end of that one.
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


def _named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_every_check_that_fails_says_what_was_found_and_what_mends_it(tmp_path: Path) -> None:
    failed = [check for check in check_machine(tmp_path) if not check.ok]
    assert {"engine", "virtual environment"} <= {check.name for check in failed}
    assert all(check.found and check.remedy for check in failed)


def test_what_needs_an_engine_is_left_out_without_one(tmp_path: Path) -> None:
    names = {check.name for check in check_machine(tmp_path)}
    assert names.isdisjoint({"images", "base image", "subnet", "ports"})
    assert {"python", "compose", "buildx", "memory", "undo journal"} <= names


@pytest.mark.parametrize("place", [".harness", "state/harness"])  # earlier versions', and ours
def test_a_fault_in_the_journal_is_reported_with_the_command_that_heals(
    tmp_path: Path, place: str
) -> None:
    journal = tmp_path / place / "harness-1" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("")
    assert _named(check_machine(tmp_path), "undo journal").ok
    journal.write_text('{"fault": "f1"}\n')
    check = _named(check_machine(tmp_path), "undo journal")
    assert not check.ok
    assert check.remedy == "harness heal"


def test_an_environment_cut_off_half_way_is_not_ok(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    assert not _named(check_machine(tmp_path), "virtual environment").ok
    (tmp_path / ".venv" / "bin" / "harness").touch(mode=0o755)
    assert _named(check_machine(tmp_path), "virtual environment").ok
