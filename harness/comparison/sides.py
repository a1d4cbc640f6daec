"""The two sides of a comparison: which runs each has, and that they can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.aspects.findings_json import read_findings
from harness.comparison.figures import figures_of
from harness.comparison.folders import GROUP, read_group
from harness.errors import RunFolderError, UsageError
from harness.model.compared import Compared, Measured
from harness.model.experiment import Experiment
from harness.model.findings import Run as RunFound
from harness.record.folder import RunFolder

ANOTHER_CLAIM = {"title", "description", "tags", "hypothesis", "safeguards", "max_duration_s"}
"""What may differ between two runs of one experiment: it changes the verdict, not the figures."""

SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class Run:
    """What a comparison needs of one run."""

    run_id: str
    experiment: Experiment
    figures: Mapping[Compared, Measured]
    why_no_evidence: str = ""
    """Why the run is not evidence about the target; "" if it is."""
    verdict: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """Runs of one experiment; `left_out` are those that are no evidence."""

    name: str
    runs: tuple[Run, ...]
    left_out: tuple[Run, ...] = ()

    @property
    def experiment(self) -> Experiment:
        """What all its runs ran."""
        return (*self.runs, *self.left_out)[0].experiment

    def measured(self, figure: Compared) -> list[Measured]:
        """The figure in each run that has it."""
        return [run.figures[figure] for run in self.runs if figure in run.figures]


def read_side(paths: Sequence[Path]) -> Side:
    """The runs in folders of runs and groups; nothing is written.

    RunFolderError if one cannot be read, UsageError if they are not runs of one experiment.
    """
    runs = [_read_run(folder) for path in paths for folder in _run_folders(path.resolve())]
    ids = [run.run_id for run in runs]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        raise UsageError(f"{twice}: named twice on one side", "name each run once")
    for run in runs[1:]:
        if found := differences(runs[0].experiment, run.experiment):
            text = f"{ids[0]} and {run.run_id} are not runs of one experiment"
            raise UsageError(f"{text}: {'; '.join(found)}", "one experiment on each side")
    name = paths[0].resolve().name + (f"+{len(paths) - 1}" if len(paths) > 1 else "")
    return Side(
        name,
        tuple(run for run in runs if not run.why_no_evidence),
        tuple(run for run in runs if run.why_no_evidence),
    )


def refuse_different(a: Side, b: Side) -> None:
    """UsageError if the sides ran different experiments."""
    if found := differences(a.experiment, b.experiment):
        raise UsageError(
            f"A and B are different experiments: {'; '.join(found)}",
            "compare runs of the same experiment, or add --different",
        )


def differences(a: Experiment, b: Experiment) -> list[str]:
    """What else was run, in words; expectations may differ."""
    before, after = (dict(_leaves("", _what_was_run(one))) for one in (a, b))
    if a.name != b.name:
        return [f"{a.name} and {b.name}"]
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    texts = [f"{name} {before.get(name)} -> {after.get(name)}" for name in changed]
    more = len(texts) - SHOWN_DIFFERENCES
    return texts[:SHOWN_DIFFERENCES] + ([f"{more} more"] if more > 0 else [])


def _what_was_run(experiment: Experiment) -> dict[str, Any]:
    """Without what may differ; of a fault with candidates it does not matter which it hit."""
    value = experiment.model_dump(mode="json", exclude=ANOTHER_CLAIM)
    for fault in value["faults"]:
        if fault["candidates"]:
            del fault["selector"]
    return value


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every scalar in nested data under its path, such as `faults[0].kind`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{path}.{key}".lstrip("."), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(f"{path}[{index}]", item)
    else:
        yield path, value


def _run_folders(path: Path) -> list[RunFolder]:
    if (path / "plan.json").exists():
        return [RunFolder(path)]
    if not (path / GROUP).exists():
        what = "neither a run folder nor a group" if path.exists() else "no such folder"
        raise RunFolderError(f"{path}: {what}", "ls reports")
    folders = [RunFolder(path.parent / str(run_id)) for run_id in read_group(path)["run_ids"]]
    if not folders:
        raise RunFolderError(
            f"{path}: this group has no runs", "name its run folders, separated by commas"
        )
    for folder in folders:
        if not folder.has("plan.json"):
            hint = "put the run folders next to the group, or name them, separated by commas"
            raise RunFolderError(
                f"{path}: run {folder.run_id} of this group is not in the same folder", hint
            )
    return folders


def _read_run(folder: RunFolder) -> Run:
    experiment, findings = folder.read_experiment(), read_findings(folder)
    figures, why = figures_of(findings, experiment.hypothesis), _why_no_evidence(findings.run)
    verdict = str(_if_there(folder, "result.json").get("verdict", ""))
    facts = _if_there(folder, "environment.json")
    return Run(folder.run_id, experiment, figures, why, verdict, facts)


def _why_no_evidence(run: RunFound) -> str:
    if run.status in ("interrupted", "error", "not_steady"):
        return f"the run ended as {run.status}"
    if run.load and run.load.lost:
        return run.load.lost
    if run.load and run.load.problems:
        return f"the load generator was not healthy: {run.load.problems[0]}"
    unproven = [fault for fault in run.faults if not fault.proven]
    return f"{unproven[0].kind} {unproven[0].target} is not proven" if unproven else ""


def _if_there(folder: RunFolder, name: str) -> dict[str, Any]:
    return folder.read_json(name) if folder.has(name) else {}
