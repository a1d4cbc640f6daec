"""Which project a command is about: what its flags say, else its experiment, else what is found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.bundled.shortener import application_of
from harness.compose_files import (
    NAMES,
    absolute,
    compose_files_in,
    default_profiles,
    find_compose_files,
    first_of,
)
from harness.errors import UsageError
from harness.experiment_file import load_target, said_profiles, said_target
from harness.model.load import Traffic
from harness.model.target import Target

FILES = ("target.yaml", "harness/target.yaml", "chaos/target.yaml", "experiments/target.yaml")
"""Where a project keeps what its Compose files do not say, as seen from its folder."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What flags say of the target; all of it may be left out. At most one of `file`, `compose`.

    `profiles` are used beside those that the target's own file says.
    """

    file: Path | None = None
    compose: tuple[Path, ...] = ()
    project_directory: Path | None = None
    name: str = ""
    profiles: tuple[str, ...] = ()


AS_FOUND = Choice()


def find_target(choice: Choice = AS_FOUND, experiment: Path | None = None) -> Target:
    """The target of a command, or of an experiment file; without any `compose` if there is none.

    UsageError if a file that is named, or that was found, is wrong.
    """
    target = _named(choice) or _of_experiment(experiment) or look_from(Path.cwd())
    given = {
        "name": choice.name,
        "project_directory": choice.project_directory and absolute(choice.project_directory),
    }
    found = target.model_copy(update={key: value for key, value in given.items() if value})
    with_flags = _beside(found.profiles, choice.profiles)
    needed = said_profiles(experiment) if experiment else ()
    own = with_flags or (default_profiles(found.folder) if needed else ())
    return found.model_copy(update={"profiles": _beside(own, needed)})


def _beside(own: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Both, each once."""
    return tuple(dict.fromkeys((*own, *more)))


def find_project(choice: Choice) -> Target:
    """The Compose project alone, whatever a target file says of it; as flags name it, or found."""
    folder = absolute(choice.project_directory) if choice.project_directory else Path.cwd()
    compose = choice.compose or find_compose_files(folder)
    named = Choice(None, compose, choice.project_directory, choice.name, choice.profiles)
    return find_target(named) if compose else Target()


def look_from(folder: Path) -> Target:
    """That of the first folder, from `folder` upward, with one of FILES or a Compose file.

    $COMPOSE_FILE comes before Compose files. Empty if there is none.
    """
    folder = absolute(folder)
    for level in (folder, *folder.parents):
        for path in first_of(level, FILES):
            return load_target(path)
        if compose_files_in(level):
            break
    return Target(compose=find_compose_files(folder))


def traffic_of(target: Target) -> Traffic:
    """What an experiment on the target need not describe: its application's requests, its own."""
    known = application_of(target).traffic
    operations = {**known.operations, **target.operations}
    geography = target.geography or known.geography
    return known.model_copy(update={"operations": operations, "geography": geography})


def require_project(target: Target) -> None:
    """UsageError if there is no Compose project."""
    if not target.compose:
        raise UsageError(
            f"no Compose project here: {Path.cwd()} and the folders above have neither "
            f"{FILES[0]} nor {', '.join(NAMES)}",
            "cd to your project, or name it: --file compose.yaml, or --target target.yaml",
        )


def _named(choice: Choice) -> Target | None:
    """What flags name; None if they name nothing."""
    if choice.file:
        return load_target(choice.file)
    for path in choice.compose:
        if not path.is_file():
            raise UsageError(f"--file {path}: no such file", "name it from where you are")
    if choice.compose:
        return Target(compose=tuple(absolute(path) for path in choice.compose))
    return look_from(choice.project_directory) if choice.project_directory else None


def _of_experiment(path: Path | None) -> Target | None:
    """What an experiment says, else what is found from its folder upward; None if that is nothing.

    One that lies apart from every project is about that of the working directory.
    """
    if path is None:
        return None
    target = said_target(path) or look_from(path.parent)
    return target if target.compose else None
