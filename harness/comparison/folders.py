"""The layout of what several runs leave: a group of repeated runs, a comparison of two sides.

reports/<time>-<experiment>-x<N>/   group.json index.html junit.xml summary.md
reports/compare-<A>-<B>/            comparison.json index.html summary.md
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.record.folder import RunFolder
from harness.whole_file import recorded

GROUP, COMPARISON = "group.json", "comparison.json"
_GROUP_NEEDS: dict[str, type] = {
    "schema_version": int, "experiment": str, "verdict": str, "run_ids": list, "figures": list,
}  # fmt: skip
_COMPARISON_NEEDS: dict[str, type] = {"schema_version": int, "a": dict, "b": dict, "figures": list}


def read_group(path: Path) -> dict[str, Any]:
    """What `make_group` found; RunFolderError if it cannot be understood."""
    return RunFolder(path).read_json(GROUP, _GROUP_NEEDS)


def read_comparison(path: Path) -> dict[str, Any]:
    """What `compare` found; RunFolderError if it cannot be understood."""
    return RunFolder(path).read_json(COMPARISON, _COMPARISON_NEEDS)


def refuse_occupied(path: Path) -> None:
    """UsageError if anything else than an earlier comparison is in the folder."""
    is_ours = (path / COMPARISON).exists()
    if path.exists() and not is_ours and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(
            f"--output {path}: already exists and is not a comparison", "choose a new folder"
        )


def write_comparison(path: Path, found: Mapping[str, Any]) -> None:
    """Write what `compare` found into a folder of its own, in place of an earlier one."""
    refuse_occupied(path)
    _write(path, COMPARISON, found)


def write_group(path: Path, found: Mapping[str, Any]) -> None:
    """Write what `make_group` found into a new folder; RecordError if there is one already."""
    with recorded(path):
        path.mkdir(parents=True)
    _write(path, GROUP, found)


def _write(path: Path, name: str, value: Mapping[str, Any]) -> None:
    with recorded(path):
        path.mkdir(parents=True, exist_ok=True)
    RunFolder(path).write_json(name, value)
