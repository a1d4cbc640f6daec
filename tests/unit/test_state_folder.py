"""One place for a user's state, whatever the working directory; what is elsewhere is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import state_folder
from harness.errors import HarnessError, RecordError
from harness.state_folder import state_folders, state_root, unhealed


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, no XDG_STATE_HOME, and a /tmp of our own."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(state_folder, "TEMPORARY", tmp_path / "tmp")
    return path


@pytest.fixture
def no_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user id without an account, and no HOME: a container that runs with --user 54321."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", unknown)
    return home.parent / "tmp" / f"harness-{os.getuid()}"


def _record(folder: Path, text: str = '{"fault": "kill-1"}\n') -> Path:
    folder.mkdir(parents=True)
    journal = folder / "journal.jsonl"
    journal.write_text(text)
    return journal


@pytest.mark.usefixtures("home")
def test_the_working_directory_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = state_root()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "docker-compose.yml").write_text("")
    monkeypatch.chdir(elsewhere)
    assert state_root() == first == tmp_path / "home" / ".local" / "state" / "harness"
    assert not first.exists()  # asking makes nothing


def test_the_xdg_variable_comes_first_and_must_be_absolute(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_root() == tmp_path / "xdg" / "harness"
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert state_root() == home / ".local" / "state" / "harness"


def test_without_a_home_there_is_a_folder_that_only_this_user_can_write_to(no_home: Path) -> None:
    assert state_root() == no_home
    assert no_home.stat().st_mode & 0o777 == 0o700
    assert state_root() == no_home  # again: it is there now


def test_a_home_that_cannot_be_made_is_no_home(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert state_root() == tmp_path / "tmp" / f"harness-{os.getuid()}"
    monkeypatch.setenv("HOME", str(home))
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != home and real(path, mode))
    assert state_root() == tmp_path / "tmp" / f"harness-{os.getuid()}"


def test_state_that_is_there_is_used_even_if_it_cannot_be_written_to(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = _record(home / ".local" / "state" / "harness" / "shop")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert state_root() == journal.parents[1]


def test_a_folder_of_somebody_else_is_refused(
    no_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_home.mkdir(mode=0o700)
    no_home.chmod(0o777)
    with pytest.raises(HarnessError, match="not a private folder of this user") as caught:
        state_root()
    assert "XDG_STATE_HOME" in caught.value.hint
    no_home.chmod(0o700)
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)  # as another user sees it
    no_home.rename(no_home.with_name(f"harness-{uid + 1}"))
    with pytest.raises(HarnessError, match="not a private folder of this user"):
        state_root()


def test_a_link_to_a_folder_elsewhere_is_refused(no_home: Path, tmp_path: Path) -> None:
    no_home.symlink_to(tmp_path)
    with pytest.raises(HarnessError, match="not a private folder of this user"):
        state_root()
    assert state_folders_or_error(tmp_path) == "HarnessError"


def test_a_temporary_folder_that_cannot_be_made_is_a_clear_error(
    no_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(state_folder, "TEMPORARY", tmp_path / "missing")
    with pytest.raises(RecordError, match="cannot be written"):
        state_root()


def state_folders_or_error(checkout: Path) -> str:
    try:
        state_folders(checkout)
    except HarnessError as error:
        return type(error).__name__
    return ""


def test_every_place_with_a_fault_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where another variable was set, where there was no home, where earlier versions kept it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    private = tmp_path / "tmp" / f"harness-{os.getuid()}"
    private.mkdir(mode=0o700)
    checkout = tmp_path / "checkout"
    places = [
        tmp_path / "xdg" / "harness", home / ".local" / "state" / "harness", private,
        checkout / ".harness",
    ]  # fmt: skip
    journals = [_record(place / "shop") for place in places]
    _record(tmp_path / "xdg" / "harness" / "whole", "\n")
    assert unhealed(checkout) == journals
    assert len(state_folders(checkout)) == 5


def test_a_record_that_somebody_else_may_have_written_is_not_believed(
    home: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "tmp" / f"harness-{os.getuid()}"
    _record(shared / "shop")
    shared.chmod(0o777)
    assert unhealed(tmp_path / "checkout") == []
