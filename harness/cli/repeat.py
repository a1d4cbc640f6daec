"""`harness run --repeat N`: after the last round, one group for each experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cli.console import Screen
from harness.comparison import make_group, write_group
from harness.record.folder import RunFolder, new_folder
from harness.report.comparison import GROUP_COLUMNS, group_rows, render_group
from harness.result import junit_of_group


@dataclass(frozen=True)
class Group:
    """What all runs of one file say together, and where that is written."""

    folder: Path
    facts: dict[str, Any]


def write_groups(
    files: Sequence[Path], folders: Sequence[Path | None], screen: Screen
) -> list[Group]:
    """Write and return the group of each file.

    `files` has all that was to be run, in order; `folders` what came of it, as far as it came:
    None for a run without a result.
    """
    asked = [path.resolve() for path in files]
    groups = []
    for path in dict.fromkeys(asked):
        runs = [folder for at, folder in zip(asked, folders, strict=False) if at == path]
        judged = [RunFolder(folder) for folder in runs if folder]
        if judged:
            groups.append(_write(judged, asked.count(path), screen))
    return groups


def show_groups(groups: Sequence[Group], screen: Screen) -> None:
    """Print the figures and the verdict of each group."""
    for group in groups:
        facts = group.facts
        title = f"{facts['experiment']}, {len(facts['run_ids'])} runs"
        screen.table(title, GROUP_COLUMNS, group_rows(facts))
        screen.verdict(facts, group.folder / "index.html")


def _write(runs: Sequence[RunFolder], asked: int, screen: Screen) -> Group:
    results = [run.read_json("result.json") for run in runs]
    facts = make_group(runs[0].read_experiment(), results, asked)
    path = new_folder(runs[0].path.parent, f"{facts['experiment']}-x{asked}")
    write_group(path, facts)
    render_group(path)
    RunFolder(path).write_text("junit.xml", junit_of_group(facts, f"{path.name}/index.html"))
    screen.summary((path / "summary.md").read_text(encoding="utf-8"))
    return Group(path, facts)
