"""No engine here: what doctor says of a machine without one, and of a left-over journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.adapters import machine
from harness.adapters.machine import Check, check_machine
from harness.bundled.shortener import stack_target
from harness.errors import EngineError
from harness.model.target import Link, Target


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Not a missing socket file: the SDK forgets to close its end of that one.
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


def _named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def _checks(root: Path) -> list[Check]:
    """What doctor says in a checkout."""
    return check_machine(stack_target(root), root, is_bundled=True)


def test_a_users_project_needs_no_checkout(tmp_path: Path) -> None:
    target = Target(compose=(tmp_path / "compose.yaml",))
    checks = check_machine(target, tmp_path, is_bundled=False)
    assert _named(checks, "project") == Check("project", ok=True, found=f"{tmp_path}/compose.yaml")
    assert "virtual environment" not in {check.name for check in checks}
    missing = _named(check_machine(Target(), tmp_path, is_bundled=False), "project")
    assert (missing.ok, missing.found) == (False, "no Compose file here or above")
    assert "--file compose.yaml" in missing.remedy


def test_every_check_that_fails_says_what_was_found_and_what_mends_it(tmp_path: Path) -> None:
    checks = _checks(tmp_path)
    failed = [check for check in checks if not check.ok]
    assert {"engine", "virtual environment"} <= {check.name for check in failed}
    assert all(check.found and check.remedy for check in failed)
    assert _named(checks, "engine").remedy == "make setup"


def test_what_needs_an_engine_is_left_out_without_one(tmp_path: Path) -> None:
    names = {check.name for check in _checks(tmp_path)}
    assert names.isdisjoint({"images", "base image", "subnet", "ports"})
    assert {"python", "compose", "buildx", "memory", "undo journal"} <= names


def test_who_has_a_project_of_their_own_needs_nothing_of_the_bundled_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compose() -> list[str]:
        raise EngineError("no Compose here", "install it")

    monkeypatch.setattr(machine, "compose_command", no_compose)
    checks = check_machine(Target(compose=(tmp_path / "compose.yaml",)), tmp_path, is_bundled=False)
    names = [check.name for check in checks]
    assert names == [
        "python",
        "project",
        "compose",
        "memory",
        "disk",
        "speed",
        "engine",
        "undo journal",
    ]
    assert _named(checks, "compose").remedy == "install it"
    assert "DOCKER_HOST" in _named(checks, "engine").remedy
    assert not any("make" in check.remedy for check in checks if not check.ok)
    assert _named(_checks(tmp_path), "compose").remedy == "make setup"


def test_reports_need_room_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "OWN_DISK_GIB", 1e9)
    check = _named(check_machine(Target(), tmp_path, is_bundled=False), "disk")
    assert not check.ok
    assert str(tmp_path) in check.found


@pytest.mark.parametrize("place", [".harness", "state/harness"])  # earlier versions', and ours
def test_a_fault_in_the_journal_is_reported_with_the_command_that_heals(
    tmp_path: Path, place: str
) -> None:
    journal = tmp_path / place / "harness-1" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("")
    assert _named(_checks(tmp_path), "undo journal").ok
    journal.write_text('{"fault": "f1"}\n')
    check = _named(_checks(tmp_path), "undo journal")
    assert not check.ok
    assert check.remedy == "harness heal"


def test_an_environment_cut_off_half_way_is_not_ok(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    assert not _named(_checks(tmp_path), "virtual environment").ok
    (tmp_path / ".venv" / "bin" / "harness").touch(mode=0o755)
    assert _named(_checks(tmp_path), "virtual environment").ok


def test_links_need_an_image_of_toxiproxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_LINKS_IMAGE", raising=False)
    (tmp_path / "compose.yaml").write_text("services: {db: {image: postgres}}")
    plain = Target(compose=(tmp_path / "compose.yaml",))
    linked = plain.model_copy(update={"links": {"db": Link(service="db", port=5432)}})
    assert machine._wanted_images(plain) == ["postgres:latest"]
    assert machine._wanted_images(linked) == ["postgres:latest", "harness-toxiproxy:local"]
    monkeypatch.setenv("HARNESS_LINKS_IMAGE", "mine")
    assert machine._wanted_images(linked) == ["postgres:latest", "mine:latest"]
