"""What `harness init` proposes: entry, roles, operations, experiments, and what to know of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.aspects import RESERVED
from harness.errors import UsageError
from harness.init.entry import Entry
from harness.init.found import Found
from harness.init.roles import Played, apps_of, roles_of
from harness.init.trials import Trial, trials_of
from harness.model.request_line import read_path

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")


@dataclass(frozen=True, slots=True)
class Proposal:
    """All that is written, as data; `paths` by the names of the operations that ask for them."""

    found: Found
    entry: Entry
    roles: dict[str, Played]
    paths: dict[str, str]
    trials: list[Trial]
    has_links: bool = False

    @property
    def is_built(self) -> list[str]:
        """The services whose images are built from a Dockerfile."""
        return [name for name, service in self.found.services.items() if service.is_built]

    def to_json(self) -> dict[str, Any]:
        """For `--json`: what was found, and what follows from it."""
        return {
            "services": found_json(self.found, self.roles),
            "entry": {"service": self.entry.service, "port": self.entry.port.inside,
                      "published": self.entry.port.published, "why": self.entry.why},
            "operations": self.paths,
            "links": self.found.links,
            "experiments": [
                {"name": trial.name, "title": trial.title, "fault": trial.kind,
                 "services": list(trial.services), "why": trial.why}
                for trial in self.trials
            ],
            "notes": list(notes(self)),
        }  # fmt: skip


def propose(found: Found, entry: Entry, paths: Sequence[str], *, has_links: bool) -> Proposal:
    """What fits the project, for clients that enter there and ask for these paths.

    UsageError if a path is none.
    """
    apps = apps_of(found, entry)
    return Proposal(
        found,
        entry,
        roles_of(found, entry, apps),
        named_paths(paths or ["/"]),
        trials_of(found, entry, apps),
        has_links,
    )


def named_paths(paths: Sequence[str]) -> dict[str, str]:
    """A name for each path: `home` for /, else its last word; numbered where two have the same."""
    named: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        try:
            right = read_path(path)
        except ValueError as error:
            raise UsageError(f"--path {path}: {error}", "harness init --path /") from error
        words = _WORD.findall(path.partition("?")[0])
        first = words[-1].lower() if words else "home"
        name = next(n for n in _numbered(first) if n not in named and n not in RESERVED)
        named[name] = right
    return named


def _numbered(word: str) -> Iterator[str]:
    yield word
    yield from (f"{word}_{number}" for number in range(2, 1000))


def found_json(found: Found, roles: dict[str, Played]) -> list[dict[str, Any]]:
    """Each service: what it is, its part, and why."""
    return [
        {"service": name, "is": service.what, "role": roles[name].role if name in roles else "",
         "protected": name in roles and roles[name].is_protected,
         "why": roles[name].why if name in roles else service.because,
         "members": service.members, "needs": dict(service.needs)}
        for name, service in found.services.items()
    ]  # fmt: skip


def notes(proposal: Proposal) -> Iterator[str]:
    """What is good to know, and stops nothing."""
    found, entry = proposal.found, proposal.entry
    for name, service in found.services.items():
        if service.is_on_host:
            yield f"{name} uses the network of this machine (network_mode: host): it is not broken"
        if service.container_name:
            yield (
                f"{name} has a fixed container_name, {service.container_name}: it cannot have"
                " replicas, and a second copy of the project cannot run"
            )
    parts = [name for name, played in proposal.roles.items() if played.role]
    silent = [name for name in parts if not found.services[name].has_health_check]
    if silent:
        yield (
            f"no health check in the Compose files for {', '.join(silent)}: healthy means that the"
            " container runs and the requests succeed"
        )
    for name, profiles in found.in_profiles.items():
        yield f"{name} is used with --profile {' or '.join(profiles)} alone: left out"
    path = found.services[entry.service].health_path
    if path not in ("", "/"):
        yield f"the health check of {entry.service} asks for {path}; --path {path} sends that"
