"""The stack of this clone, seen from beside the harness."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, Protocol

from campaigns.harness_command import ROOT
from harness.adapters.docker_engine import DockerEngine
from harness.compose_files import read_environment
from harness.model.container import Container
from harness.state_folder import JOURNAL, state_root


class Engine(Protocol):
    """The slice of the engine that is needed."""

    def containers(self) -> list[Container]:
        """All containers of the project."""
        ...


class Stack:
    """Made while it is healthy; whatever differs from then on is left over.

    `links_url` is that of Toxiproxy's list, `state` the folder of journal and lock.
    """

    def __init__(self, engine: Engine, links_url: str, state: Path) -> None:
        self.engine, self.links_url, self.state = engine, links_url, state
        self.networks = {c.service: set(c.networks) for c in self._members()}
        self.limits = {c.service: _limits(c) for c in self._members()}

    def leftovers(self) -> list[str]:
        """Everything that is not as it was, and what the journal holds."""
        journal = self.state / JOURNAL
        lines = journal.read_text().splitlines() if journal.exists() else []
        return self.broken() + [f"in the journal: {line[:80]}" for line in lines]

    def broken(self) -> list[str]:
        """Everything that is not as it was."""
        found = [f"{c.service} is {c.status}" for c in self._members() if not c.is_running]
        found += [
            f"{c.service} is off {', '.join(self.networks[c.service] - set(c.networks))}"
            for c in self._members()
            if self.networks[c.service] - set(c.networks)
        ]
        links = self._links()
        spares = [c for c in self.engine.containers() if c.is_standby]
        found += [f"{c.service} runs" for c in spares if c.is_running]
        found += [f"{name} is cut" for name, link in links.items() if not link["enabled"]]
        found += [f"{name} suffers" for name, link in links.items() if link["toxics"]]
        return found + [
            f"the limits of {c.service} are {_limits(c)}"
            for c in self._members()
            if _limits(c) != self.limits[c.service]
        ]

    def container(self, service: str) -> Container:
        """The container of a service."""
        return next(c for c in self.engine.containers() if c.service == service)

    def _links(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.links_url, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def _members(self) -> list[Container]:
        return [c for c in self.engine.containers() if c.role and not c.is_standby]


def stack_of_this_clone() -> Stack:
    """The bundled stack, which must run."""
    settings = read_environment(ROOT)
    project = settings["COMPOSE_PROJECT_NAME"]
    links_url = f"http://127.0.0.1:{settings['HARNESS_PORT_TOXIPROXY']}/proxies"
    return Stack(DockerEngine(project), links_url, state_root() / project)


def _limits(container: Container) -> tuple[int, int]:
    return container.memory_bytes, container.nano_cpus
