"""The harness' own command line, as a program that repeats experiments uses it; what it ran on."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from campaigns.row import codes_of
from harness.compose_files import read_environment
from harness.errors import TargetError
from harness.state_folder import state_root

ROOT = Path(__file__).resolve().parents[1]
HARNESS = ROOT / ".venv" / "bin" / "harness"
VERSION = ROOT / "target" / "VERSION"
RUN_S, HEAL_S, DOWN_S, ENGINE_S, GIT_S = 600.0, 180.0, 240.0, 20.0, 10.0


@dataclass(frozen=True)
class Run:
    """How one `harness run` ended: `verdict` is pass, fail, inconclusive, or error without any.

    `codes` are the reasons of the verdict, `message` the last words of a run without one. `date` is
    when it began (ISO 8601, UTC), `result` its result.json, empty without a verdict.
    """

    exit_code: int
    verdict: str
    codes: tuple[str, ...]
    folder: Path | None
    duration_s: float
    message: str = ""
    date: str = ""
    result: dict[str, Any] = field(default_factory=dict)


def engine_problem() -> str:
    """Why no experiment can run here, "" if it can."""
    if not HARNESS.exists():
        return f"{HARNESS} is missing; run: make setup"
    try:
        done = subprocess.run(
            ["docker", "info"], capture_output=True, timeout=ENGINE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        done = None
    is_there = done is not None and done.returncode == 0
    return "" if is_there else "no Docker engine answers; run: make setup"


def run_experiment(name: str, overrides: Iterable[str], output: Path) -> Run:
    """Run an experiment of the project, with overrides of tests/defects, reports into `output`.

    A Ctrl-C reaches the harness too, which heals first: it is waited for, then raised again.
    """
    command = [str(HARNESS), "run", name, "--output", str(output), *run_flags(overrides)]
    known = set(output.glob("*/result.json"))
    date, started_s = datetime.now(UTC).isoformat(timespec="seconds"), monotonic()
    exit_code, text = _run_to_its_end(command)
    duration_s = monotonic() - started_s
    found = [p for p in set(output.glob("*/result.json")) - known if not p.parent.is_symlink()]
    if not found:
        lines = [line for line in text.splitlines() if line.strip()]
        return Run(exit_code, "error", (), None, duration_s, "\n".join(lines[-6:]), date)
    result: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
    verdict, codes, folder = result["verdict"], codes_of(result), found[0].parent
    return Run(exit_code, verdict, codes, folder, duration_s, date=date, result=result)


def run_flags(overrides: Iterable[str]) -> list[str]:
    """How experiments are run here, by `make test` too: the load fits the machine.

    With a planted defect they are run to their end, even if it shows before the fault: it is the
    finding that must be right.
    """
    flags, planted = ["--scale", "auto"], list(overrides)
    if planted:
        flags.append("--ignore-steady-state")
    for override in planted:
        flags += ["--override", f"tests/defects/{override}.yaml"]
    return flags


def commit() -> str:
    """What is checked out, with `+changes` if files differ from it; "" where there is no git.

    The tables of results do not count: a campaign writes them between its runs.
    """
    status = _git("status", "--porcelain", "--", ".", ":!docs/results")
    return dirty_commit(_git("rev-parse", "--short", "HEAD") or "", is_dirty=status != "")


def dirty_commit(name: str, *, is_dirty: bool) -> str:
    """The name of a commit as tables show it."""
    return f"{name}+changes" if name and is_dirty else name


def stack_version() -> str:
    """The major version of the bundled stack: what was measured on another one says nothing."""
    return VERSION.read_text(encoding="utf-8").strip()


def lock_path() -> Path:
    """The lock of whoever runs experiments on the stack of this checkout, one after the other."""
    return state_root() / read_environment(ROOT).get("COMPOSE_PROJECT_NAME", ROOT.name) / "campaign"


def take_down() -> None:
    """Remove the stack with its data; TargetError with the harness' words if it cannot."""
    command = [str(HARNESS), "down", "--volumes"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=DOWN_S, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise TargetError(f"harness down --volumes: {said}", "harness status")


def _run_to_its_end(command: list[str]) -> tuple[int, str]:
    """Exit code and output; one that takes too long, or is interrupted, is asked to end, and heals.

    In a session of its own: a Ctrl-C reaches it once, from here.
    """
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        text, _ = child.communicate(timeout=RUN_S)
    except KeyboardInterrupt:
        _end(child)
        raise
    except subprocess.TimeoutExpired:
        return 4, f"{_end(child)}\nstopped: it took longer than {RUN_S:.0f} s"
    return child.returncode, text


def _end(child: subprocess.Popen[str]) -> str:
    """Ask it to end, wait until it has healed and ended; its output."""
    child.send_signal(signal.SIGTERM)
    try:
        return child.communicate(timeout=HEAL_S)[0]
    except subprocess.TimeoutExpired:
        child.kill()
        return child.communicate()[0]


def _git(*arguments: str) -> str | None:
    """What git says of this clone; None if it says nothing."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()
