"""The text of `target.yaml`: what the Compose files do not say, with a comment where one asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.compose_files import compose_files_in
from harness.init.proposal import Proposal
from harness.init.roles import Played
from harness.init.yaml_text import aligned, comment, scalar, sequence
from harness.model.target import Target


def target_text(proposal: Proposal, target: Target, folder: Path) -> str:
    """`target.yaml` in `folder`, about the project that `target` names."""
    parts = [
        comment(
            "What is under test, and what its Compose files do not say. They need no change and no"
            " label. Written by `harness init`, and yours now: change what does not fit."
        ),
        _project(target, folder),
        _services(proposal),
        _operations(proposal),
        _readback(proposal),
        _links(proposal),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _project(target: Target, folder: Path) -> list[str]:
    """Where the project is; files that Compose finds by itself are not named."""
    seen = [_seen_from(folder, path) for path in target.compose]
    is_found = target.compose == compose_files_in(target.folder) and folder.is_relative_to(
        target.folder
    )
    start = "# compose: " if is_found else "compose: "
    why = "found as Compose finds them; name them to use others" if is_found else "in this order"
    rows = [(start + sequence(seen), why)]
    if target.project_directory:
        said = scalar(_seen_from(folder, target.project_directory))
        rows.append((f"project_directory: {said}", "what paths in them start from"))
    if target.name:
        rows.append((f"name: {scalar(target.name)}", "of the project, as in docker compose -p"))
    if target.profiles:
        rows.append((f"profiles: {sequence(target.profiles)}", "that are active"))
    return aligned(rows)


def _services(proposal: Proposal) -> list[str]:
    lines = [
        *comment(
            "The part that each service plays. Services with one role can replace each other: the"
            " last of them is broken only by an experiment that says allow_total_loss. All that"
            " have a role must run before and after a run. `protect: true`: no fault may touch it."
        ),
        "services:",
    ]
    for name, played in proposal.roles.items():
        lines += comment(f"{proposal.found.services[name].what}; {played.why}", 2)
        lines += _service(name, played, proposal)
    return lines


def _service(name: str, played: Played, proposal: Proposal) -> list[str]:
    entry, facts = proposal.entry, list[str]()
    if played.role:
        facts.append(f"role: {scalar(played.role)}")
    if name == entry.service:
        port = entry.port
        where = port.published or "a port that the engine chooses"
        why = f"clients enter at this port of the container; it is published on {where}"
        more = aligned([(f"    entry: {port.inside}", why)])
        return [f"  {scalar(name)}:", *(f"    {fact}" for fact in facts), *more]
    if played.is_protected:
        facts.append("protect: true")
    start = "" if facts else "# "
    return [f"  {start}{scalar(name)}: {{{', '.join(facts or ['role: NAME'])}}}"]


def _operations(proposal: Proposal) -> list[str]:
    lines = [
        *comment(
            "What a client asks for. A request fails if its answer has another status, or takes"
            " longer than `limit`. If a page redirects, add its status: [200, 302]. A POST:"
            ' {method: POST, path: /items, headers: {Content-Type: application/json}, body: "{}"}'
        ),
        "operations:",
    ]
    for name, path in proposal.paths.items():
        lines.append(f"  {name}: {{path: {scalar(path)}, status: [200], limit: 5s}}")
    why = "each must succeed before a run starts, and after it"
    return [*lines, *aligned([(f"healthy: {sequence(proposal.paths)}", why)])]


def _readback(proposal: Proposal) -> list[str]:
    """How to look up writes in the first database that can be asked; the tables are unknown."""
    services = proposal.found.services.values()
    stores = [service.name for service in services if service.kind and service.kind.reads_back]
    if not stores:
        return []
    text = (
        "Is each write that was acknowledged still there after a run? Name the table and the column"
        " that hold what an operation sends as {token}, and add `writes: token` to that operation."
    )
    sql = "select COLUMN from TABLE where COLUMN in ({tokens})"
    return [*comment(text), f'# readback: {{service: {scalar(stores[0])}, sql: "{sql}"}}']


def _links(proposal: Proposal) -> list[str]:
    """What Toxiproxy may be put between; written so that one need only take the # away."""
    links = list(_each_link(proposal))
    if not links:
        return []
    is_on = proposal.has_links
    text = "Connections that faults can slow down or cut: Toxiproxy is put in front of these ports."
    if not is_on:
        text += " Take the # away to have it; nothing changes in your files."
    start = "" if is_on else "# "
    rows = aligned((f"{start}  {line}", why) for line, why in links)
    return [*comment(text), f"{start}links:", *rows]


def _each_link(proposal: Proposal) -> Iterator[tuple[str, str]]:
    """Each with who uses it."""
    for name, ports in proposal.found.links.items():
        text = str(ports[0]) if len(ports) == 1 else f"[{', '.join(map(str, ports))}]"
        clients = [c.client for c in proposal.found.connections if c.server == name]
        yield f"{scalar(name)}: {text}", f"used by {', '.join(dict.fromkeys(clients))}"


def _seen_from(folder: Path, path: Path) -> str:
    return os.path.relpath(path, folder)
