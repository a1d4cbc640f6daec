"""`harness run --dry-run`: exactly what a run would touch now, and what would be refused."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.adapters.compose_project import refuse_replacing
from harness.checks.probe import checks_words
from harness.cli.console import Screen
from harness.errors import HarnessError
from harness.faults import KINDS, make_fault
from harness.faults.target import labelled_role
from harness.faults.undo_record import LinkUndo
from harness.guard import check_fault
from harness.model.container import Container
from harness.model.experiment import Experiment, FaultSpec, RemedySpec
from harness.model.http import authority
from harness.model.labels import STANDBY, role_of
from harness.outlook import in_detail, listed, sending
from harness.preflight import operations_of
from harness.remedies import command_of
from harness.session.known import notes_of
from harness.session.project import Project
from harness.session.session import Job, Settings


def dry_run(jobs: Sequence[Job], settings: Settings, screen: Screen) -> int:
    """Show every file's run and start nothing; 4 if it, or a fault, would be refused, else 0."""
    shown = [_looked_at(job, settings) for job in jobs]
    if screen.as_json:
        screen.value(shown)
    else:
        for job, facts in zip(jobs, shown, strict=True):
            _show(job.path, facts, screen)
    refusals = [
        HarnessError(f"{fault['fault']} would be refused: {fault['refused']}", "harness status")
        for facts in shown
        for fault in facts["faults"]
        if fault["refused"]
    ]
    refusals += _replacements_refused(jobs, shown, settings)
    for refusal in refusals:
        screen.error(refusal)
    return 4 if refusals else 0


def _replacements_refused(
    jobs: Sequence[Job], shown: Sequence[Mapping[str, Any]], settings: Settings
) -> list[HarnessError]:
    """One for each project of which containers would be recreated without permission."""
    found: dict[str, HarnessError] = {
        job.project.name: refuse_replacing(job.project.name, facts["replaces"])
        for job, facts in zip(jobs, shown, strict=True)
        if facts["replaces"] and not (settings.recreate or job.project.compose.is_bundled)
    }
    return list(found.values())


def _looked_at(job: Job, settings: Settings) -> dict[str, Any]:
    experiment, project = job.experiment, job.project
    if settings.starts_stack:
        project.check_links_image()
    containers = project.engine.containers()
    services = project.compose.services()
    running = {c.service for c in containers if c.is_running}
    standby = {name for name, labels in services.items() if STANDBY in labels}
    return {
        "experiment": experiment.name,
        "project": project.name,
        "starts": sorted(services.keys() - running - standby),
        "replaces": project.compose.would_replace() if containers and settings.starts_stack else [],
        "links": list(project.generated_links),
        "listens": authority(settings.listen) if settings.listen else "",
        "load": _load_facts(experiment, project, containers),
        "notes": notes_of(experiment, job.known),
        "faults": _faults(experiment, project, containers, services),
        "remedies": [_remedy(spec, services) for spec in experiment.remedies],
        "checks": checks_words(experiment.checks),
        "writes": [str(settings.output), str(project.state_dir)],
    }


def _load_facts(
    experiment: Experiment, project: Project, containers: Sequence[Container]
) -> dict[str, Any]:
    load, sends = experiment.load, sending(experiment)
    to = _addresses(experiment, project) if containers or load.places else []
    return {
        "to": to or [f"entry {load.entry}"],
        "places": list(load.places),
        "peak_per_s": load.peak_per_s,
        "preflight": [] if experiment.ignores_steady_state else operations_of(experiment),
        "sends": {**asdict(sends), "words": sends.words},
        "detail": in_detail(experiment),
        "entries": _other_addresses(experiment, project, containers),
        "scale": experiment.scale,
        "seconds": experiment.end_s,
        "locustfile": load.locustfile,
        "workers": load.workers,
    }


def _addresses(experiment: Experiment, project: Project) -> list[str]:
    """Where the load enters; with places all that DNS may say, which is not asked."""
    geography, load = experiment.geography, experiment.load
    if geography is None:
        return list(map(authority, project.endpoints(load)))
    reached = (geography.reached_from(place).values() for place in load.places)
    return list(dict.fromkeys(authority(address) for each in reached for address in each))


def _other_addresses(
    experiment: Experiment, project: Project, containers: Sequence[Container]
) -> dict[str, list[str]]:
    """By entry where operations that name one are sent; nothing where there are no containers."""
    others = experiment.other_entries if containers else ()
    names = [name for name in others if name not in experiment.load.places]
    return {name: list(map(authority, project.addresses(name))) for name in names}


def _faults(
    experiment: Experiment,
    project: Project,
    containers: Sequence[Container],
    services: Mapping[str, Mapping[str, str]],
) -> list[dict[str, Any]]:
    """In order of time; each is held against the members that those before it have taken."""
    found: list[dict[str, Any]] = []
    for spec in sorted(experiment.faults, key=lambda fault: fault.start_s):
        names, links, refused = _candidates(spec, services), list[str](), ""
        if containers:
            taken = _taken(found, spec.start_s)
            left = [replace(c, status="exited") if c.name in taken else c for c in containers]
            names, links, refused = _resolved(spec, project, left, experiment)
        found.append(
            {
                "fault": spec.id,
                "kind": spec.kind,
                "start_s": spec.start_s,
                "end_s": spec.end_s,
                "containers": names,
                "links": links or [v for k, v in spec.selector.items() if k == "link"],
                "candidates": list(spec.candidates),
                "refused": refused,
            }
        )
    return found


def _remedy(spec: RemedySpec, services: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    return {
        "remedy": spec.id,
        "kind": spec.kind,
        "services": list(spec.services),
        "when": spec.when,
        "within_s": spec.within_s,
        "for_s": spec.for_s,
        "command": list(command_of(spec, services)),
    }


def _taken(earlier: Sequence[Mapping[str, Any]], at_s: float) -> set[str]:
    """The containers that faults of before have taken from their role at that time."""
    return {
        name
        for fault in earlier
        if KINDS[fault["kind"]].takes_member and fault["end_s"] > at_s
        for name in fault["containers"]
    }


def _resolved(
    spec: FaultSpec, project: Project, containers: Sequence[Container], experiment: Experiment
) -> tuple[list[str], list[str], str]:
    """Containers and links that it would touch now, and why it would be refused, "" if not."""
    try:
        undo = make_fault(spec, project.tools()).prepare()
    except HarnessError as error:
        return [], [], error.message
    names = [touched.name for touched in undo.containers]
    links = list(undo.links) if isinstance(undo, LinkUndo) else []
    try:
        check_fault(KINDS[spec.kind], undo, containers, project.name, experiment)
    except HarnessError as error:
        return names, links, error.message
    return names, links, ""


def _candidates(spec: FaultSpec, services: Mapping[str, Mapping[str, str]]) -> list[str]:
    """By the Compose file, where no container exists: the services that it may be."""
    [(how, name)] = spec.selector.items()
    if how == "role":
        roles = {service: role_of(labels) for service, labels in services.items()}
        meant = labelled_role(name, roles.values())
        return sorted(service for service, role in roles.items() if role == meant)
    return [name] if how in ("service", "container") else []


def _show(path: Path, facts: Mapping[str, Any], screen: Screen) -> None:
    load = facts["load"]
    screen.say(f"{path}: dry run; nothing is started or changed", "bold")
    if facts["starts"]:
        screen.say(f"  would start in {facts['project']}: {', '.join(facts['starts'])}")
    if facts["replaces"]:
        screen.say(f"  would recreate or remove {', '.join(facts['replaces'])}")
    for link in facts["links"]:
        screen.say(f"  would put Toxiproxy into a connection, as link {link}")
    what = f"up to {load['peak_per_s']:g}/s for {load['seconds']:.0f} s to {', '.join(load['to'])}"
    scale = "" if load["scale"] == 1 else f", scale {load['scale']:g}"
    screen.say(f"  would send {what}{scale}")
    for text in (*_sent_words(load), *_worker_words(facts)):
        screen.say(f"  {text}")
    for text in facts["notes"]:
        screen.say(f"  note: {text}")
    for text in facts["checks"]:
        screen.say(f"  would look at {text}")
    if load["locustfile"]:
        screen.say(f"  would run {load['locustfile']}: your own code, which may send anywhere")
    screen.say(f"  would write to {' and '.join(facts['writes'])}")
    _show_faults(facts["faults"], screen)
    _show_remedies(facts["remedies"], screen)


def _show_faults(faults: Sequence[Mapping[str, Any]], screen: Screen) -> None:
    rows = [
        [
            f"{fault['start_s']:.1f} s",
            f"{fault['end_s']:.1f} s",
            fault["fault"],
            _at(fault),
            f"REFUSED: {fault['refused']}" if fault["refused"] else "allowed",
        ]
        for fault in faults
    ]
    screen.table(
        "Faults (targets are resolved again when a fault starts)",
        ("from", "to", "fault", "target", ""),
        rows,
    )


def _show_remedies(remedies: Sequence[Mapping[str, Any]], screen: Screen) -> None:
    rows = [
        [
            remedy["when"],
            f"{remedy['within_s']:g} s",
            remedy["remedy"],
            ", ".join(remedy["services"]),
            shlex.join(remedy["command"]),
        ]
        for remedy in remedies
    ]
    columns = ("begun", "within", "remedy", "target", "command")
    if rows:
        screen.table("Remedies (one after the other, in this order)", columns, rows)


def _sent_words(load: Mapping[str, Any]) -> list[str]:
    """What is sent in all, in detail, and before anything else."""
    entries = [f"entry {name} is {', '.join(to)}" for name, to in load["entries"].items()]
    said = [f"in all {load['sends']['words']}", *load["detail"], *entries]
    if load["preflight"]:
        first = listed(load["preflight"], load["places"])
        said.append(f"would first send one request of each to each address: {first}")
    return said


def _worker_words(facts: Mapping[str, Any]) -> Iterator[str]:
    """By how many processes it is sent, and where others may join."""
    if (workers := facts["load"]["workers"]) > 1:
        yield f"by {workers} workers, each with its share of the same requests"
    if facts["listens"]:
        yield f"would let workers of other machines join at {facts['listens']}"


def _at(fault: Mapping[str, Any]) -> str:
    """What it would hit, and what else it could with another seed or in another repetition."""
    names = ", ".join([*fault["containers"], *fault["links"]]) or "no match"
    return f"{names} (one of {', '.join(fault['candidates'])})" if fault["candidates"] else names
