"""What is known of a project before anything starts; the same for `validate` and for a run."""

from __future__ import annotations

from contextlib import suppress

from harness.adapters.packet_queues import TcPacketQueues
from harness.bundled.shortener import SHORTENER, links_of_stack
from harness.errors import HarnessError
from harness.experiment_file.foreseen import Known, links_of, made_services
from harness.session.project import Project

LABEL = "harness.toxiproxy"


def known_of(project: Project) -> Known:
    """By its Compose file; its links by Toxiproxy's own list where one runs.

    The bundled stack's are built into its image, from a file that is here.
    """
    config, labels = project.compose.config(), project.compose.services()
    made, lacks = made_services(config, labels), TcPacketQueues().lacks
    if project.application is SHORTENER:
        return Known(made, frozenset(links_of_stack(project.root)), lacks)
    if not any(LABEL in each for each in labels.values()):
        return Known(made, lacks_netem=lacks)
    links = _links_now(project) or links_of(config, labels)
    return Known(made, frozenset(links) if links else None, lacks)


def _links_now(project: Project) -> set[str]:
    """What Toxiproxy lists; nothing where none runs, or where no engine can be asked."""
    with suppress(HarnessError):
        if any(LABEL in c.labels and c.is_running for c in project.engine.containers()):
            return set(project.tools().links.names())
    return set()
