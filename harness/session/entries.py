"""The entries of a run: where operations are sent, and who follows those that move."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import TargetError
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


def entry_followers(experiment: Experiment, project: Project) -> list[Follower | None]:
    """For the load's entry, then for each other one: who follows it, None where it stays."""
    entries = (experiment.load.entry, *experiment.other_entries)
    return [project.entry_follower(entry, number) for number, entry in enumerate(entries)]


def other_entries(
    experiment: Experiment, project: Project, followers: Sequence[Follower | None] = ()
) -> dict[str, Entry]:
    """By name the entries that operations name themselves; `followers` in the same order.

    TargetError if one is not published.
    """
    files = [str(each.file) if each else "" for each in followers]
    names = experiment.other_entries
    given = [*files, *[""] * (len(names) - len(files))]
    return {
        name: Entry(project.addresses(name), file) for name, file in zip(names, given, strict=True)
    }
