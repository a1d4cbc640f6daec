"""A Compose project of a user's own, as the integration tests drive it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.adapters.docker_engine import DockerEngine


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
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def harness(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("harness", *arguments)

    def broken(self) -> list[str]:
        """What does not run, asked without the harness' own faults."""
        members = [c for c in DockerEngine(self.name).containers() if c.status != "running"]
        return [f"{c.service} is {c.status}" for c in members]
