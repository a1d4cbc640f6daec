"""The stack and its state: up, down, status, heal, doctor."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from harness.adapters.clock import SystemClock
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.http_client import HttpClient
from harness.adapters.machine import check_machine
from harness.adapters.tools import tools_of
from harness.bundled.shortener import is_bundled
from harness.cli.console import Screen
from harness.cli.target_flags import choice_of
from harness.errors import HarnessError, HealError, TargetError, UsageError
from harness.faults.base import Proof
from harness.guard import check_host_access
from harness.lock import lock_holder, run_lock
from harness.model.clock import wait_until
from harness.model.container import LOOPBACK, Container
from harness.model.http import authority
from harness.remembered import forget, recall
from harness.rescue import last_rescue
from harness.session import canary_keys
from harness.session.project import Project, checkout
from harness.session.targets import Choice, find_target
from harness.state_folder import JOURNAL, state_folders
from harness.undo import Entry, Journal, boot_id, replay
from harness.watchdog.process import WATCHDOG_NAME

STOP_S, WATCHDOG_S, TAKES_OVER_S = 120.0, 60.0, 3.0
UNHEALTHY = 3  # exit code of `status`: nothing failed, but a run could prove nothing now


def up(options: argparse.Namespace, screen: Screen) -> int:
    """Start everything and wait until it is healthy."""
    project = Project(find_target(choice_of(options)))
    check_host_access(project.host_access(), allow=options.allow_host_access)
    started_s = project.clock.now_s()
    with run_lock(project.lock_path, "harness up"):
        project.remember()
        project.start(recreate=options.recreate, say=screen.say)
        project.check_journal()
        project.wait_healthy()
    screen.say(f"{project.name} is healthy after {project.clock.now_s() - started_s:.1f} s")
    return 0


def down(options: argparse.Namespace, screen: Screen) -> int:
    """Stop and remove the containers; what was broken goes with them."""
    project = Project(find_target(choice_of(options)))
    with run_lock(project.lock_path, "harness down"):
        kept = _end(project, volumes=options.volumes)
        project.journal.clear()
        project.old_journal.clear()
        if options.volumes:
            if project.compose.is_bundled:
                project.engine.remove_volumes()
            (project.state_dir / canary_keys.FILE).unlink(missing_ok=True)
    screen.say(f"{project.name} is down")
    if kept:
        screen.say(
            f"  {', '.join(kept)}: kept by the engine, though nothing is connected; `harness up` "
            "uses it again, and after a restart of the engine `harness down` removes it"
        )
    return 0


def _end(project: Project, *, volumes: bool) -> list[str]:
    """Bring it down with all files that runs merged over it, so that what they added goes too.

    The networks that are left; TargetError if anything else is.
    """
    overrides = recall(project.state_dir).overrides
    there = [path for path in overrides if path.is_file()]
    whole = Project(project.target, there) if there else project
    kept: list[str] = []
    try:
        whole.compose.down(volumes=volumes)
    except TargetError:
        if not (kept := _only_networks_left(project, volumes=volumes)):
            raise
    if len(there) < len(overrides) and (left := [c.name for c in project.engine.containers()]):
        gone = ", ".join(str(path) for path in overrides if path not in there)
        raise TargetError(
            f"{', '.join(left)}: still there; added by {gone}, which is gone",
            f"docker rm --force {' '.join(left)}",
        )
    forget(project.state_dir)
    return kept


def _only_networks_left(project: Project, *, volumes: bool) -> list[str]:
    """Those that nothing is connected to, if there is no other rest: Docker 20.10 can lose count.

    Volumes of a user's project are Compose's to remove: whether it did is not known.
    """
    users = project.engine.network_users()
    if project.engine.containers() or any(users.values()):
        return []
    return [] if volumes and not project.compose.is_bundled else sorted(users)


def status(options: argparse.Namespace, screen: Screen) -> int:
    """What runs, whether it is healthy (3 if not), what is broken, who works on it."""
    project = Project(find_target(choice_of(options)))
    containers = project.engine.containers()
    health = project.health()
    entries = [*project.journal.entries(), *project.old_journal.entries()]
    rescue = last_rescue(project.state_dir)
    holder = lock_holder(project.lock_path)
    run = holder.text if holder else "nobody"
    named, code = _by_name(containers), 0 if health.healthy else UNHEALTHY
    if screen.as_json:
        screen.value(
            {
                "project": project.name,
                "healthy": health.healthy,
                "problems": health.problems,
                "faults": [entry.to_json() for entry in entries],
                "run": run,
                "rescue": asdict(rescue) if rescue else None,
                "containers": {name: c.status for name, c in named.items()},
            }
        )
        return code
    rows = [[name, c.role, c.status, _published(c)] for name, c in named.items()]
    screen.table(project.name, ("service", "role", "status", "published"), rows)
    screen.say("healthy" if health.healthy else "NOT healthy:\n  " + "\n  ".join(health.problems))
    for entry in entries:
        screen.say(f"NOT healed: {entry.spec.kind} of {entry.undo.target}; run: harness heal")
    if rescue:
        screen.say(f"last run ({rescue.run_id}): {rescue.text}")
    screen.say(f"run: {run if holder else 'none'}")
    return code


def _by_name(containers: Sequence[Container]) -> dict[str, Container]:
    """Each by its service; where a service has several, by the container's own name."""
    counts = Counter(c.service for c in containers)
    return {c.service if counts[c.service] == 1 else c.name: c for c in containers}


def _published(container: Container) -> str:
    """The ports of 127.0.0.1 it is published on; other loopback addresses are named."""
    found = [container.address(str(inner)) for inner in container.ports]
    return ", ".join(
        str(address[1]) if address[0] == LOOPBACK else authority(address)
        for address in filter(None, found)
    )


def heal(options: argparse.Namespace, screen: Screen) -> int:
    """Heal what all journals of this user name, newest first; with --stop end a run first.

    Asks the engine only: a project whose Compose file is gone is healed too. What cannot be
    healed, or is worked on by another harness, stops no other healing.
    """
    left, problems = 0, list[HarnessError]()
    for folder in _chosen(_named(options)):
        try:
            if options.stop:
                _stop_holder(folder / "lock", screen)
            _wait_for_watchdog(folder / "lock", screen)
            with run_lock(folder / "lock", "harness heal"):
                left += _heal_project(folder, screen)
        except HarnessError as error:
            problems.append(error)
    if left:
        faults = "1 fault is" if left == 1 else f"{left} faults are"
        problems.append(
            HealError(
                f"{faults} not healed", "harness heal; if that fails: harness down && harness up"
            )
        )
    if problems:
        text = "; ".join(problem.message for problem in problems)
        raise HealError(text, "; ".join(dict.fromkeys(problem.hint for problem in problems)))
    screen.say("no fault is left")
    return 0


def _named(options: argparse.Namespace) -> list[str]:
    """The projects that are named, by themselves or by the flags of a target."""
    choice = choice_of(options)
    if choice == Choice(name=choice.name):  # needs no file: the project may be gone
        return [*options.projects, *filter(None, [choice.name])]
    return [*options.projects, Project(find_target(choice)).name]


def _chosen(projects: Sequence[str]) -> list[Path]:
    """The state folders of these projects, of all where none is named."""
    found = state_folders(checkout())
    known = {folder.name for folder in found}
    if unknown := [name for name in projects if name not in known]:
        names = ", ".join(sorted(known)) or "none"
        raise UsageError(
            f"no project {unknown[0]} has been run by this user; known: {names}", "harness heal"
        )
    return [folder for folder in found if not projects or folder.name in projects]


def _wait_for_watchdog(path: Path, screen: Screen) -> None:
    """Wait, within limits, for a watchdog that heals, or that is about to take over."""
    started_s, is_said = time.monotonic(), False
    while (holder := lock_holder(path)) is not None:
        is_watchdog = holder.name.startswith(WATCHDOG_NAME)
        limit_s = WATCHDOG_S if is_watchdog else TAKES_OVER_S if holder.pid is None else 0.0
        if time.monotonic() - started_s >= limit_s:
            return
        if is_watchdog and not is_said:
            screen.say(f"waiting for the {holder.text} to finish healing")
            is_said = True
        time.sleep(0.1)


def _heal_project(folder: Path, screen: Screen) -> int:
    """How many faults of the project whose state is in `folder` could not be healed."""
    if rescue := last_rescue(folder):
        screen.say(f"last run of {folder.name} ({rescue.run_id}): {rescue.text}")
    journal = Journal(folder / JOURNAL)
    if journal.is_empty():
        return 0

    def say(entry: Entry, proof: Proof | None, detail: str) -> None:
        word = "healed" if proof else "NOT healed"
        since = "" if entry.boot_id == boot_id() else " (from before a reboot)"
        screen.say(f"{word}: {entry.spec.kind} of {entry.undo.target}{since}: {detail}")

    known = recall(folder)
    engine = DockerEngine(folder.name, known.services, known.engine)
    return len(replay(journal, tools_of(engine, SystemClock(), HttpClient()), say))


def doctor(options: argparse.Namespace, screen: Screen) -> int:
    """Each thing that a run needs, whether it is there, and the command that fixes it."""
    target = find_target(choice_of(options))
    checks = check_machine(target, checkout(), is_bundled=is_bundled(target))
    if screen.as_json:
        screen.value([asdict(check) for check in checks])
    else:
        wide = max(len(check.name) for check in checks)
        for check in checks:
            word = "ok" if check.ok else "MISSING"
            screen.say(f"{word:<7}  {check.name:<{wide}}  {check.found}")
            if not check.ok:
                screen.say(f"{'':<7}  {'fix':>{wide}}: {check.remedy}")
    return 0 if all(check.ok for check in checks) else 4


def _stop_holder(path: Path, screen: Screen) -> None:
    """SIGTERM to the process that holds the lock; wait until it has healed and ended."""
    holder = lock_holder(path)
    if holder is None:
        return
    if holder.pid is None:
        raise HealError(
            f"{holder.text} holds {path}", f"stop it by hand (fuser {path}), then: harness heal"
        )
    screen.say(f"stopping {holder.text}; it heals its faults first")
    with suppress(ProcessLookupError):
        os.kill(holder.pid, signal.SIGTERM)
        os.kill(holder.pid, signal.SIGCONT)  # a suspended process would not get it
    _, has_ended = wait_until(
        SystemClock(), STOP_S, lambda: lock_holder(path), lambda seen: seen is None, every_s=0.2
    )
    if not has_ended:
        text = f"{holder.text} did not stop within {STOP_S:.0f} s"
        raise HealError(text, f"kill -9 {holder.pid}; harness heal")
