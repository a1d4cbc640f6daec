"""One whole experiment, run by the command line as a user does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from campaigns.harness_command import HARNESS, ROOT
from harness.aspects.findings_json import findings_from_json

TRIES = 3
NOT_QUIET = 3
Harness = Callable[[list[str]], tuple[int, str]]
"""From the arguments of `harness` to its exit code and its output."""


@dataclass(frozen=True)
class Run:
    """What one `harness run` left behind."""

    exit_code: int
    output: str
    folder: Path
    result: dict[str, Any]

    @property
    def codes(self) -> set[str]:
        return {reason["code"] for reason in self.result["reasons"]}

    def explain(self) -> str:
        """What an assertion shows when it fails: the reasons and the end of the output."""
        return json.dumps(self.result["reasons"], indent=2) + "\n" + self.output[-3000:]


class RunExperiment(Protocol):
    def __call__(self, name: str, *overrides: str) -> Run: ...


def run_experiment_in(
    output: Path, name: str, flags: Sequence[str] = (), harness: Harness | None = None
) -> Run:
    """`harness run NAME`.

    A run that is INCONCLUSIVE because the machine was disturbed, or had no headroom, is repeated
    at most twice, once the machine is quiet, and then fails the test. PASS and FAIL stand: the
    judge has already left out what a disturbance could have done.
    """
    command = ["run", name, *flags]
    why = []
    for number in range(TRIES):
        folder = output / f"try-{number + 1}"
        waiting = ["--when-quiet=2m"] if number else []
        run = _run_once([*command, *waiting, "--output", str(folder)], folder, harness or _harness)
        why.append(_why_inconclusive(run))
        if not why[-1]:
            return run
    raise AssertionError(f"{TRIES} runs of {TRIES} were inconclusive: " + "; ".join(why))


def _run_once(command: list[str], folder: Path, harness: Harness) -> Run:
    code, text = harness(command)
    found = [path for path in folder.glob("*/result.json") if not path.parent.is_symlink()]
    if not found and code == NOT_QUIET:
        return Run(code, text, folder, {"reasons": []})
    assert found, f"no result.json; exit code {code}\n{text[-4000:]}"
    return Run(code, text, found[0].parent, json.loads(found[0].read_text()))


def _harness(arguments: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        [str(HARNESS), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=700, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def _why_inconclusive(run: Run) -> str:
    """What the machine did to an INCONCLUSIVE run, "" if it is not to blame."""
    if run.exit_code == NOT_QUIET and not (run.folder / "findings.json").exists():
        return "the machine was never quiet"
    if run.result["verdict"] != "inconclusive":
        return ""
    machine = findings_from_json(json.loads((run.folder / "findings.json").read_text())).run.machine
    texts = [one.text for one in (*machine.disturbances, machine.no_headroom) if one]
    return texts[0] if texts else ""
