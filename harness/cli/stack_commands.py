"""The stack and its state: up, down, status, heal, ui, doctor."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from harness.adapters.compose_project import read_environment
from harness.adapters.machine import check_machine
from harness.cli.console import Screen
from harness.cli.project import Project, project_root
from harness.cli.stage_commands import load
from harness.errors import HealError
from harness.faults.base import Proof
from harness.guard import lock_holder, run_lock
from harness.load.driver import LoadConfig, run_ui
from harness.undo import Entry, replay

STOP_S = 120.0
UI_DURATION_S = 3600.0  # a test started in the page ends by itself after this


def up(_options: argparse.Namespace, screen: Screen) -> int:
    """Start everything and wait until it is healthy."""
    project = Project()
    started_s = project.clock.now_s()
    project.compose.up()
    project.wait_healthy()
    screen.say(f"{project.name} is healthy after {project.clock.now_s() - started_s:.1f} s")
    return 0


def down(options: argparse.Namespace, screen: Screen) -> int:
    """Stop and remove the containers; what was broken goes with them."""
    project = Project()
    with run_lock(project.lock_path, "harness down"):
        project.compose.down(volumes=options.volumes)
        for entry in project.journal.entries():
            project.journal.remove(entry.fault)
        if options.volumes:
            if project.compose.is_bundled:
                project.engine.remove_volumes()
            (project.state_dir / "canary_offset").unlink(missing_ok=True)
    screen.say(f"{project.name} is down")
    return 0


def status(_options: argparse.Namespace, screen: Screen) -> int:
    """What runs, whether it is healthy, what is broken, who works on it."""
    project = Project()
    containers = project.engine.containers()
    health = project.health()
    entries = project.journal.entries()
    if screen.as_json:
        screen.value(
            {
                "project": project.name,
                "healthy": health.healthy,
                "problems": health.problems,
                "faults": [entry.to_json() for entry in entries],
                "run": lock_holder(project.lock_path),
                "containers": {c.service: c.status for c in containers},
            }
        )
        return 0
    rows = [
        [c.service, c.role, c.status, ", ".join(map(str, c.ports.values()))] for c in containers
    ]
    screen.table(project.name, ("service", "role", "status", "127.0.0.1 ports"), rows)
    screen.say("healthy" if health.healthy else "NOT healthy:\n  " + "\n  ".join(health.problems))
    for entry in entries:
        screen.say(f"NOT healed: {entry.spec.kind} of {entry.undo['target']}; try: harness heal")
    screen.say(f"run: {lock_holder(project.lock_path)}")
    return 0


def heal(options: argparse.Namespace, screen: Screen) -> int:
    """Heal what the journal names, newest first; with --stop end a run first."""
    project = Project()
    if options.stop:
        _stop_holder(project.lock_path, screen)

    def say(entry: Entry, proof: Proof | None, detail: str) -> None:
        word = "healed" if proof else "NOT healed"
        screen.say(f"{word}: {entry.spec.kind} of {entry.undo['target']}: {detail}")

    with run_lock(project.lock_path, "harness heal"):
        left = replay(project.journal, project.tools(), say)
    if left:
        raise HealError(
            f"{len(left)} faults are not healed", "harness heal again, or: harness down && up"
        )
    screen.say("nothing is broken")
    return 0


def ui(options: argparse.Namespace, screen: Screen) -> int:
    """Open Locust's web page on the experiment's arrivals, until Ctrl-C."""
    project = Project()
    experiment = load(options.file, project.compose.services())
    project.wait_healthy()
    default = read_environment(project.root).get("HARNESS_PORT_LOCUST", "8089")
    port = options.port or int(default)
    screen.say(f"http://127.0.0.1:{port} (Ctrl-C ends it)")
    name = f"ui-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    config = LoadConfig(
        load=experiment.load,
        operations=experiment.operations,
        endpoints=project.endpoints(experiment.load.entry),
        seed=1,
        run_id=name,
        duration_s=UI_DURATION_S,
        canary_key_offset=0,
        samples_dir=project.state_dir / "ui" / name,
        state_file=project.state_dir / "state.json",
    )
    run_ui(config, port, project.state_dir / "ui")


def doctor(_options: argparse.Namespace, screen: Screen) -> int:
    """Each thing that a run needs, whether it is there, and the command that mends it."""
    checks = check_machine(project_root())
    if screen.as_json:
        screen.value([asdict(check) for check in checks])
    else:
        rows = [
            ["ok" if c.ok else "MISSING", c.name, c.found, c.remedy * (not c.ok)] for c in checks
        ]
        screen.table("doctor", ("", "what", "found", "what mends it"), rows)
    return 0 if all(check.ok for check in checks) else 4


def _stop_holder(path: Path, screen: Screen) -> None:
    """SIGTERM to the process that holds the lock; wait until it has healed and ended."""
    holder = _holding_process(path)
    if holder is None:
        return
    screen.say(f"stopping {lock_holder(path)}; it heals first")
    os.kill(holder, signal.SIGTERM)
    deadline_s = time.monotonic() + STOP_S
    while _holding_process(path) is not None:
        if time.monotonic() > deadline_s:
            raise HealError(f"process {holder} did not end in {STOP_S:.0f} s", f"kill -9 {holder}")
        time.sleep(0.2)


def _holding_process(path: Path) -> int | None:
    """The process that holds the lock now; the kernel's lock counts, not the file's text."""
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(json.loads(path.read_text())["pid"])
    return None
