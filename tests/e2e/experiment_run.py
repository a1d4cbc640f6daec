"""One whole experiment, run by the command line as a user does."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[2]
HARNESS = ROOT / ".venv" / "bin" / "harness"


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


def run_experiment_in(output: Path, name: str, overrides: tuple[str, ...]) -> Run:
    """`harness run experiments/NAME.yaml`, with overrides of the stack from tests/defects."""
    command = [str(HARNESS), "run", f"experiments/{name}.yaml", "--output", str(output)]
    for override in overrides:
        command += ["--override", f"tests/defects/{override}.yaml"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=560, check=False
    )
    text = done.stdout + done.stderr
    found = [path for path in output.glob("*/result.json") if not path.parent.is_symlink()]
    assert found, f"no result.json; exit code {done.returncode}\n{text[-4000:]}"
    return Run(done.returncode, text, found[0].parent, json.loads(found[0].read_text()))
