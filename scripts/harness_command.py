"""The harness' own command line, as a program that repeats experiments uses it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HARNESS = ROOT / ".venv" / "bin" / "harness"
RUN_S, HEAL_S, DOWN_S, ENGINE_S = 600.0, 180.0, 240.0, 20.0


@dataclass(frozen=True)
class Run:
    """How one `harness run` ended: `verdict` is pass, fail, inconclusive, or error without any.

    `codes` are the reasons of the verdict, `message` the last words of a run without one.
    """

    exit_code: int
    verdict: str
    codes: tuple[str, ...]
    folder: Path | None
    duration_s: float
    message: str = ""


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
    command = [str(HARNESS), "run", name, "--output", str(output)]
    command += ["--scale", "auto"]  # the load fits the machine, as in `make demo` and `make test`
    for override in overrides:
        command += ["--override", f"tests/defects/{override}.yaml"]
    known = set(output.glob("*/result.json"))
    started_s = monotonic()
    exit_code, text = _run_to_its_end(command)
    duration_s = monotonic() - started_s
    found = [p for p in set(output.glob("*/result.json")) - known if not p.parent.is_symlink()]
    if not found:
        lines = [line for line in text.splitlines() if line.strip()]
        return Run(exit_code, "error", (), None, duration_s, "\n".join(lines[-6:]))
    result: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
    codes = tuple(dict.fromkeys(reason["code"] for reason in result["reasons"]))
    return Run(exit_code, result["verdict"], codes, found[0].parent, duration_s)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that `add_row` has written; a line that was cut off is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def add_row(path: Path, row: Mapping[str, Any]) -> None:
    """Write one more row: what took minutes must not be lost by an interruption.

    It starts a line of its own, even if the row before was cut off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_cut_off = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * is_cut_off + json.dumps(row) + "\n")


def take_down() -> None:
    """Remove the stack with its data; RuntimeError with the harness' words if it cannot."""
    command = [str(HARNESS), "down", "--volumes"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=DOWN_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"harness down --volumes: {(done.stderr or done.stdout).strip()}")


def _run_to_its_end(command: list[str]) -> tuple[int, str]:
    """Exit code and output; one that takes too long is asked to end, and heals."""
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        text, _ = child.communicate(timeout=RUN_S)
    except KeyboardInterrupt:
        _end(child)
        raise
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)
        return 4, f"{_end(child)}\nstopped: it took longer than {RUN_S:.0f} s"
    return child.returncode, text


def _end(child: subprocess.Popen[str]) -> str:
    """Wait until it has healed and ended; its output."""
    try:
        return child.communicate(timeout=HEAL_S)[0]
    except subprocess.TimeoutExpired:
        child.kill()
        return child.communicate()[0]
