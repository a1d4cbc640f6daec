"""`harness annotate`: for GitHub, why runs are not green, or experiments not valid."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.cli.console import Screen
from harness.errors import RunFolderError, UsageError
from harness.record.folder import RunFolder
from harness.result.annotations import (
    Annotation,
    of_junit,
    of_problems,
    of_result,
    workflow_commands,
)
from harness.session.experiment_files import experiment_files, read_experiment
from harness.session.stages import RESULT


def annotate(options: argparse.Namespace, _screen: Screen) -> int:
    """Print at most ten annotations; nothing for what is green."""
    found = [each for path in options.paths for each in _annotations(path)]
    for line in workflow_commands(found):
        sys.stdout.write(f"{line}\n")  # as it is: a console would wrap it, and take `[x]` as style
    return 0


def _annotations(path: Path) -> list[Annotation]:
    if (path / "result.json").is_file():
        result = RunFolder(path).read_json("result.json", RESULT)
        return of_result(result, str(path / "index.html"))
    if (path / "junit.xml").is_file():
        return of_junit((path / "junit.xml").read_text(encoding="utf-8"))
    if (path / "events.jsonl").is_file():
        raise RunFolderError(f"{path}: it has no result", f"harness judge {path}")
    return [each for file in experiment_files([path]) for each in _problems(file)]


def _problems(path: Path) -> list[Annotation]:
    try:
        read_experiment(path)
    except UsageError as error:
        problems = getattr(error, "problems", [error.message])
        return of_problems(str(path), problems)
    return []
