"""What action.yml runs: experiments, then what GitHub shows of them. Ends with their exit code.

    HARNESS_EXPERIMENTS   files, folders or names, as in a shell; default: experiments
    HARNESS_ARGUMENTS     more arguments of `harness run`, as in a shell
    HARNESS_OUTPUT        where the reports go; default: reports

Inputs are variables, so that no text of a workflow becomes a command. Only the standard library:
the harness is a command on the PATH, in an environment of its own.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

ANNOTATE_S = 120
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run, annotate, say where everything is; the exit code of `harness run`."""
    experiments = shlex.split(os.environ.get("HARNESS_EXPERIMENTS", "")) or ["experiments"]
    arguments = shlex.split(os.environ.get("HARNESS_ARGUMENTS", ""))
    output = Path(os.environ.get("HARNESS_OUTPUT") or "reports")
    before = _runs(output)
    code = _run(["harness", "run", "--output", str(output), *arguments, "--", *experiments])
    made = sorted(_runs(output) - before)
    _annotate([str(folder) for folder in made] or experiments, code)
    if code and not made:
        _append("GITHUB_STEP_SUMMARY", f"## ERROR: nothing was run (exit code {code})\n")
    page = made[0] / "index.html" if len(made) == 1 else output / "index.html"
    facts = {"exit-code": code, "report": page, "junit": output / "2*" / "junit.xml"}
    _append("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in facts.items()))
    return code


def _runs(output: Path) -> set[Path]:
    """The folders of runs; `latest`, a link to one of them, is none."""
    return {path for path in output.glob("2*") if path.is_dir()}


def _run(command: list[str]) -> int:
    """The exit code. A cancelled job's signals go on to the harness, which heals before it ends."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if process is None:
            early.append(number)
        else:
            process.send_signal(number)

    token = secrets.token_hex(16)
    before = [signal.signal(number, forward) for number in SIGNALS]
    _say(f"::stop-commands::{token}")  # what a target says must not steer the job
    try:
        process = subprocess.Popen(command)
        for number in early:
            process.send_signal(number)
        code = process.wait()
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
        _say(f"::{token}::")
    return code if code >= 0 else 128 - code


def _annotate(paths: list[str], code: int) -> None:
    """What is not green, in ten lines at most; a job that is red never says nothing."""
    command = ["harness", "annotate", "--", *paths]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=ANNOTATE_S, check=False)
    text = done.stdout.decode("utf-8", "replace")
    if code and not text.strip():
        text = f"::error title=harness::ended with exit code {code}; see the log\n"
    _say(text.rstrip("\n"))


def _say(text: str) -> None:
    """At once: the harness writes to the same stream."""
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _append(variable: str, text: str) -> None:
    """To the file that GitHub names in a variable, if this is a job of it."""
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())
