"""pytest on a real project: an experiment is run, a part is broken, a killed pytest is healed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from own_project import OwnProject

from harness.lock import lock_holder
from harness.undo import Journal

pytestmark = pytest.mark.docker
HEALED_WITHIN_S = 10.0
PROJECT = f"pytestplugin-{os.getpid()}"
WEB = """
    image: harness-shortener:local
    pull_policy: never
    entrypoint: [python, -m, http.server, "8000"]
    working_dir: /usr/share
    init: true
    stop_grace_period: 1s"""
COMPOSE = f"""
name: {PROJECT}
services:
  web-1:{WEB}
    labels: {{harness.role: app, harness.entry: "web:8000"}}
    ports: ["127.0.0.1::8000"]
  web-2:{WEB}
    labels: {{harness.role: app}}
"""
EXPERIMENT = """
title: The other server is no part of this answer
load: {entry: web, rate: 20/s, canary_rate: 0/s, mix: {ok: 1}, operations: {ok: {path: /}}}
phases: {warmup: 1s, baseline: 3s, fault: 3s, recovery: 3s}
faults: [{pause: {service: web-2}}]
expect: {run: {ok: [failed_requests == 0]}}
"""
TEST = """
import subprocess, time
from pathlib import Path


def status() -> str:
    command = ["docker", "inspect", "--format", "{{.State.Status}}", "PROJECT-web-2-1"]
    return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()


def test_it_is_broken_in_the_block_and_healed_after_it(harness):
    with harness.fault("kill", service="web-2") as broken:
        assert (broken.target, status()) == ("web-2", "exited")
    assert status() == "running"
    harness.wait_healthy()


def test_it_waits(harness):
    with harness.fault("pause", service="web-2"):
        Path("begun").touch()
        time.sleep(float(Path("seconds").read_text()))
"""


class Project(OwnProject):
    """With tests of its own."""

    PYTEST = ("pytest", "-p", "harness.pytest_plugin", "-p", "no:cacheprovider", "--rootdir", ".")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", *self.PYTEST, *arguments]

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python(*self.PYTEST, *arguments)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("plugin"), PROJECT)
    (made.folder / "docker-compose.yml").write_text(COMPOSE)
    (made.folder / "x.yaml").write_text(EXPERIMENT)
    (made.folder / "test_shop.py").write_text(TEST.replace("PROJECT", PROJECT))
    (made.folder / "seconds").write_text("0")
    try:
        yield made
    finally:
        made.harness("heal", "--stop")
        made.harness("down", "--volumes")


def test_an_experiment_and_a_test_in_python_pass_on_one_project(project: Project) -> None:
    done = project.pytest("--harness", "x.yaml", "test_shop.py", "-rA")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    [folder] = project.folder.glob("reports/2*")
    assert f"PASS         reports/{folder.name}/index.html" in done.stdout
    assert json.loads((folder / "result.json").read_text())["verdict"] == "pass"
    assert project.broken() == []
    assert Journal(project.state / "journal.jsonl").is_empty()
    assert lock_holder(project.state / "lock") is None


def test_a_pytest_that_is_killed_is_healed_without_a_person(project: Project) -> None:
    (project.folder / "begun").unlink(missing_ok=True)
    (project.folder / "seconds").write_text("60")
    with (project.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            project.command("test_shop.py", "-k", "waits"), cwd=project.folder,
            env=project.environment, stdout=log, stderr=log,
        )  # fmt: skip
    _wait((project.folder / "begun").exists, 60, (project.folder / "log").read_text)
    assert project.broken() == ["web-2 is paused"]
    process.kill()
    process.wait(10)
    _wait(lambda: not project.broken(), HEALED_WITHIN_S, project.broken)
    _wait(lambda: lock_holder(project.state / "lock") is None, 30, project.broken)
    assert Journal(project.state / "journal.jsonl").is_empty()


def _wait(seen: Callable[[], bool], within_s: float, what: Callable[[], object]) -> None:
    started_s = time.monotonic()
    while not seen():
        assert time.monotonic() - started_s < within_s, what()
        time.sleep(0.1)
