"""Experiment files as a command names them: a file, a folder of several, or a name alone."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from harness.bundled.shortener import SHORTENER
from harness.errors import InvalidExperiment, UsageError
from harness.experiment_file import load_experiment
from harness.experiment_file.foreseen import Known, refusals
from harness.experiment_file.labels import unknown_labels
from harness.experiment_file.names import Profiles, Services
from harness.faults import KINDS
from harness.model.experiment import Experiment
from harness.model.target import Target
from harness.session.application import application_of
from harness.session.targets import FILES, find_target, traffic_of

FOLDER = Path("experiments")
"""Where names alone are looked up, below the working directory."""


def experiment_files(named: Sequence[Path]) -> list[Path]:
    """All files named: a folder stands for the files in it, a name for one in experiments/.

    UsageError lists all names and folders that match nothing. A path that does not exist is kept:
    reading it reports why it cannot be read.
    """
    found: list[Path] = []
    problems: list[UsageError] = []
    for path in named:
        try:
            found += _files_of(path)
        except UsageError as error:
            problems.append(error)
    if problems:
        raise all_at_once(problems)
    return found


def read_experiment(
    path: Path,
    services: Services | None = None,
    target: Target | None = None,
    known: Known | None = None,
    profiles: Profiles | None = None,
) -> Experiment:
    """The experiment in a file, about `target`, or the one that it is about where none is given.

    Checked against `services` (labels by Compose service) if given. UsageError if it is wrong, or
    if one of the labels is misspelt: that alone then, as names are found by labels. With what is
    `known` of the project, what a run would be refused for or could never tell is wrong, too;
    `profiles` says which ones its Compose files have.
    """
    if wrong := unknown_labels(services or {}, SHORTENER.probes):
        raise InvalidExperiment(str(path), wrong)
    about = find_target(experiment=path) if target is None else target
    found = load_experiment(path, KINDS, services, lambda _: traffic_of(about), profiles)
    experiment = found.model_copy(update={"target": about})
    if known is not None:
        sources = application_of(about).sources(services or {})
        if wrong := refusals(experiment, known, sources):
            raise InvalidExperiment(str(path), wrong)
    return experiment


def check_overrides(paths: Sequence[Path]) -> None:
    """UsageError for a file of `--override` that is not there."""
    for path in paths:
        if not path.is_file():
            raise UsageError(f"--override {path}: no such file", "name it from where you are")


def files_in(folder: Path) -> list[Path]:
    """The experiment files in a folder and in its subfolders, one for each family; sorted.

    UsageError if there is none.
    """
    found = _glob(folder)
    if not found:
        raise UsageError(
            f"{folder}: no experiment files (*.yaml) in this folder", "harness list DIR"
        )
    return found


def all_at_once(problems: Sequence[UsageError]) -> UsageError:
    """One error that says what all of them say."""
    text = "\n".join(problem.message for problem in problems)
    return UsageError(text, "; ".join(dict.fromkeys(problem.hint for problem in problems)))


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return files_in(path)
    if path.exists():
        return [path]
    same = [each for each in _glob(FOLDER) if each.stem == path.stem]
    is_name = path.parent == Path() and path.suffix != ".yaml"
    if is_name and len(same) == 1:
        return same
    if same:
        raise UsageError(f"{path}: no such file", ", or ".join(map(str, same)))
    if is_name:
        close = get_close_matches(path.name, [each.stem for each in _glob(FOLDER)], 1)
        text = f"{path}: no such file, and no experiment of this name in {FOLDER}/"
        raise UsageError(text, close[0] if close else "harness list")
    return [path]


def _glob(folder: Path) -> list[Path]:
    """All YAML files but those that describe the target."""
    found = [*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]
    return sorted(path for path in found if path.name != FILES[0])
