"""What is known of a project before anything starts; the same for `validate` and for a run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from harness.adapters.engine_address import engine_address
from harness.adapters.packet_queues import TcPacketQueues
from harness.bundled.shortener import is_bundled, links_of_stack
from harness.errors import HarnessError
from harness.experiment_file import foreseen
from harness.experiment_file.foreseen import Known, links_of, made_services
from harness.experiment_file.names import Services
from harness.model.experiment import Experiment
from harness.model.labels import TOXIPROXY
from harness.outlook import measured_without_canary
from harness.plan import with_replicas
from harness.session.alerts import known_alerts
from harness.session.experiment_files import read_experiment
from harness.session.project import Project

Links = frozenset[str] | None


def known_of(project: Project) -> Known:
    """By its Compose files, its links, and what this machine can do to packets."""
    config, labels = project.compose.config(), project.compose.services()
    links = _links_of(project, config, labels)
    address = engine_address()
    made = made_services(config, labels, address.reach)
    lacks = partial(_only_here, address.machine) if address.machine else TcPacketQueues().lacks
    return Known(made, links, lacks, cache(partial(known_alerts, project)))


def _only_here(machine: str) -> str:
    return f"the engine is on {machine}, and packets can be delayed or dropped on this machine only"


def _links_of(project: Project, config: Mapping[str, Any], labels: Services) -> Links:
    """Of a Toxiproxy that runs by its own list; None where nobody can tell.

    The bundled stack's are built into its image, from a file that is here. Generated ones are
    those about to be made, whatever runs now.
    """
    if is_bundled(project.target):
        return frozenset(links_of_stack(project.root, labels))
    if not any(TOXIPROXY in each for each in labels.values()):
        return None
    running = set() if project.target.links else _links_now(project)
    links = running or links_of(config, labels)
    return frozenset(links) if links else None


def _links_now(project: Project) -> set[str]:
    """What Toxiproxy lists; nothing where none runs, or where no engine can be asked."""
    with suppress(HarnessError):
        if any(TOXIPROXY in c.labels and c.is_running for c in project.engine.containers()):
            return set(project.tools().links.names())
    return set()


def read_on(path: Path, project: Project, known: Known) -> Experiment:
    """The experiment in a file as it is on a project; UsageError if it is wrong, or wrong there."""
    compose = project.compose
    found = read_experiment(
        path, compose.services(), project.target, known, profiles=compose.profiles
    )
    return with_replicas(found, compose.container_names())


def notes_of(experiment: Experiment, known: Known | None) -> list[str]:
    """What is likely to go wrong, and what will be measured less well than it could be."""
    by_file = foreseen.notes(experiment, known) if known else []
    return [*by_file, *measured_without_canary(experiment)]
