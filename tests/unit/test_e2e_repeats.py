"""An e2e run that the machine made inconclusive is repeated, and never taken for passed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from experiment_run import NOT_QUIET, run_experiment_in

from campaigns.harness_command import run_flags

ROW = {
    "start_s": 5.0, "end_s": 9.0, "share": 0.5, "why": "others",
    "who": [{"name": "clang", "share": 0.5}],
}  # fmt: skip
QUIET: dict[str, Any] = {"machine": {"disturbed": [], "headroom": {"no_headroom": False}}}
DISTURBED: dict[str, Any] = {"machine": {"disturbed": [ROW], "headroom": {}}}
FULL: dict[str, Any] = {
    "machine": {
        "disturbed": [],
        "headroom": {"no_headroom": True, "idle_share": 0.1, "rate_per_s": 300.0},
    }
}


class Harness:
    """Each call leaves the next verdict and findings; None: the machine was not quiet in time."""

    def __init__(self, *runs: tuple[str, dict[str, Any]] | None) -> None:
        self.runs, self.commands = list(runs), list[list[str]]()

    def __call__(self, arguments: list[str]) -> tuple[int, str]:
        self.commands.append(arguments)
        left = self.runs.pop(0)
        if left is None:
            return NOT_QUIET, "the machine was not quiet within 2 min"
        verdict, findings = left
        folder = Path(arguments[-1]) / "20261127-x"
        folder.mkdir(parents=True)
        (folder / "findings.json").write_text(json.dumps(findings))
        (folder / "result.json").write_text(json.dumps({"verdict": verdict, "reasons": []}))
        return {"pass": 0, "fail": 1, "inconclusive": 3}[verdict], verdict.upper()


@pytest.mark.parametrize("verdict", ["pass", "fail"])
@pytest.mark.parametrize("findings", [QUIET, DISTURBED, FULL], ids=["quiet", "disturbed", "full"])
def test_pass_and_fail_stand(tmp_path: Path, verdict: str, findings: dict[str, Any]) -> None:
    harness = Harness((verdict, findings))
    run = run_experiment_in(tmp_path, "redis-outage", ("--override", "x.yaml"), harness)
    assert run.result["verdict"] == verdict
    (command,) = harness.commands
    assert command[:4] == ["run", "redis-outage", "--override", "x.yaml"]
    assert "--when-quiet=2m" not in command


def test_an_experiment_is_scaled_to_the_machine_and_a_defect_followed_to_its_end() -> None:
    assert run_flags([]) == ["--scale", "auto"]
    assert run_flags(["small", "breakers-off"]) == [
        "--scale", "auto", "--ignore-steady-state",
        "--override", "tests/defects/small.yaml", "--override", "tests/defects/breakers-off.yaml",
    ]  # fmt: skip


def test_inconclusive_on_a_quiet_machine_is_not_repeated(tmp_path: Path) -> None:
    harness = Harness(("inconclusive", QUIET))
    run = run_experiment_in(tmp_path, "x", (), harness)
    assert run.result["verdict"] == "inconclusive"
    assert len(harness.commands) == 1


@pytest.mark.parametrize("first", [DISTURBED, FULL], ids=["disturbed", "no headroom"])
def test_what_the_machine_made_inconclusive_is_repeated_when_it_is_quiet(
    tmp_path: Path, first: dict[str, Any]
) -> None:
    harness = Harness(("inconclusive", first), ("pass", QUIET))
    run = run_experiment_in(tmp_path, "x", (), harness)
    assert run.folder.parent.name == "try-2"
    assert "--when-quiet=2m" in harness.commands[1]


def test_three_inconclusive_runs_fail_the_test(tmp_path: Path) -> None:
    harness = Harness(("inconclusive", DISTURBED), None, ("inconclusive", FULL))
    with pytest.raises(AssertionError, match="were inconclusive: other programs used 50%"):
        run_experiment_in(tmp_path, "x", (), harness)
    assert len(harness.commands) == 3
