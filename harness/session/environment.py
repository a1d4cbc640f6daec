"""environment.json: allow-listed facts of the machine and the target; nothing secret."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.model.experiment import Experiment
from harness.session.project import Project

GIT_S = 5.0


def environment_facts(
    project: Project, experiment: Experiment, overrides: Sequence[Path]
) -> dict[str, Any]:
    """Facts that help to compare two runs; names of services, never their environment."""
    return {
        "os": _os_name(),
        "kernel": platform.release(),
        "cpu_model": _first_value(Path("/proc/cpuinfo"), "model name"),
        "cpu_count": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "python": sys.version.split()[0],
        "engine": project.engine.version(),
        "harness_version": _version(),
        "git_commit": _git(project.root, "rev-parse", "--short", "HEAD"),
        "git_dirty": bool(_git(project.root, "status", "--porcelain", "--untracked-files=no")),
        "project": project.name,
        "profiles": list(experiment.target.profiles),
        "services": sorted({c.service for c in project.engine.containers()}),
        "overrides": [str(path) for path in overrides],
    }


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except (OSError, ValueError):  # no such file, or one that is no UTF-8
        return platform.system()


def _first_value(path: Path, key: str) -> str:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return platform.machine()


def _version() -> str:
    try:
        return metadata.version("harness")
    except metadata.PackageNotFoundError:
        return "0"


def _git(root: Path, *arguments: str) -> str:
    """What git says, "" where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
