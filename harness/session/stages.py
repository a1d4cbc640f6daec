"""The stages after a run, each from files to files: analyze, judge, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import judge as judging
from harness import result as results
from harness.aspects.findings_json import FINDINGS, read_findings, understood
from harness.record.folder import RunFolder
from harness.whole_file import recorded

RESULT = {"schema_version": int, "verdict": str, "reasons": list}
"""What result.json must have to be shown."""


def analyze_folder(folder: RunFolder) -> None:
    """findings.json out of events, samples and the read-back."""
    from harness.analysis import analyze  # pandas takes longer to import than all the rest

    folder.write_json("findings.json", analyze(folder))


def judge_folder(folder: RunFolder) -> dict[str, Any]:
    """result.json, junit.xml and summary.md out of findings.json; the result."""
    experiment = folder.read_experiment()
    findings = folder.read_json("findings.json", FINDINGS)
    verdict = judging.judge(experiment, understood(folder, findings))
    result = results.make_result(experiment, findings, verdict)
    if folder.has("environment.json"):
        result["command"] = folder.read_json("environment.json").get("command", "")
    folder.write_json("result.json", result)
    page = f"{folder.run_id}/index.html"  # wherever the reports are copied to
    folder.write_text("junit.xml", results.junit_xml(result, page))
    folder.write_text("summary.md", results.summary_markdown(result))
    return result


def render_folder(folder: RunFolder) -> Path:
    """index.html out of findings.json and result.json; its path."""
    findings, result = read_findings(folder), folder.read_json("result.json", RESULT)
    from harness.report.render import render  # the chart library takes longer than all the rest

    return render(folder, findings, result)


def render_list(reports: Path) -> None:
    """index.html of all runs in `reports`."""
    from harness.report.index import render_index

    render_index(reports)


def point_latest(folder: Path) -> None:
    """Point `latest`, next to the run folder, to it."""
    link, temporary = folder.parent / "latest", folder.parent / ".latest.part"
    with recorded(link):
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(folder.name)
            temporary.replace(link)
        finally:
            temporary.unlink(missing_ok=True)
