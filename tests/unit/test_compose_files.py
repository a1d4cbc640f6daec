"""A project's files are found as Compose finds them: the real binary is asked, no engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness.adapters.compose_project import ComposeProject, compose_command
from harness.compose_files import NAMES, OVERRIDES, find_compose_files, read_environment
from harness.model.target import Target

BASE = "name: shop\nservices: {{web: {{image: 'web:1', environment: {{FROM: {0}}}}}}}\n"
OVER = "services: {{web: {{environment: {{OVER: {0}}}}}}}\n"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with folders below it."""
    for name in ("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "shop"
    (root / "sub" / "deep").mkdir(parents=True)
    monkeypatch.chdir(root)
    return root


def _write(*names: str) -> None:
    for name in names:
        text = OVER if "override" in name or "more" in name else BASE
        Path(name).write_text(text.format(Path(name).name))


def _as_compose(folder: Path) -> dict[str, str]:
    """The environment of the service as `docker compose` in that folder makes it."""
    command = [*compose_command(), "config", "--format", "json"]
    done = subprocess.run(
        command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=30, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)["services"]["web"]["environment"]
    return found


def _as_we(folder: Path) -> dict[str, str]:
    config = ComposeProject(Target(compose=find_compose_files(folder))).config()
    found: dict[str, str] = config["services"]["web"]["environment"]
    return found


@pytest.mark.parametrize(
    "names",
    [
        NAMES[:1],
        NAMES,
        NAMES[2:],
        (NAMES[3], *OVERRIDES),
        (NAMES[0], *OVERRIDES[2:]),
        (NAMES[1], OVERRIDES[3]),
        ("compose.yaml", "sub/docker-compose.yaml", "docker-compose.override.yml"),
    ],
    ids="+".join,
)
@pytest.mark.parametrize("start", [".", "sub", "sub/deep"])
def test_files_and_overrides_from_any_folder_of_the_project(
    root: Path, names: tuple[str, ...], start: str
) -> None:
    _write(*names)
    assert _as_we(root / start) == _as_compose(root / start) != {}


@pytest.mark.parametrize("text", ["a.yaml", "a.yaml:more.yaml", "sub/b.yaml:more.yaml"])
@pytest.mark.parametrize("place", ["shell", ".env"])
def test_the_variable_that_names_them(
    root: Path, text: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write("a.yaml", "more.yaml", "sub/b.yaml", "compose.yaml", "compose.override.yaml")
    if place == "shell":
        monkeypatch.setenv("COMPOSE_FILE", text)
    else:
        Path(".env").write_text(f"COMPOSE_FILE={text}\n")
    assert _as_we(root) == _as_compose(root)
    assert find_compose_files(root) == tuple(root / name for name in text.split(":"))


def test_the_shell_comes_before_the_file_and_may_have_its_own_separator(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write("a.yaml", "more.yaml", "compose.yaml")
    Path(".env").write_text("COMPOSE_FILE=compose.yaml\n")
    monkeypatch.setenv("COMPOSE_FILE", "a.yaml;more.yaml")
    monkeypatch.setenv("COMPOSE_PATH_SEPARATOR", ";")
    assert _as_we(root) == _as_compose(root) == {"FROM": "a.yaml", "OVER": "more.yaml"}


def test_no_files(root: Path) -> None:
    (root / "compose.yaml").mkdir()
    assert find_compose_files(root / "sub" / "deep") == ()
    assert read_environment(root) == {}


def test_a_file_that_the_variable_names_is_named_though_it_is_gone(root: Path) -> None:
    Path(".env").write_text('COMPOSE_FILE="gone.yaml"\n')
    assert find_compose_files(root) == (root / "gone.yaml",)
