"""An e2e run that the machine disturbed is repeated, and never taken for passed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from experiment_run import NOT_QUIET, run_experiment_in

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
    """Each call leaves the next findings; None: the machine was not quiet in time."""

    def __init__(self, *findings: dict[str, Any] | None) -> None:
        self.findings, self.commands = list(findings), list[list[str]]()

    def __call__(self, arguments: list[str]) -> tuple[int, str]:
        self.commands.append(arguments)
        found = self.findings.pop(0)
        if found is None:
            return NOT_QUIET, "the machine was not quiet within 2 min"
        folder = Path(arguments[-1]) / "20261127-x"
        folder.mkdir(parents=True)
        (folder / "findings.json").write_text(json.dumps(found))
        (folder / "result.json").write_text(json.dumps({"verdict": "pass", "reasons": []}))
        return 0, "PASS"


def test_a_run_that_was_left_alone_is_not_repeated(tmp_path: Path) -> None:
    harness = Harness(QUIET)
    run = run_experiment_in(tmp_path, "redis-outage", ("breakers-off",), harness)
    assert run.result["verdict"] == "pass"
    (command,) = harness.commands
    assert command[:4] == ["run", "redis-outage", "--scale", "auto"]
    assert "tests/defects/breakers-off.yaml" in command
    assert "--when-quiet=2m" not in command


@pytest.mark.parametrize("first", [DISTURBED, FULL], ids=["disturbed", "no headroom"])
def test_a_run_that_is_no_evidence_is_repeated_when_it_is_quiet(
    tmp_path: Path, first: dict[str, Any]
) -> None:
    harness = Harness(first, QUIET)
    run = run_experiment_in(tmp_path, "x", (), harness)
    assert run.folder.parent.name == "try-2"
    assert "--when-quiet=2m" in harness.commands[1]


def test_three_runs_that_are_no_evidence_fail_the_test_though_each_passed(tmp_path: Path) -> None:
    harness = Harness(DISTURBED, None, FULL)
    with pytest.raises(AssertionError, match="no run of 3 was left alone: others took 50%"):
        run_experiment_in(tmp_path, "x", (), harness)
    assert len(harness.commands) == 3
