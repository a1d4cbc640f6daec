"""A copy of the bundled stack's files, as Compose reads them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from generate_stack import generate, write

from harness.adapters.compose_project import ComposeProject
from harness.bundled.environment import prepare_environment
from harness.bundled.shortener import stack_target
from harness.bundled.table import TABLE, Table

ROOT = Path(__file__).parents[1]


def copy_of_the_stack(folder: Path, table: Table = TABLE) -> Path:
    """The stack in `folder`, of the size of `table`, with passwords and ports of its own."""
    shutil.copy(ROOT / "docker-compose.yml", folder)
    (folder / "experiments").mkdir(exist_ok=True)
    shutil.copy(ROOT / "experiments" / "target.yaml", folder / "experiments")
    (folder / "docs").mkdir(exist_ok=True)
    shutil.copy(ROOT / "docs" / "REGIONS.md", folder / "docs")  # it shows figures of the table
    left_out = shutil.ignore_patterns("__pycache__", "secrets.env", "ca-certificates.crt")
    shutil.copytree(ROOT / "target", folder / "target", ignore=left_out)
    if table is not TABLE:
        write(folder, generate(folder, table))
    prepare_environment(folder, table)
    return folder


def compose_project(folder: Path, overrides: Sequence[Path] = ()) -> ComposeProject:
    """The stack in `folder`, with all its profiles, through Compose."""
    profiles = ("core", "monitoring", "traces", "logs", "recovery", "regions")
    target = stack_target(folder).model_copy(update={"profiles": profiles})
    return ComposeProject(target, overrides)
