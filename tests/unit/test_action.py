"""The GitHub Action: its own script, with a `harness` on the PATH that is a few lines of shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "action.py"
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
CI = (ROOT / "docs" / "CI.md").read_text()
HARNESS = """#!/bin/sh
printf '%s\\n' "$*" >> "{folder}/calls"
case $1 in
  run) {run} ;;
  annotate) {annotate} ;;
esac
"""


WAITS = (
    "mkdir -p reports/2x; trap 'echo healed; exit 130' INT TERM; touch begun; "
    "for _ in $(seq 1500); do sleep 0.02; done"
)
"""A run that heals once it is asked to end; nobody who forgets to leaves it behind for good."""


@dataclass(frozen=True)
class Job:
    """A job of GitHub in a folder: its files, and a harness that does what it is told."""

    folder: Path

    def harness(self, run: str, annotate: str = ":") -> None:
        path = self.folder / "bin" / "harness"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HARNESS.format(folder=self.folder, run=run, annotate=annotate))
        path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        files = {f"GITHUB_{name}": str(self.folder / name) for name in ("OUTPUT", "STEP_SUMMARY")}
        return {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", **files}

    def run(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        given = {f"HARNESS_{name.upper()}": value for name, value in inputs.items()}
        return subprocess.run(
            [sys.executable, "-I", SCRIPT], cwd=self.folder, env={**self.environment, **given},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", SCRIPT], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def calls(self) -> list[str]:
        return self._lines("calls")

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._lines("OUTPUT"))

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_a_green_run(job: Job) -> None:
    job.harness("mkdir -p reports/20260101-x; ln -s 20260101-x reports/latest; echo fine")
    done = job.run()
    assert done.returncode == 0, done.stderr
    assert job.calls() == [
        "run --output reports -- experiments", "annotate -- reports/20260101-x"
    ]  # fmt: skip
    assert job.outputs() == {
        "exit-code": "0",
        "report": "reports/20260101-x/index.html",
        "junit": "reports/2*/junit.xml",
    }


@pytest.mark.parametrize("code", [1, 3, 4, 5, 130])
def test_the_exit_code_is_that_of_the_run_and_its_annotations_are_shown(
    job: Job, code: int
) -> None:
    job.harness(f"mkdir -p reports/2a reports/2b; exit {code}", "echo '::error::why'")
    done = job.run()
    assert (done.returncode, job.outputs()["exit-code"]) == (code, str(code))
    assert done.stdout.splitlines()[-1] == "::error::why"
    assert job.outputs()["report"] == "reports/index.html"


def test_only_runs_of_this_step_are_annotated(job: Job) -> None:
    (job.folder / "out" / "20250101-old").mkdir(parents=True)
    job.harness("mkdir out/20260101-new; exit 1", "echo '::error::why'")
    job.run(output="out")
    assert job.calls()[1] == "annotate -- out/20260101-new"


def test_an_invalid_experiment_is_shown_at_its_line_and_in_the_summary(job: Job) -> None:
    job.harness("exit 2", "echo '::error file=a.yaml,line=3::x'")
    done = job.run(experiments="a.yaml b.yaml")
    assert done.returncode == 2
    assert job.calls() == ["run --output reports -- a.yaml b.yaml", "annotate -- a.yaml b.yaml"]
    assert "::error file=a.yaml,line=3::x" in done.stdout
    summary = (job.folder / "STEP_SUMMARY").read_text()
    assert summary == "## ERROR: nothing was run (exit code 2)\n"


@pytest.mark.parametrize("annotate", [":", "exit 4", "printf '\\377'; exit 1"])
def test_a_red_job_never_says_nothing(job: Job, annotate: str) -> None:
    job.harness("exit 4", annotate)
    done = job.run()
    assert done.returncode == 4
    last = done.stdout.splitlines()[-1]
    assert last == "::error title=harness::ended with exit code 4; see the log" or "�" in last


def test_inputs_are_words_and_never_commands(job: Job) -> None:
    job.harness(":")
    job.run(experiments="'a b.yaml' $(touch evil) ;", arguments="--scale auto --seed 2")
    assert job.calls()[0] == (
        "run --output reports --scale auto --seed 2 -- a b.yaml $(touch evil) ;"
    )
    assert not (job.folder / "evil").exists()


def test_what_a_run_prints_starts_no_command_of_the_job(job: Job) -> None:
    job.harness("echo '::add-mask::x'")
    lines = job.run().stdout.splitlines()
    start = re.fullmatch("::stop-commands::([0-9a-f]{32})", lines[0])
    assert start
    assert lines == [lines[0], "::add-mask::x", f"::{start[1]}::"]
    assert job.run().stdout.splitlines()[0] != lines[0]  # nobody can know it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_job_lets_the_harness_heal(job: Job, number: int, hears_ctrl_c: None) -> None:
    job.harness(WAITS)
    process = job.start()
    deadline_s = time.monotonic() + 10
    while not (job.folder / "begun").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "healed" in out
    assert job.outputs()["exit-code"] == "130"


def test_a_job_that_is_cancelled_while_the_harness_starts_cancels_it_too(job: Job) -> None:
    job.harness(WAITS)
    process = job.start()
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline().startswith("::stop-commands::")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) in (130, 143)  # with its trap, or before that
    assert job.outputs()["exit-code"] in ("130", "143")


def test_no_input_is_written_into_a_script() -> None:
    """`${{ inputs.x }}` in a script would be run as a part of it."""
    steps = ACTION["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) == 2
    for script in scripts:
        assert "${{" not in script
        done = subprocess.run(["bash", "-n"], input=script, text=True, timeout=20, check=False)
        assert done.returncode == 0
    named = {name for step in steps for name in step.get("env", {})}
    assert named == set(re.findall(r"HARNESS_[A-Z]+", SCRIPT.read_text()))
    assert (ROOT / "requirements.txt").is_file()


def test_the_reports_are_kept_however_the_run_ended() -> None:
    [keep] = [step for step in ACTION["runs"]["steps"] if "uses" in step]
    assert keep["if"] == "always()"
    outputs = {value["value"] for value in ACTION["outputs"].values()}
    names = re.findall(r'"([\w-]+)": ', SCRIPT.read_text())
    assert outputs == {f"${{{{ steps.run.outputs.{name} }}}}" for name in names}


def test_the_examples_of_the_document_use_what_there_is() -> None:
    blocks = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", CI, re.S | re.M)]
    workflow, gitlab = blocks
    [step] = [s for s in workflow["jobs"]["harness"]["steps"] if "harness@" in s.get("uses", "")]
    assert step["with"].keys() <= ACTION["inputs"].keys()
    used = re.findall(r"steps\.(\w+)\.outputs\.([\w-]+)", CI)
    assert used
    assert all(where == step["id"] and name in ACTION["outputs"] for where, name in used)
    job = gitlab["harness"]
    assert any(line.startswith("harness run ") for line in job["script"])
    assert job["artifacts"]["when"] == "always"
