"""The stages that start nothing: list, validate, plan, analyze, judge, report, schema."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import judge as judging
from harness import result as results
from harness.aspects.findings_json import read_findings
from harness.cli.console import Screen
from harness.cli.project import Project
from harness.errors import HarnessError, RunFolderError, UsageError
from harness.experiment_file import experiment_schema, load_experiment
from harness.faults import KINDS
from harness.model.experiment import Experiment, FaultSpec
from harness.model.plan_json import plan_to_json
from harness.plan import aimed, make_plan
from harness.run_store import FINDINGS, RunFolder, recorded


def load(path: Path, services: Mapping[str, Mapping[str, str]] | None) -> Experiment:
    """The experiment in a file, checked against the services if they are known."""
    return load_experiment(path, KINDS, services)


def list_experiments(options: argparse.Namespace, screen: Screen) -> int:
    """Name, title and tags of each file; one that is invalid says so."""
    paths = sorted(options.folder.glob("*.yaml"))
    if not paths:
        raise UsageError(f"{options.folder}: no experiment file (*.yaml) there", "harness list DIR")
    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            experiment = load(path, None)
            tags, seconds = list(experiment.tags), experiment.end_s
            found.append({"file": str(path), "title": experiment.title, "tags": tags, "s": seconds})
        except UsageError:
            title = f"INVALID; see: harness validate {path}"
            found.append({"file": str(path), "title": title, "tags": [], "s": 0.0})
    if screen.as_json:
        screen.value(found)
    else:
        rows = [
            [Path(f["file"]).stem, f"{f['s']:.0f} s", ", ".join(f["tags"]), f["title"]]
            for f in found
        ]
        title = str(options.folder / "NAME.yaml")
        screen.table(title, ("name", "lasts", "tags", "claim"), rows)
    return 0


def validate(options: argparse.Namespace, screen: Screen) -> int:
    """0 if all files are right, 2 with all problems if not."""
    services = _services_if_known()
    note = "" if services else " (names of services not checked: no Compose project here)"
    code, found = 0, list[dict[str, Any]]()
    for path in options.files:
        try:
            load(path, services)
            found.append({"file": str(path), "problems": []})
            screen.say(f"{path}: ok{note}")
        except UsageError as error:
            code = error.exit_code
            problems = getattr(error, "problems", [error.message])
            found.append({"file": str(path), "problems": problems})
            screen.error(error)
    if screen.as_json:
        screen.value(found)
    return code


def plan(options: argparse.Namespace, screen: Screen) -> int:
    """Every step with its time, and what each fault is aimed at."""
    services = _services_if_known()
    for path in options.files:
        experiment = aimed(load(path, services), options.seed)
        made = make_plan(experiment, options.seed)
        if screen.as_json:
            screen.value(plan_to_json(made, experiment))
            continue
        aims = {fault.id: _aim(fault) for fault in made.faults}
        rows = [[f"{s.at_s:.1f} s", s.action, s.name, aims.get(s.name, "")] for s in made.steps]
        screen.table(f"{path}, seed {made.seed}", ("at", "action", "name", "target"), rows)
    return 0


def analyze(options: argparse.Namespace, screen: Screen) -> int:
    """Write findings.json of each run folder."""

    def act(folder: RunFolder) -> None:
        analyze_folder(folder)
        screen.say(str(folder.path / "findings.json"))

    return _each(options.folders, screen, act)


def judge(options: argparse.Namespace, screen: Screen) -> int:
    """Write result.json, junit.xml and summary.md of each run folder."""

    def act(folder: RunFolder) -> None:
        screen.verdict(judge_folder(folder, screen), folder.path / "result.json")

    return _each(options.folders, screen, act)


def report(options: argparse.Namespace, screen: Screen) -> int:
    """Write index.html of each run folder, and the list of all runs beside it."""

    def act(folder: RunFolder) -> None:
        screen.say(str(render_folder(folder)))
        if (folder.path.parent / "latest").is_symlink():  # a folder of reports, not any folder
            render_list(folder.path.parent)

    return _each(options.folders, screen, act)


def schema(options: argparse.Namespace, screen: Screen) -> int:
    """The JSON Schema of an experiment file or of result.json."""
    wanted = experiment_schema(KINDS) if options.what == "experiment" else _result_schema()
    screen.value(wanted)
    return 0


def analyze_folder(folder: RunFolder) -> None:
    """findings.json out of events, samples and the read-back."""
    from harness.analysis import analyze as analyze_run

    folder.write_json("findings.json", analyze_run(folder))


def judge_folder(folder: RunFolder, screen: Screen) -> dict[str, Any]:
    """result.json, junit.xml and summary.md out of findings.json; the result."""
    experiment = folder.read_experiment()
    verdict = judging.judge(experiment, read_findings(folder))
    result = results.make_result(experiment, folder.read_json("findings.json"), verdict)
    if folder.has("environment.json"):
        result["command"] = folder.read_json("environment.json").get("command", "")
    folder.write_json("result.json", result)
    page = f"{folder.run_id}/index.html"  # wherever the reports are copied to
    folder.write_text("junit.xml", results.junit_xml(result, page))
    summary = results.summary_markdown(result)
    folder.write_text("summary.md", summary)
    screen.summary_for_github(summary)
    return result


def render_folder(folder: RunFolder) -> Path:
    """index.html; its path."""
    folder.read_json("findings.json", FINDINGS)
    folder.read_json("result.json", {"schema_version": int, "verdict": str, "reasons": list})
    from harness.report.render import render  # the chart library takes longer than all the rest

    return render(folder)


def render_list(reports: Path) -> None:
    """index.html of all runs in `reports`."""
    from harness.report.index import render_index

    with recorded(reports / "index.html"):
        render_index(reports)


def _aim(fault: FaultSpec) -> str:
    """What a fault does to what, in words."""
    values = {**fault.selector, **fault.parameters}
    aim = ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
    return f"{aim} (one of {', '.join(fault.candidates)})" if fault.candidates else aim


def _each(paths: Sequence[Path], screen: Screen, act: Callable[[RunFolder], None]) -> int:
    """Do it for each folder; one that cannot be read stops no other."""
    code = 0
    for path in paths:
        try:
            act(_folder(path))
        except HarnessError as error:
            screen.error(error)
            code = code or error.exit_code
    return code


def _folder(path: Path) -> RunFolder:
    folder = RunFolder(path.resolve())
    if not folder.has("plan.json"):
        what = "not a run folder: it has no plan.json" if path.exists() else "no such folder"
        raise RunFolderError(f"{path}: {what}", "ls reports")
    folder.read_experiment()
    return folder


def _services_if_known() -> dict[str, dict[str, str]] | None:
    """The Compose services, None where no Compose project can be asked."""
    try:
        return Project().compose.services()
    except (HarnessError, OSError):
        return None


def _result_schema() -> dict[str, Any]:
    return results.result_schema()
