"""`make experiments`: all, a family or some; what has passed is not run again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from campaigns import experiments, results
from campaigns.catalogue import choose_experiments, shipped
from campaigns.experiments import Experiments
from campaigns.harness_command import Run
from campaigns.row import Row

MakeRun = Callable[..., Run]
NAMES = ["redis-freeze", "lb-crash", "redis-crash"]


@pytest.fixture
def table(tmp_path: Path) -> results.Table:
    return replace(results.experiments(tmp_path / "results"), stack="7")


def _conduct(table: results.Table, *, resume: bool) -> int:
    return Experiments(NAMES, table.path.parent.parent, table).conduct(resume=resume)


def test_the_last_line_has_the_counts_and_the_newest_row_of_each(
    harness: Any, run: MakeRun, table: results.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.runs = [run("pass"), run("fail", "writes_lost"), run("error")]
    assert _conduct(table, resume=False) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["experiments"], last["passed"], last["interrupted"]) == (3, 1, False)
    assert [(row["experiment"], row["verdict"]) for row in last["rows"]] == [
        ("redis-freeze", "pass"),
        ("lb-crash", "fail"),
        ("redis-crash", "error"),
    ]


def test_resume_runs_only_what_has_not_passed(
    harness: Any, run: MakeRun, table: results.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.runs = [run("pass"), run("inconclusive"), None]
    assert _conduct(table, resume=False) == 130
    harness.calls.clear()
    harness.runs = [run("pass"), run("pass")]
    assert _conduct(table, resume=True) == 0
    assert harness.calls == ["lb-crash", "redis-crash", "down"]
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["experiments"], last["passed"], len(last["rows"])) == (3, 3, 3)


def test_the_last_line_is_about_what_was_chosen(table: results.Table) -> None:
    rows = [Row("worker-loss", "fail"), Row("lb-crash", "fail"), Row("lb-crash", "pass")]
    campaign = Experiments(["lb-crash"], table.path.parent.parent, table)
    found = campaign.summary(rows)
    assert (found["experiments"], found["passed"], len(found["rows"])) == (1, 1, 1)
    assert campaign.is_right(rows)


def test_each_run_is_in_the_table_before_the_next(
    harness: Any, run: MakeRun, table: results.Table
) -> None:
    harness.runs = [run("pass"), run("fail", "requests_failed"), None]
    _conduct(table, resume=False)
    rows = table.read()
    assert rows["redis-freeze",]["verdict"] == "pass"
    assert rows["redis-freeze",]["commit"] == "abc1234"
    assert rows["lb-crash",]["codes"] == "requests_failed"
    assert rows["redis-crash",]["verdict"] == "never run"
    assert table.problems() == []


def test_all_a_family_or_some_are_chosen() -> None:
    assert choose_experiments([], None) == list(shipped())
    assert choose_experiments([], "edge") == ["lb-crash"]
    assert choose_experiments(["redis-crash", "add-app-server"], None) == [
        "add-app-server",
        "redis-crash",
    ]
    assert choose_experiments(["redis-crash", "add-app-server"], "cache") == ["redis-crash"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such"], "no experiment is called no-such; there are add-app-server,"),
        (["--family", "no-such"], "no family is called no-such; there are app, cache,"),
        (["lb-crash", "--family", "cache"], "none of lb-crash is in family cache"),
    ],
)
def test_what_there_is_not_is_named(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert experiments.main(arguments) == 2
    assert words in capsys.readouterr().err


def test_without_an_engine_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert experiments.main(["--resume"]) == 4
    assert "make setup" in capsys.readouterr().err
