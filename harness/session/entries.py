"""The entries of a run: where operations are sent, and who follows those that move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.errors import TargetError
from harness.load.driver import LoadConfig
from harness.load.engine.config import Entry
from harness.load.entry_follower import EntryFollower
from harness.load.place_follower import PlaceFollower
from harness.model.experiment import Experiment
from harness.session.project import Project

Follower = EntryFollower | PlaceFollower


def check_places(experiment: Experiment, project: Project) -> list[str]:
    """To which region DNS sends the users of each place now, in words.

    TargetError names all places for which it gives no answer of use.
    """
    geography, found, failed = experiment.geography, list[str](), list[str]()
    if geography is None:
        return found
    for place in experiment.load.places:
        try:
            [(address, port)] = project.addresses(place)
            region = geography.region_at(address)
            found.append(f"{place}: users are sent to region {region}, {address}:{port}")
        except TargetError as error:
            failed.append(f"  {place}: {error.message}")
    if failed:
        raise TargetError(
            f"{experiment.name}: DNS does not say where users are sent:\n" + "\n".join(failed),
            "does the DNS server of the target run? harness status; see dns in target.yaml",
        )
    return found


def other_entries(experiment: Experiment, project: Project) -> dict[str, Entry]:
    """By name the entries that operations name themselves, where they are now.

    TargetError if one is not published.
    """
    return {name: Entry(project.addresses(name)) for name in experiment.other_entries}


def with_entries(
    config: LoadConfig, experiment: Experiment, project: Project, folder: Path
) -> tuple[LoadConfig, tuple[Follower, ...]]:
    """The load with all entries that move in files in `folder`, and those who write these files.

    TargetError if an entry is not published.
    """
    entries = other_entries(experiment, project)
    followers = {
        name: project.entry_follower(name, folder / f"entry-{number}.json")
        for number, name in enumerate((experiment.load.entry, *entries))
    }
    files = {name: each.file for name, each in followers.items() if each}
    config = replace(
        config,
        entry_file=files.get(experiment.load.entry),
        entries={name: replace(e, file=str(files.get(name, ""))) for name, e in entries.items()},
    )
    return config, tuple(filter(None, followers.values()))
