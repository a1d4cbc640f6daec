"""The stages that start nothing: list, validate, plan, analyze, judge, report, schema."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from harness import result as results
from harness.checks.probe import checks_words
from harness.cli.console import Screen
from harness.cli.target_flags import choice_of
from harness.errors import HarnessError, InvalidLinks, RunFolderError, UsageError
from harness.experiment_file import experiment_schema
from harness.experiment_file.foreseen import Known
from harness.faults import KINDS
from harness.model.experiment import Experiment, FaultSpec, RemedySpec
from harness.model.plan_json import plan_to_json
from harness.model.target import Target
from harness.outlook import in_detail, sending
from harness.plan import aimed, make_plan
from harness.record.folder import RunFolder
from harness.session.experiment_files import (
    check_overrides,
    experiment_files,
    files_in,
    read_experiment,
)
from harness.session.known import known_of, notes_of, read_on
from harness.session.project import Project
from harness.session.stages import analyze_folder, judge_folder, render_folder, render_list
from harness.session.targets import Choice, find_target


def list_experiments(options: argparse.Namespace, screen: Screen) -> int:
    """Family, name, title and tags of each file; one that is invalid says so."""
    found = [_listed(path, options.folder) for path in files_in(options.folder)]
    if screen.as_json:
        screen.value(found)
        return 0
    for family, members in groupby(found, key=itemgetter("family")):
        screen.say(str(options.folder / family), "bold")
        for each in members:
            name, tags = Path(each["file"]).stem, "".join(f", {tag}" for tag in each["tags"])
            screen.say(f"  {name}  {each['s']:.0f} s{tags}")
            screen.paragraph(each["title"], indent=4)
    return 0


def _listed(path: Path, folder: Path) -> dict[str, Any]:
    """What a list says of a file; its family is the subfolder of `folder` that it is in."""
    facts = {"file": str(path), "family": path.parent.name if path.parent != folder else ""}
    try:
        experiment = read_experiment(path)
    except UsageError:
        return {**facts, "title": f"INVALID; see: harness validate {path}", "tags": [], "s": 0.0}
    tags = list(experiment.tags)
    return {**facts, "title": experiment.title, "tags": tags, "s": experiment.end_s}


def validate(options: argparse.Namespace, screen: Screen) -> int:
    """0 if all files are right, 2 with all problems if not."""
    reader = _Reader(choice_of(options), options.override)
    code, found = 0, list[dict[str, Any]]()
    for path in experiment_files(options.files):
        try:
            experiment, seen = reader.read(path)
            said = {"sends": asdict(sending(experiment)), "detail": in_detail(experiment)}
            notes = notes_of(experiment, seen.known)
            found.append({"file": str(path), "problems": [], **said, "notes": notes})
            note = f" (service names not checked: {seen.missing})" if seen.missing else ""
            screen.say(f"{path}: ok{note}")
            _say_outlook(experiment, notes, screen)
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
    reader = _Reader(choice_of(options), options.override)
    for path in experiment_files(options.files):
        experiment, seen = reader.read(path)
        experiment = aimed(experiment, options.seed)
        made = make_plan(experiment, options.seed)
        if screen.as_json:
            screen.value(plan_to_json(made, experiment))
            continue
        aims = {fault.id: _aim(fault) for fault in made.faults}
        helps = {remedy.id: _help(remedy) for remedy in made.remedies}
        rows = [
            [
                f"{s.at_s:.1f} s",
                s.action,
                s.name,
                (helps if s.action == "remedy" else aims).get(s.name, ""),
            ]
            for s in made.steps
        ]
        waiting = [remedy for remedy in made.remedies if remedy.start_s is None]
        rows += [[remedy.when, "remedy", remedy.id, helps[remedy.id]] for remedy in waiting]
        screen.table(f"{path}, seed {made.seed}", ("at", "action", "name", "target"), rows)
        _say_outlook(experiment, notes_of(experiment, seen.known), screen)
    return 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A project, as far as it can be asked; `missing`: why it cannot, "" if it can."""

    project: Project | None = None
    known: Known | None = None
    missing: str = ""


class _Reader:
    """Reads experiments as a run with the same flags would; what runs is not needed."""

    def __init__(self, choice: Choice, overrides: Sequence[Path]) -> None:
        check_overrides(overrides)
        self._choice, self._overrides = choice, overrides
        self._seen: dict[str, _Seen] = {}

    def read(self, path: Path) -> tuple[Experiment, _Seen]:
        """The experiment, and what its project was seen to be."""
        target = find_target(self._choice, path)
        key = target.model_dump_json()
        if key not in self._seen:  # Compose takes a fifth of a second each time
            self._seen[key] = self._look(target)
        seen = self._seen[key]
        if seen.project is None or seen.known is None:
            return read_experiment(path, None, target), seen
        return read_on(path, seen.project, seen.known), seen

    def _look(self, target: Target) -> _Seen:
        try:
            project = Project(target, self._overrides)
            return _Seen(project, known_of(project))
        except InvalidLinks:
            raise  # of the target, not of what runs
        except HarnessError as error:
            return _Seen(missing=error.message.splitlines()[0].rstrip(":"))
        except OSError as error:
            return _Seen(missing=str(error))


def analyze(options: argparse.Namespace, screen: Screen) -> int:
    """Write findings.json of each run folder."""

    def act(folder: RunFolder) -> None:
        analyze_folder(folder)
        screen.say(str(folder.path / "findings.json"))

    return _each(options.folders, screen, act)


def judge(options: argparse.Namespace, screen: Screen) -> int:
    """Write result.json, junit.xml and summary.md of each run folder."""

    def act(folder: RunFolder) -> None:
        result = judge_folder(folder)
        screen.summary(folder.read_text("summary.md"))
        screen.verdict(result, folder.path / "result.json")

    return _each(options.folders, screen, act)


def report(options: argparse.Namespace, screen: Screen) -> int:
    """Write index.html of each run folder, and the list of all runs next to it."""

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


def _say_outlook(experiment: Experiment, notes: Sequence[str], screen: Screen) -> None:
    screen.say(f"  sends {sending(experiment).words}")
    for text in in_detail(experiment):
        screen.say(f"  {text}")
    for text in checks_words(experiment.checks):
        screen.say(f"  looks at {text}")
    for text in notes:
        screen.say(f"  note: {text}")


def _aim(fault: FaultSpec) -> str:
    """What a fault does to what, in words."""
    values = {**fault.selector, **fault.parameters}
    aim = ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
    return f"{aim} (one of {', '.join(fault.candidates)})" if fault.candidates else aim


def _help(remedy: RemedySpec) -> str:
    """What a remedy does to what, in words."""
    values = {"service": remedy.target, **remedy.parameters}
    return ", ".join(f"{name} {value}" for name, value in values.items() if value)


def _each(paths: Sequence[Path], screen: Screen, act: Callable[[RunFolder], None]) -> int:
    """Do it for each folder; one that cannot be read stops no other."""
    code = 0
    for path in paths:
        try:
            act(run_folder(path))
        except HarnessError as error:
            screen.error(error)
            code = code or error.exit_code
    return code


def run_folder(path: Path) -> RunFolder:
    """The run at `path`; RunFolderError if it is none."""
    folder = RunFolder(path.resolve())
    if not folder.has("plan.json"):
        what = "not a run folder: it has no plan.json" if path.exists() else "no such folder"
        raise RunFolderError(f"{path}: {what}", "ls reports")
    folder.read_experiment()
    return folder


def _result_schema() -> dict[str, Any]:
    return results.result_schema()
