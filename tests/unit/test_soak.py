"""What the soak counts, and how it goes on after an interruption."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import soak
from harness_command import Run, add_row, read_rows
from hogs import hogs


def _run(verdict: str, *codes: str) -> Run:
    return Run(exit_code=0, verdict=verdict, codes=codes, folder=None, duration_s=60.0)


def test_every_verdict_but_pass_is_a_false_alarm() -> None:
    verdicts = ["pass", "fail", "pass", "inconclusive", "error"]
    rows = [soak.to_row(n, "redis-outage", _run(v)) for n, v in enumerate(verdicts, 1)]
    found = soak.summary(rows, asked=60)
    assert (found["runs"], found["passed"], found["false_alarms"]) == (5, 2, 3)
    assert [row["verdict"] for row in found["alarms"]] == ["fail", "inconclusive", "error"]


def test_beside_hogs_only_a_fail_or_an_error_is_a_false_alarm() -> None:
    verdicts = ["pass", "fail", "inconclusive", "error"]
    rows = [soak.to_row(n, "redis-outage", _run(v)) for n, v in enumerate(verdicts, 1)]
    found = soak.summary(rows, asked=4, hogs_count=2)
    assert [row["verdict"] for row in found["alarms"]] == ["fail", "error"]


def test_hogs_are_gone_with_the_run_they_stood_beside() -> None:
    with hogs(2):
        children = [p for p in psutil.Process().children() if "sum(range" in " ".join(p.cmdline())]
        assert len(children) == 2
    assert not any(child.is_running() for child in children)


def test_all_shipped_experiments_are_the_default() -> None:
    names = soak.shipped_experiments()
    assert len(names) >= 12
    assert {"app-server-crash", "db-primary-failover", "redis-outage", "link-expiry"} <= set(names)


def test_it_takes_turns_and_goes_on_with_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def run(name: str, _overrides: tuple[str, ...], _output: Path) -> Run:
        asked.append(name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return _run("pass")

    monkeypatch.setattr(soak, "run_experiment", run)
    monkeypatch.setattr(soak, "FOLDER", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        soak.soak(["a", "b"], 4, [])
    rows = read_rows(tmp_path / "runs.jsonl")
    assert [row["experiment"] for row in rows] == ["a", "b"]
    soak.soak(["a", "b"], 4, rows)
    assert asked == ["a", "b", "a", "a", "b"]
    assert [row["run"] for row in read_rows(tmp_path / "runs.jsonl")] == [1, 2, 3, 4]


def test_a_line_that_was_cut_off_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"run": 1, "verdict": "pass"}\n{"run": 2, "ver')
    assert [row["run"] for row in read_rows(path)] == [1]
    add_row(path, {"run": 2, "verdict": "fail"})
    assert read_rows(path) == [{"run": 1, "verdict": "pass"}, {"run": 2, "verdict": "fail"}]


@pytest.mark.parametrize("arguments", [["0"], ["--experiment", "no-such"]])
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_without_an_engine_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert soak.main(["1"]) == 4
    assert "make setup" in capsys.readouterr().err
