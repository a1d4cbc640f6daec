"""Names in a file held against what there is: kinds of fault, services, roles, entries, links."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.faults.base import FaultKind

FaultKinds = Mapping[str, FaultKind]
Services = Mapping[str, Mapping[str, str]]

_PARTS_OF_DB = frozenset({"db-primary", "db-standby", "db-replica"})  # played by role db in turn


@dataclass(frozen=True)
class Names:
    """All that a file can name; `services` are labels by Compose service, None if not known."""

    kinds: FaultKinds
    services: Services | None

    def check_entry(self, load: Node, entry: str) -> None:
        """Report `load.entry` if no service carries the label `harness.entry` with that name.

        ADDRESS:PORT needs no label; whether load may go there is asked before a run.
        """
        if self.services is None or ":" in entry:
            return
        entries = {
            labels["harness.entry"].partition(":")[0]
            for labels in self.services.values()
            if "harness.entry" in labels
        }
        if entry not in entries:
            load.problem("entry", f"no service is entry {entry}", suggest(entry, entries))

    def check_target(self, body: Node, how: str, name: str) -> None:
        """Report a fault's target (`how`: service, role, container or link) if there is none."""
        if self.services is None:
            return
        if how == "link":
            _check_link(body, name, self.services)
        elif how in ("service", "role"):
            known = self.services.keys() if how == "service" else _roles(self.services)
            if name not in known:
                body.problem(how, f"no {how} {name}", suggest(name, known))


def _roles(services: Services) -> frozenset[str]:
    roles = frozenset(labels.get("harness.role", "") for labels in services.values()) - {""}
    return roles | _PARTS_OF_DB if "db" in roles else roles


def _check_link(body: Node, name: str, services: Services) -> None:
    if not [part for part in name.replace("*", "").split(".") if part]:
        body.problem("link", "would be every link", "write app-2.redis")
    first = name.partition(".")[0]
    if not fnmatch.filter(services, first):
        body.problem("link", f"no service {first}", suggest(first, services))
