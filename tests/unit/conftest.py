"""A small project on fakes, and the command line called on it in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_shop import COMPOSE_FILE, EXPERIMENT, Cli, Done, Shop
from fakes import PROJECT
from hypothesis import Phase, settings

from harness import state_folder
from harness.adapters import compose_project
from harness.cli import backups_command, main, stack_commands, stage_commands, ui_command
from harness.report import render
from harness.session import session

# For scripts/mutants.py: that an example fails is enough there, it need not be the smallest.
settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate])


@pytest.fixture(autouse=True)
def own_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever engine is meant where the tests run."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "default")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """`harness ARGUMENTS`, as wide as 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def call(*arguments: str | Path) -> Done:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse's way to end
            code = int(str(error.code))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory of its own, with a Compose file and an experiment."""
    root = tmp_path / "here"
    root.mkdir()
    (root / "docker-compose.yml").write_text(f"name: {PROJECT}\n" + COMPOSE_FILE.format(port=1))
    (root / "x.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(state_folder, "TEMPORARY", tmp_path)
    return root


@pytest.fixture
def shop(here: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """All commands see the fake project of `here`.

    Reports have no charts, which take longer than all the rest and have tests of their own.
    """
    made = Shop(here)
    monkeypatch.setattr(render, "make_charts", lambda *_, **__: [])
    monkeypatch.setattr(compose_project, "compose_command", lambda: [str(made.compose)])
    for module in (session, backups_command, stack_commands, stage_commands, ui_command):
        monkeypatch.setattr(module, "Project", made.project)
    monkeypatch.setattr(session, "LoadDriver", made.driver)
    monkeypatch.setattr(session, "preflight", made.preflight)
    monkeypatch.setattr(session, "Watchdog", made.watchdog)
    monkeypatch.setattr(stack_commands, "DockerEngine", lambda *_: made.tools.engine)
    monkeypatch.setattr(stack_commands, "tools_of", lambda *_: made.tools)
    return made
