"""The package as others get it: a wheel, in an environment of its own, in a stranger's folder.

No network: the build's tools and the dependencies are those of the environment that runs the tests.
The harness itself is not: its checkout is on no path of the new environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = "20261127-210443-link-deletion"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
OFFLINE = ["--no-deps", "--no-index"]
LIMIT_S = 60
COMPOSE = """
name: stranger
services:
  web: {image: "stranger-web:1", ports: ["127.0.0.1:18980:80"],
        labels: {harness.role: app, harness.entry: "web:80"}}
  db: {image: "stranger-db:1", labels: {harness.role: db}}
"""
EXPERIMENT = """
title: The shop is there while its database is gone
load: {entry: web, rate: 20/s, canary_rate: 0/s, mix: {home: 1}, operations: {home: {path: /}}}
phases: {warmup: 1s, baseline: 5s, fault: 5s, recovery: 5s}
faults: [{kill: {service: db}}]
allow_total_loss: true
expect: {run: {home: [error_rate < 1%]}}
"""


@dataclass(frozen=True)
class Stranger:
    """Somebody who has installed the wheel, and never saw the checkout."""

    bin: Path
    folder: Path

    def harness(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return self.run("harness", *arguments, cwd=cwd)

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        home = self.folder.parent
        environment = {
            "PATH": os.pathsep.join([str(self.bin), os.environ["PATH"]]),
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "DOCKER_HOST": "tcp://127.0.0.1:1",  # nothing here may ask the engine of this machine
        }
        program = shutil.which(command[0], path=environment["PATH"]) or command[0]
        return subprocess.run(
            [program, *command[1:]], cwd=cwd or self.folder, env=environment,
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built out of a copy: building leaves folders beside what it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "harness", source / "harness", ignore=shutil.ignore_patterns("*.pyc"))
    for path in (*ROOT.glob("*.toml"), *ROOT.glob("*.in"), *ROOT.glob("*.md"), ROOT / "LICENSE"):
        shutil.copy(path, source)
    command = [*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run(command, timeout=LIMIT_S, check=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def stranger(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """The wheel in an empty environment, which then borrows the dependencies of ours."""
    home = tmp_path_factory.mktemp("stranger")
    venv, folder = home / "venv", home / "shop"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", venv], timeout=LIMIT_S, check=True
    )
    python = venv / "bin" / "python"
    install = [*PIP, "--python", python, "install", *OFFLINE, "--no-compile", wheel]
    subprocess.run(install, timeout=LIMIT_S, check=True)
    [packages] = venv.glob("lib/python*/site-packages")
    # One line of a `.pth` is a path and no more: the checkout's own `.pth` in there does not act.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "chaos").mkdir(parents=True)
    (folder / "docker-compose.yml").write_text(COMPOSE)
    (folder / "chaos" / "database.yaml").write_text(EXPERIMENT)
    made = Stranger(venv / "bin", folder)
    found = made.run("python", "-c", "import harness; print(harness.__file__)")
    assert found.stdout.startswith(str(packages)), found.stderr
    return made


def test_the_wheel_has_the_whole_package_and_says_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        needs = message_from_bytes(file.read(metadata)).get_all("Requires-Dist") or []
    own = {name for name in names if ".dist-info/" not in name}
    assert own == _own_files()
    assert {"harness/report/templates/report.html", "harness/bundled/table.py"} <= own
    lines = (ROOT / "requirements.in").read_text().split()
    assert [need for need in needs if "extra ==" not in need] == lines


def _own_files() -> set[str]:
    found = (path for path in (ROOT / "harness").rglob("*") if path.is_file())
    return {str(p.relative_to(ROOT)) for p in found if "__pycache__" not in p.parts}


def test_it_starts_and_knows_its_commands(stranger: Stranger) -> None:
    done = stranger.harness("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n    {command} " in done.stdout for command in ("run", "validate", "heal"))


def test_doctor_speaks_of_what_this_use_needs(stranger: Stranger) -> None:
    done = stranger.harness("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert {"python", "compose", "engine"} <= checks.keys()
    assert checks.keys().isdisjoint({"virtual environment", "base image", "subnet", "ports"})
    assert (done.returncode, checks["engine"]["ok"], checks["compose"]["ok"]) == (4, False, True)
    assert "make" not in checks["engine"]["remedy"].split()


def test_an_experiment_of_ones_own_is_validated_against_ones_own_services(
    stranger: Stranger,
) -> None:
    done = stranger.harness("validate", "chaos/database.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "chaos/database.yaml: ok"
    wrong = stranger.folder / "chaos" / "wrong.yaml"
    wrong.write_text(EXPERIMENT.replace("service: db", "service: dbb"))
    done = stranger.harness("validate", "chaos/wrong.yaml")
    wrong.unlink()
    assert done.returncode == 2
    assert "no service named dbb; did you mean db?" in done.stderr


@pytest.mark.parametrize("what", ["experiment", "result"])
def test_the_schemas_are_part_of_it(stranger: Stranger, what: str) -> None:
    done = stranger.harness("schema", what)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["title"].startswith("harness")


def test_a_run_folder_becomes_a_report(stranger: Stranger) -> None:
    """From its tables to the page: the templates and the chart library's files are there."""
    reports = stranger.folder / "reports"
    with tarfile.open(ROOT / "tests" / "recorded" / f"{RUN}.tar.xz") as archive:
        archive.extractall(reports, filter="data")
    [folder] = [path.parent for path in reports.rglob("plan.json")]
    for stage in ("analyze", "judge", "report"):
        done = stranger.harness(stage, str(folder))
        assert done.returncode == 0, done.stderr
    assert "<style>" in (folder / "index.html").read_text()


def test_nothing_of_the_bundled_stack_is_offered_without_its_checkout(stranger: Stranger) -> None:
    """Where nobody has a project no command falls back to the one that the checkout has."""
    empty = stranger.folder.parent / "empty"
    empty.mkdir()
    for command in (["up"], ["status"], ["list"], ["run", "redis-outage"], ["down"]):
        done = stranger.harness(*command, cwd=empty)
        assert done.returncode in (2, 4), done.stdout
        assert done.stderr.startswith("error: "), done.stderr
        assert not re.search("redirect|shortener|make setup|Traceback", done.stdout + done.stderr)
    assert list(empty.iterdir()) == []
