"""What a run on this project would be refused for, or could never tell, by the Compose file. Pure.

Only what is certain is refused here. At the moment of a fault the same is asked of what runs then
(guard.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness.aspects import aspect_of
from harness.compose_files import members_of
from harness.experiment_file.alerts import alerts_said, wrong_alerts
from harness.experiment_file.problems import suggest
from harness.faults import KINDS
from harness.faults.target import labelled_role
from harness.load.reach import HERE, Reach
from harness.model.alert import PAGER_LABEL, PROMETHEUS_LABEL, AlertNames
from harness.model.experiment import Experiment, FaultSpec, RemedySpec
from harness.model.labels import (
    ENTRY,
    REGION,
    RUNBOOK,
    STANDBY,
    TOXIPROXY,
    is_instrument,
    labelled_entry,
    role_of,
    runbooks_of,
)
from harness.model.load import address_of
from harness.model.metric import ALERT, ALERTS
from harness.model.sources import Sources
from harness.model.target import Target
from harness.remedies import KINDS as REMEDIES

ON_PURPOSE = "if that is meant: allow_total_loss: true"
STARTED_ANEW = ("kill", "crash", "out_of_memory", "stop", "restart", "wipe")
INITS = ("tini", "dumb-init", "docker-init", "catatonit", "s6-svscan", "init")


@dataclass(frozen=True, slots=True)
class Made:
    """A service as its Compose file makes it.

    `members`: how many containers. `ports` of the container by the address they are published on,
    "" for all of them; `reach` says which of these can be used. Of `random_ports` the engine
    chooses the port there anew at each start, from a range or from all. `has_init`: PID 1 is an
    init, for all that is written.
    """

    labels: Mapping[str, str]
    members: int = 1
    ports: Mapping[int, str] = field(default_factory=dict)
    random_ports: frozenset[int] = frozenset()
    has_init: bool = False
    reach: Reach = HERE

    @property
    def role(self) -> str:
        """The part it plays, "" for none."""
        return role_of(self.labels)

    @property
    def region(self) -> str:
        """Where it is, "" for nowhere in particular."""
        return self.labels.get(REGION, "")

    @property
    def where(self) -> str:
        """The same in a sentence."""
        return f" in region {self.region}" if self.region else ""

    @property
    def is_protected(self) -> bool:
        """Whether no fault may touch it."""
        return is_instrument(self.labels)

    def counted(self, services: Iterable[Made]) -> int:
        """How many containers of its role in its region these are, without standbys."""
        mine = (each for each in services if (each.role, each.region) == (self.role, self.region))
        return sum(each.members for each in mine if STANDBY not in each.labels)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a project before anything starts; `links`: None where nobody can tell.

    `lacks_netem` says why packets cannot be delayed or dropped on this machine, "" if they can.
    `alerts`: which alerts there are, None where nobody can tell yet.
    """

    made: Mapping[str, Made]
    links: frozenset[str] | None = None
    lacks_netem: Callable[[], str] = str
    alerts: Callable[[], AlertNames | None] = lambda: None


def made_services(
    config: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]], reach: Reach = HERE
) -> dict[str, Made]:
    """Each service out of `docker compose config`, with its labels (by service)."""
    return {
        name: Made(
            labels=labels.get(name, {}),
            members=members_of(facts),
            ports=_ports(facts, reach),
            reach=reach,
            random_ports=_random_ports(facts),
            has_init=_has_init(facts),
        )
        for name, facts in (config.get("services") or {}).items()
    }


def links_of(config: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]]) -> set[str] | None:
    """The links in the file that each Toxiproxy is started with, None where one cannot be read."""
    found: set[str] | None = None
    for name, facts in (config.get("services") or {}).items():
        if TOXIPROXY in labels.get(name, {}):
            text = _mounted(_option(facts, "-config"), facts, config)
            try:
                found = (found or set()) | {str(proxy["name"]) for proxy in json.loads(text)}
            except (ValueError, TypeError, KeyError):
                return None
    return found


def refusals(experiment: Experiment, known: Known, sources: Sources) -> list[str]:
    """Each thing that would end a run, or that it could never tell; where, and what to do."""
    found = [text for fault in experiment.faults for text in _of_fault(fault, experiment, known)]
    found += [text for each in experiment.remedies for text in _of_remedy(each, experiment, known)]
    entries = dict.fromkeys((experiment.load.entry, *experiment.other_entries))
    found += [text for entry in entries for text in _of_entry(entry, experiment, known)]
    found += [*_of_health(experiment.target, known), *_of_readback(experiment.target, known)]
    found += _of_places(experiment, known)
    found += [*_of_alerts(experiment, known), *_of_evidence(experiment, sources)]
    return found


def notes(experiment: Experiment, known: Known) -> list[str]:
    """What is likely to go wrong, and cannot be known for certain."""
    return [
        f"{_place(fault)}: nothing says that {service} has an init, and without one PID 1 cannot be"
        " made to crash; set `init: true` for it, unless its image brings one"
        for fault in experiment.faults
        if fault.kind == "crash"
        for service in _aimed_at(fault, known)
        if not known.made[service].has_init
    ]


def _of_fault(fault: FaultSpec, experiment: Experiment, known: Known) -> Iterator[str]:
    [(how, first)] = fault.selector.items()
    if KINDS[fault.kind].needs_netem and (lack := known.lacks_netem()):
        yield f"{_place(fault)}: {lack}"
    for name in fault.candidates or (first,):
        if how == "link":
            yield from _of_link(fault, name, known)
            continue
        services = _services(how, name, known)
        if services and all(known.made[service].is_protected for service in services):
            yield f"{_place(fault)}: {name} is protected: it is an instrument; choose another"
        elif services and KINDS[fault.kind].takes_member and not experiment.allow_total_loss:
            yield from _of_role(fault, known.made[services[0]], known)
        if fault.kind in STARTED_ANEW:
            for service in services:
                yield from _missed(_place(fault), service, experiment, known)


def _of_remedy(remedy: RemedySpec, experiment: Experiment, known: Known) -> Iterator[str]:
    kind, place = REMEDIES[remedy.kind], _place(remedy, "remedies")
    mine = {name: known.made[name] for name in remedy.services if name in known.made}
    for name in (name for name, made in mine.items() if made.is_protected):
        yield f"{place}: {name} is protected: it is an instrument; choose another"
    if kind.part.takes_member and not experiment.allow_total_loss:
        yield from _of_roles(place, mine, known)
    if "name" in remedy.parameters:
        yield from _of_runbook(place, str(remedy.parameters["name"]), mine)
    if kind.ends_faults:
        for name in mine:
            yield from _missed(place, name, experiment, known)


def _of_runbook(place: str, name: str, services: Mapping[str, Made]) -> Iterator[str]:
    """A runbook must be one of those that the labels of the service declare."""
    for service, made in services.items():
        there = runbooks_of(made.labels)
        if name not in there:
            right = suggest(name, there) if there else f"give it a label {RUNBOOK}{name}: COMMAND"
            yield f"{place}: {service} has no runbook {name}; {right}"


def _of_roles(place: str, services: Mapping[str, Made], known: Known) -> Iterator[str]:
    """All members of a role in a region, or etcd's majority, are taken at once only on purpose."""
    for made in {(m.role, m.region): m for m in services.values() if m.role}.values():
        role, where = made.role, made.where
        members = made.counted(known.made.values())
        lost = made.counted(services.values())
        if lost and lost == members:
            yield f"{place}: takes all members of role {role}{where} at once; {ON_PURPOSE}"
        elif role == "etcd" and lost and members - lost <= members // 2:
            yield f"{place}: leaves etcd no majority of {members}; {ON_PURPOSE}"


def moves(made: Made, entry: str) -> bool:
    """Whether the load enters at a port of it that is another one after each start."""
    name, port = labelled_entry(made.labels)
    return name == entry and port.isdecimal() and int(port) in made.random_ports


def _missed(place: str, service: str, experiment: Experiment, known: Known) -> Iterator[str]:
    """What could not follow a service to the ports that the engine chooses at its next start."""
    made = known.made[service]
    moved = f"of {service} that the engine chooses anew when it starts again"
    right = 'publish a fixed one, as in "127.0.0.1:8080:80"'
    if experiment.load.locustfile and moves(made, experiment.load.entry):
        yield f"{place}: a class of your own cannot follow to a port {moved}; {right}"
    for label, where in sorted(made.labels.items()):
        port = where.partition("/")[0]
        is_probe = label.startswith("harness.probe.") and port.isdecimal()
        if is_probe and int(port) in made.random_ports:
            yield f"{place}: {label} is read at a port {moved}; {right}"


def _of_link(fault: FaultSpec, name: str, known: Known) -> Iterator[str]:
    links = known.links
    if links is not None and not any(fnmatchcase(link, name) for link in links):
        yield f"{_place(fault)}: no link named {name}; {suggest(name, links)}"


def _of_role(fault: FaultSpec, made: Made, known: Known) -> Iterator[str]:
    """The last member of a role in a region, and etcd's majority, are lost only on purpose."""
    role, members = made.role, made.counted(known.made.values())
    if role and members == 1:
        yield f"{_place(fault)}: takes the only member of role {role}{made.where}; {ON_PURPOSE}"
    elif role == "etcd" and members - 1 <= members // 2:
        yield f"{_place(fault)}: leaves etcd no majority of {members}; {ON_PURPOSE}"


def _of_entry(entry: str, experiment: Experiment, known: Known) -> Iterator[str]:
    """The entry must be published where load may go, of one of its services at least."""
    wrong: list[str] = []
    for service, made in known.made.items():
        name, port = labelled_entry(made.labels)
        if name != entry or STANDBY in made.labels:
            continue
        text = _unpublished(service, made, port)
        if not text:
            return
        wrong.append(text)
    named = [n for n in experiment.load.shares if experiment.operations[n].entry == entry]
    where = f"operations.{named[0]}.entry" if entry != experiment.load.entry else "load.entry"
    yield from (f"{where}: {text}" for text in wrong)


def _of_health(target: Target, known: Known) -> Iterator[str]:
    """Where each operation of `healthy` is to be sent must be clear."""
    entries = _entries(known)
    for name in target.healthy:
        entry, _ = target.asked_at(name)
        if address_of(entry) is not None:
            continue
        if entry and entry not in entries:
            yield f"target: healthy: {name}: no entry named {entry}; {suggest(entry, entries)}"
        elif not entry and len(entries) != 1:
            right = f"write {min(entries)}.{name}" if entries else "give a service an `entry`"
            yield f"target: healthy: {name}: there are {len(entries)} entries; {right}"


def _entries(known: Known) -> set[str]:
    """The names of all entries."""
    labels = [made.labels for made in known.made.values() if STANDBY not in made.labels]
    return {name for each in labels if (name := labelled_entry(each)[0])}


def _of_readback(target: Target, known: Known) -> Iterator[str]:
    """Service or entry where writes are read back must be one of the project's."""
    if target.readback is None:
        return
    service, entry = target.readback.service, target.readback.entry
    if service and service not in known.made:
        right = suggest(service, known.made)
        yield f"target: readback.service: no service named {service}; {right}"
    if entry and address_of(entry) is None and entry not in (there := _entries(known)):
        yield f"target: readback.entry: no entry named {entry}; {suggest(entry, there)}"


def _of_places(experiment: Experiment, known: Known) -> Iterator[str]:
    """A place is an entry, too; where writes are read back over HTTP it must be said."""
    geography, readback = experiment.geography, experiment.target.readback
    if geography is None:
        return
    for name in sorted(geography.places.keys() & _entries(known)):
        yield f"target: places.{name}: an entry has this name, too; give the place another one"
    if readback is not None and readback.http and not readback.entry:
        yield "target: readback.entry: missing: load.from has no entry of its own; name one"


def _of_alerts(experiment: Experiment, known: Known) -> Iterator[str]:
    """What is expected of alerts: rules that have them, at ports that can be reached."""
    if not any(item.aspect in (ALERT, ALERTS) for item in experiment.hypothesis):
        return
    for service, made in known.made.items():
        for label in (PROMETHEUS_LABEL, PAGER_LABEL):
            port = made.labels.get(label, "").partition("/")[0]
            if label in made.labels and (wrong := _unpublished(service, made, port, label)):
                yield wrong
    names = known.alerts() if alerts_said(experiment) else None
    yield from wrong_alerts(experiment, names) if names is not None else ()


def _unpublished(service: str, made: Made, port: str, label: str = ENTRY) -> str:
    if not port.isdecimal():
        right = "NAME:PORT" if label == ENTRY else "PORT or PORT/PATH"
        return f"the label {label} of {service} names no port; write {right}"
    host = made.ports.get(int(port))
    at = made.reach.address
    if host is None:
        return f'{service} publishes no port {port}; add ports: ["{at}::{port}"] to it'
    if not made.reach.at(host):
        where = host or "0.0.0.0"
        return f"port {port} of {service} is published on {where} alone; publish it on {at}"
    return ""


def _of_evidence(experiment: Experiment, sources: Sources) -> list[str]:
    """Expectations of one subject for which the same is missing are one problem."""
    found: dict[tuple[str, str], list[str]] = {}
    for item in experiment.hypothesis:
        if lack := aspect_of(item).lacks(item, experiment, sources):
            found.setdefault((f"{item.phase}.{item.subject}", lack), []).append(item.text)
    return [f"expect.{at}: {', '.join(texts)}: {lack}" for (at, lack), texts in found.items()]


def _place(what: FaultSpec | RemedySpec, part: str = "faults") -> str:
    """Where it stands in the file: its id ends in its number."""
    return f"{part}[{int(what.id.rpartition('-')[2]) - 1}].{what.kind}"


def _aimed_at(fault: FaultSpec, known: Known) -> list[str]:
    [(how, first)] = fault.selector.items()
    names = fault.candidates or (first,)
    return [service for name in names for service in _services(how, name, known)]


def _services(how: str, name: str, known: Known) -> list[str]:
    """Those that are meant; none for a container, whose name is not in the file."""
    if how == "service":
        return [name] if name in known.made else []
    if how != "role":
        return []
    role = labelled_role(name, [made.role for made in known.made.values()])
    return [service for service, made in known.made.items() if made.role == role]


def _ports(facts: Mapping[str, Any], reach: Reach) -> dict[int, str]:
    """By TCP port of the container the address it is published on; one in reach if there is."""
    found: dict[int, str] = {}
    for port in facts.get("ports") or ():
        number = int(port["target"])
        is_reached = number in found and reach.at(found[number])
        if port.get("protocol", "tcp") == "tcp" and not is_reached:
            found[number] = port.get("host_ip") or ""
    return found


def _random_ports(facts: Mapping[str, Any]) -> frozenset[int]:
    """Those for which the file leaves the choice to the engine, from a range or from all."""
    published = [(p["target"], str(p.get("published") or "0")) for p in facts.get("ports") or ()]
    return frozenset(int(port) for port, text in published if text == "0" or "-" in text)


def _has_init(facts: Mapping[str, Any]) -> bool:
    first = next(iter([*(facts.get("entrypoint") or ()), *(facts.get("command") or ())]), "")
    return bool(facts.get("init")) or Path(str(first)).name in INITS


def _option(facts: Mapping[str, Any], name: str) -> str:
    """The value of an option of the service's command line, "" if it has none."""
    words = [*(facts.get("entrypoint") or ()), *(facts.get("command") or ())]
    for word, following in zip(words, [*words, ""][1:], strict=True):
        option, equals, value = str(word).partition("=")
        if option in (name, f"-{name}"):
            return value if equals else str(following)
    return ""


def _mounted(path: str, facts: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The text of a file of the container that a mount or a config puts there, "" if none does."""
    for mount in facts.get("volumes") or ():
        inside = Path(mount.get("target") or "/nowhere")
        if path and mount.get("type") == "bind" and Path(path).is_relative_to(inside):
            return _text_of(Path(mount["source"]) / Path(path).relative_to(inside))
    for mount in facts.get("configs") or ():
        if path and mount.get("target") == path:
            named = (config.get("configs") or {}).get(mount["source"]) or {}
            return named.get("content") or _text_of(Path(named.get("file") or "/nowhere"))
    return ""


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
