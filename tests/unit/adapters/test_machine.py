"""No engine here: what doctor says of a machine without one, and of a left-over journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.adapters import machine
from harness.adapters.machine import Check, check_machine
from harness.errors import EngineError


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Not a missing socket file: the SDK forgets to close its end of that one.
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


def _named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_every_check_that_fails_says_what_was_found_and_what_mends_it(tmp_path: Path) -> None:
    checks = check_machine(tmp_path, is_bundled=True)
    failed = [check for check in checks if not check.ok]
    assert {"engine", "virtual environment"} <= {check.name for check in failed}
    assert all(check.found and check.remedy for check in failed)
    assert _named(checks, "engine").remedy == "make setup"


def test_what_needs_an_engine_is_left_out_without_one(tmp_path: Path) -> None:
    names = {check.name for check in check_machine(tmp_path, is_bundled=True)}
    assert names.isdisjoint({"images", "base image", "subnet", "ports"})
    assert {"python", "compose", "buildx", "memory", "undo journal"} <= names


def test_who_has_a_project_of_their_own_needs_nothing_of_the_bundled_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compose() -> list[str]:
        raise EngineError("no Compose here", "install it")

    monkeypatch.setattr(machine, "compose_command", no_compose)
    checks = check_machine(tmp_path, is_bundled=False)
    names = [check.name for check in checks]
    assert names == ["python", "compose", "memory", "speed", "engine", "disk", "undo journal"]
    assert _named(checks, "compose").remedy == "install it"
    assert "DOCKER_HOST" in _named(checks, "engine").remedy
    assert not any("make" in check.remedy for check in checks if not check.ok)
    (in_checkout,) = [c for c in check_machine(tmp_path, is_bundled=True) if c.name == "compose"]
    assert in_checkout.remedy == "make setup"


def test_reports_need_room_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "OWN_DISK_GIB", 1e9)
    check = _named(check_machine(tmp_path, is_bundled=False), "disk")
    assert not check.ok
    assert str(tmp_path) in check.found


@pytest.mark.parametrize("place", [".harness", "state/harness"])  # earlier versions', and ours
def test_a_fault_in_the_journal_is_reported_with_the_command_that_heals(
    tmp_path: Path, place: str
) -> None:
    journal = tmp_path / place / "harness-1" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("")
    assert _named(check_machine(tmp_path, is_bundled=False), "undo journal").ok
    journal.write_text('{"fault": "f1"}\n')
    check = _named(check_machine(tmp_path, is_bundled=False), "undo journal")
    assert not check.ok
    assert check.remedy == "harness heal"


def test_an_environment_cut_off_half_way_is_not_ok(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    assert not _named(check_machine(tmp_path, is_bundled=True), "virtual environment").ok
    (tmp_path / ".venv" / "bin" / "harness").touch(mode=0o755)
    assert _named(check_machine(tmp_path, is_bundled=True), "virtual environment").ok
