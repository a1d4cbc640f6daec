"""The entries of a run: where operations are sent, and who follows those that move."""

from __future__ import annotations

from collections.abc import Sequence

from harness.load.engine.config import Entry
from harness.load.entry_follower import EntryFollower
from harness.model.experiment import Experiment
from harness.session.project import Project


def entry_followers(experiment: Experiment, project: Project) -> list[EntryFollower | None]:
    """For the load's entry, then for each other one: who follows it, None where it stays."""
    entries = (experiment.load.entry, *experiment.other_entries)
    return [project.entry_follower(entry, number) for number, entry in enumerate(entries)]


def other_entries(
    experiment: Experiment, project: Project, followers: Sequence[EntryFollower | None] = ()
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
