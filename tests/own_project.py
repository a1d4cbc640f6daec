"""A Compose project of a user's own, as the integration tests drive it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.adapters.docker_engine import DockerEngine

RUN_S = 300  # a run may wait two minutes for a quiet machine


@dataclass
class OwnProject:
    """Its files, and the state that the harness keeps of it, are in a folder of its own."""

    folder: Path
    name: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.folder / "state")}

    @property
    def state(self) -> Path:
        return self.folder / "state" / "harness" / self.name

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m ...` in its folder."""
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=RUN_S, check=False,
        )  # fmt: skip

    def harness(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("harness", *arguments)

    def started(self) -> dict[str, float]:
        """When each of its containers was started, in seconds since the epoch."""
        return {c.name: c.started_s for c in DockerEngine(self.name).containers()}

    def broken(self) -> list[str]:
        """What does not run, asked without the harness' own faults."""
        members = [c for c in DockerEngine(self.name).containers() if c.status != "running"]
        return [f"{c.service} is {c.status}" for c in members]


def web_compose(project: str, address: str) -> str:
    """One web server of role `app`, published at a port of `address` that the engine chooses."""
    return f"""
name: {project}
services:
  web:
    image: harness-shortener:local
    pull_policy: never
    entrypoint: [python, -m, http.server, "8000"]
    working_dir: /usr/share
    init: true
    stop_grace_period: 1s
    ports: ["{address}::8000"]
    labels: {{harness.role: app, harness.entry: "web:8000"}}
"""


def docker(*command: str, timeout_s: float = 30.0) -> str:
    """What the engine's own command prints."""
    return subprocess.run(
        ["docker", *command], capture_output=True, text=True, timeout=timeout_s, check=True
    ).stdout


def eventually(seen: Callable[[], bool], within_s: float = 15.0) -> bool:
    """Whether `seen` becomes true in time."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if seen():
            return True
        time.sleep(0.1)
    return False
