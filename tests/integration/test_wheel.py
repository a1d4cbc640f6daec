"""The package as others get it: a wheel, in an environment of its own, in a stranger's folder.

No network: the build's tools and the dependencies are those of the environment that runs the tests.
The harness itself is not: its checkout is on no path of the new environment.
"""

from __future__ import annotations

import json
import re
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from stranger import ROOT, Stranger, build_wheel, install_wheel

RUN = "20261127-210443-link-deletion"
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def stranger(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """In a shop of their own; nothing here may ask the engine of this machine."""
    home = tmp_path_factory.mktemp("stranger")
    folder = home / "shop"
    (folder / "chaos").mkdir(parents=True)
    (folder / "docker-compose.yml").write_text(COMPOSE)
    (folder / "chaos" / "database.yaml").write_text(EXPERIMENT)
    nowhere = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    return Stranger(install_wheel(wheel, home), folder, nowhere)


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
