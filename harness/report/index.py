"""reports/index.html: every run in one list, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.aspects import recovery
from harness.aspects.findings_json import section_of
from harness.aspects.recovery import Recovery
from harness.errors import RunFolderError
from harness.record.folder import RunFolder, run_folders
from harness.report.formats import SYMBOLS
from harness.report.templating import templates
from harness.whole_file import write_whole


def render_index(reports: Path) -> Path:
    """Write the list of all runs below `reports` and return its path; RecordError if not."""
    runs = [_row(folder) for folder in run_folders(reports)]
    text = templates().get_template("index.html").render(runs=runs)
    target = reports / "index.html"
    write_whole(target, text)
    return target


def _row(folder: RunFolder) -> dict[str, Any]:
    """What the list says of one run; one without a result is listed too, as not judged."""
    try:
        result = folder.read_json("result.json")
    except RunFolderError:
        result = {}
    verdict = result.get("verdict", "")
    phases = result.get("phases") or {}
    return {
        "run_id": folder.run_id,
        "href": f"{folder.run_id}/index.html" if folder.has("index.html") else "",
        "title": result.get("title") or result.get("experiment") or folder.run_id,
        "verdict": verdict,
        "symbol": SYMBOLS.get(verdict, "·"),
        "status": result.get("status", "not judged"),
        "end_s": max((phase.get("end_s", 0) for phase in phases.values()), default=None),
        "recovery": _recovery(result),
        "reasons": result.get("reasons") or [],
    }


def _recovery(result: dict[str, Any]) -> Mapping[str, Recovery]:
    """Each operation's, nothing of a result that cannot be understood."""
    try:
        return section_of(recovery.ASPECT, result)
    except ValueError:
        return {}
