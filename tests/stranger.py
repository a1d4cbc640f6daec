"""Somebody who has installed the wheel, and never saw the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
OFFLINE = ["--no-deps", "--no-index"]
LIMIT_S = 60


@dataclass(frozen=True)
class Stranger:
    """Whose commands run in `folder`, with a home, a state and an environment of their own."""

    bin: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def harness(
        self, *arguments: str, cwd: Path | None = None, timeout_s: float = LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        return self.run("harness", *arguments, cwd=cwd, timeout_s=timeout_s)

    def run(
        self, *command: str, cwd: Path | None = None, timeout_s: float = LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        home = self.folder.parent
        environment = {
            "PATH": os.pathsep.join([str(self.bin), os.environ["PATH"]]),
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            **self.environment,
        }
        program = shutil.which(command[0], path=environment["PATH"]) or command[0]
        return subprocess.run(
            [program, *command[1:]], cwd=cwd or self.folder, env=environment,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip


def build_wheel(folder: Path) -> Path:
    """Built out of a copy: building leaves folders beside what it builds."""
    source = folder / "source"
    shutil.copytree(ROOT / "harness", source / "harness", ignore=shutil.ignore_patterns("*.pyc"))
    for path in (*ROOT.glob("*.toml"), *ROOT.glob("*.in"), *ROOT.glob("*.md"), ROOT / "LICENSE"):
        shutil.copy(path, source)
    command = [*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run(command, timeout=LIMIT_S, check=True)
    [built] = folder.glob("*.whl")
    return built


def install_wheel(wheel: Path, home: Path) -> Path:
    """Into an empty environment, which borrows our dependencies; where its programs are."""
    venv = home / "venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", venv], timeout=LIMIT_S, check=True
    )
    python = venv / "bin" / "python"
    install = [*PIP, "--python", python, "install", *OFFLINE, "--no-compile", wheel]
    subprocess.run(install, timeout=LIMIT_S, check=True)
    [packages] = venv.glob("lib/python*/site-packages")
    # One line of a `.pth` is a path and no more: the checkout's own `.pth` in there does not act.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [python, "-c", "import harness; print(harness.__file__)"]
    found = subprocess.run(command, cwd=home, env={}, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(packages)), found.stdout
    return venv / "bin"
