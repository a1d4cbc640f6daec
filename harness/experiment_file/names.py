"""Names in a file held against what there is: kinds of fault, services, roles, entries, links."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.faults.base import FaultKind
from harness.faults.target import PATRONI_ROLES
from harness.model.labels import ENTRY, labelled_entry
from harness.model.load import Traffic
from harness.model.target import Target

FaultKinds = Mapping[str, FaultKind]
Services = Mapping[str, Mapping[str, str]]
TrafficOf = Callable[[Target], Traffic]
Profiles = Callable[[], Collection[str]]
"""Asked only if the file names a profile: Compose takes a fifth of a second to say which."""


def no_traffic(_: Target) -> Traffic:
    """Nothing is known: the file must describe everything that it sends."""
    return Traffic()


@dataclass(frozen=True)
class Names:
    """All that a file can name; `services` are labels by Compose service, None if not known.

    `profiles` are those of the Compose files, None if nobody can say.
    """

    kinds: FaultKinds
    services: Services | None
    traffic: TrafficOf = no_traffic
    profiles: Profiles | None = None

    def check_profiles(self, root: Node, said: Collection[str]) -> None:
        """Report each profile that the Compose files lack."""
        known = self.profiles() if self.profiles and said else said
        for name in said:
            if name not in known:
                wrong = f"the Compose files have no profile {name}"
                right = suggest(name, known) if known else "they have none"
                root.problem("profiles", wrong, right)

    def entry(self, load: Node, known: str) -> str:
        """The entry that the file names, or else the one `known`, or else the only one there is.

        Reported if no service carries the label `harness.entry` with that name. ADDRESS:PORT needs
        no label; whether load may go there is asked before a run.
        """
        entries = self._entries()
        only = entries[0] if len(entries) == 1 else ""
        entry = str(load.get("entry", known or only))
        if wrong := self.wrong_entry(entry):
            load.problem("entry", *wrong)
        return entry

    def wrong_entry(self, entry: str) -> tuple[str, str] | None:
        """What is wrong with an entry, and what would be right; None if there is one so called."""
        entries = self._entries()
        if self.services is None or ":" in entry or entry in entries:
            return None
        wrong = f"no service has the label harness.entry: {entry}" if entry else "missing"
        return wrong, suggest(entry, entries)

    def _entries(self) -> list[str]:
        labels = (self.services or {}).values()
        named = [labelled_entry(one)[0] for one in labels if ENTRY in one]
        return list(dict.fromkeys(named))

    def check_target(self, body: Node, how: str, name: str) -> None:
        """Report a fault's target (`how`: service, role, container or link) if there is none."""
        if how == "link":
            _check_link(body, name)
        elif self.services is not None and how in ("service", "role"):
            known = self.services.keys() if how == "service" else _roles(self.services)
            if name not in known:
                body.problem(how, f"no {how} named {name}", suggest(name, known))


def _roles(services: Services) -> frozenset[str]:
    roles = frozenset(labels.get("harness.role", "") for labels in services.values()) - {""}
    return roles | PATRONI_ROLES.keys() if "db" in roles else roles


def _check_link(body: Node, name: str) -> None:
    """Its names are the user's own: Toxiproxy's list says which there are (foreseen.py)."""
    if not name.strip("*.?"):
        body.problem("link", "matches every link", "write NAME, or a part of it with *")
