"""People's own projects, from `pip install` and `harness init` to the report; nothing is edited.

Each runs already, as its people started it, and is adopted. Besides the verdict: no file of theirs
is changed, no container replaced, no volume touched, and nothing of ours is left.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from experiment_run import run_experiment_in
from foreign_images import BUILDER, build_foreign_images
from own_project import docker
from stranger import ROOT, Stranger, build_wheel, install_wheel

from harness.adapters.compose_project import compose_command

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.usefixtures("no_stack")]

PROJECTS = ROOT / "tests" / "foreign"
COMPOSE_S, RUN_S = 240, 600


@dataclass(frozen=True)
class Case:
    """A project, what its people set in the shell, what `init` must be told, and what is run."""

    project: str
    experiments: tuple[str, ...]
    codes: frozenset[str] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)
    init: tuple[str, ...] = ()


CASES = {
    "two servers behind nginx": Case("gallery", ("kill-web",)),
    "a cache that hangs": Case("counter", ("freeze-redis",)),
    "a database that is killed": Case("orders", ("kill-db",), init=("--path", "/orders")),
    "a connection that is never renewed": Case(
        "orders", ("kill-db",), frozenset({"recovery_time_exceeded", "not_recovered"}),
        settings={"RECONNECT": "no"}, init=("--path", "/orders"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Own:
    """A project of somebody's own, running."""

    case: Case
    stranger: Stranger

    def compose(self, *arguments: str) -> str:
        """What its people do with it."""
        done = self.stranger.run(*compose_command(), *arguments, timeout_s=COMPOSE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def init(self) -> None:
        done = self.stranger.harness("init", "--yes", *self.case.init)
        assert done.returncode == 0, done.stderr

    def harness(self, arguments: list[str]) -> tuple[int, str]:
        """Two of them mount files of their folder, which `init` says needs a flag.

        What does not recover would be broken from the start when the run is repeated.
        """
        if self.case.codes:
            self.compose("restart", "--timeout", "2")
        done = self.stranger.harness(*arguments, "--allow-host-access", timeout_s=RUN_S)
        return done.returncode, done.stdout + done.stderr

    def files(self) -> dict[str, str]:
        """What is in its folder, by path."""
        paths = sorted(p for p in self.stranger.folder.rglob("*") if p.is_file())
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}

    def containers(self) -> dict[str, tuple[str, str, list[str]]]:
        """Id, image and environment of each, by name."""
        ids = self.compose("ps", "--all", "--quiet").split()
        return {one["Name"]: (one["Id"], one["Image"], one["Config"]["Env"]) for one in _look(*ids)}

    def volumes(self) -> dict[str, str]:
        """The inode of each as its container sees it: one that is made anew has another."""
        ids, inode = self.compose("ps", "--all", "--quiet").split(), ("stat", "-c", "%i")
        return {
            mount["Name"]: docker(
                "exec", one["Id"], *inode, mount["Destination"], timeout_s=COMPOSE_S
            )
            for one in _look(*ids)
            for mount in one["Mounts"]
            if mount["Type"] == "volume"
        }


def _look(*names: str) -> list[dict[str, Any]]:
    if not names:
        return []
    found: list[dict[str, Any]] = json.loads(docker("inspect", *names, timeout_s=COMPOSE_S))
    return found


@pytest.fixture(scope="module")
def images(engine: None) -> None:
    build_foreign_images()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the installed wheel."""
    home = tmp_path_factory.mktemp("wheel")
    return install_wheel(build_wheel(home), home)


@pytest.fixture
def own(
    images: None, programs: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Own]:
    """Started by its people; removed with its data at the end."""
    case: Case = request.param
    folder = tmp_path / f"{case.project}-{os.getpid()}"
    shutil.copytree(PROJECTS / case.project, folder)
    made = Own(case, Stranger(programs, folder, {**BUILDER, **case.settings}))
    try:
        made.compose("up", "--detach", "--build", "--wait")
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "2")


@pytest.mark.parametrize("own", CASES.values(), ids=CASES.keys(), indirect=True)
def test_two_commands_bring_a_true_report_and_change_nothing(own: Own, tmp_path: Path) -> None:
    case, before = own.case, (own.containers(), own.volumes())
    files = own.files()
    own.init()
    for name in case.experiments:
        run = run_experiment_in(tmp_path / name, f"harness/{name}.yaml", harness=own.harness)
        assert run.result["verdict"] == ("fail" if case.codes else "pass"), run.explain()
        assert run.codes & case.codes or not case.codes, run.explain()
        assert all(fault["proven"] and fault["healed"] for fault in run.result["faults"])
        assert (run.folder / "index.html").stat().st_size > 0
    assert (own.containers(), own.volumes()) == before
    assert {path: own.files()[path] for path in files} == files
    assert all("/harness/" in path for path in own.files().keys() - files.keys())
