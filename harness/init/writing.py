"""The files on the disk: all of them new, or none is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from harness.errors import RecordError, UsageError

FOLDERS = ("harness", "chaos")
TARGETS = ("target.yaml", "harness/target.yaml", "chaos/target.yaml", "experiments/target.yaml")


def choose_folder(project: Path) -> tuple[Path, str]:
    """Where to write below the project's folder, and why not in the usual place, "" if there.

    UsageError if the project has a target.yaml already, or if both names are taken.
    """
    for name in TARGETS:
        if (project / name).exists():
            raise UsageError(
                f"{project / name} is there already, and two would compete",
                "edit that one, or see what init would propose: harness init --explain",
            )
    free = [name for name in FOLDERS if _is_free(project / name)]
    if not free:
        raise UsageError(
            f"{project} has its own {' and '.join(f'{name}/' for name in FOLDERS)}",
            "harness init --output DIR",
        )
    why = "" if free[0] == FOLDERS[0] else f"{FOLDERS[0]}/ is taken by something else"
    return project / free[0], why


def write_new(files: Mapping[Path, str]) -> None:
    """Write all; UsageError names those that exist, and then nothing is written.

    Should one fail after that (RecordError), those that were written before are removed again.
    """
    if taken := [str(path) for path in files if os.path.lexists(path)]:
        raise UsageError(
            f"nothing was written; there already: {', '.join(taken)}",
            "move them away, or write elsewhere: harness init --output DIR",
        )
    written: list[Path] = []
    made: list[Path] = []
    try:
        for path, text in files.items():
            made += _make_folder(path.parent)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        for folder in reversed(made):
            folder.rmdir()
        raise RecordError.of(Path(error.filename or "."), error) from error


def _is_free(folder: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    if not os.path.lexists(folder):
        return True
    return folder.is_dir() and not any(folder.iterdir())


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder with those above it; the new ones, the highest first."""
    new = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    folder.mkdir(parents=True, exist_ok=True)
    return new[::-1]
