"""What the soak counts as a false alarm."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from campaigns import campaign, results, soak
from campaigns.campaign import ROWS
from campaigns.catalogue import shipped
from campaigns.harness_command import Run
from campaigns.results import Table
from campaigns.row import Row, read_rows
from campaigns.soak import Soak

MakeRun = Callable[..., Run]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return replace(results.experiments(tmp_path / "results"), stack="7")


def _rows(*verdicts: str) -> list[Row]:
    return [Row("redis-outage", verdict) for verdict in verdicts]


def test_every_verdict_but_pass_is_a_false_alarm() -> None:
    rows = _rows("pass", "fail", "pass", "inconclusive", "error")
    found = Soak(["redis-outage"], 60).summary(rows)
    assert (found["runs"], found["passed"], found["false_alarms"]) == (5, 2, 3)
    assert [row["verdict"] for row in found["alarms"]] == ["fail", "inconclusive", "error"]
    assert not Soak(["redis-outage"], 60).is_right(rows)
    assert Soak(["redis-outage"], 60).is_right(_rows("pass", "pass"))


def test_beside_hogs_only_a_fail_or_an_error_is_a_false_alarm() -> None:
    beside = Soak(["redis-outage"], 4, hogs_count=2)
    found = beside.summary(_rows("pass", "fail", "inconclusive", "error"))
    assert [row["verdict"] for row in found["alarms"]] == ["fail", "error"]
    assert beside.is_right(_rows("pass", "inconclusive"))
    assert not beside.is_right(_rows("error"))


def test_it_takes_turns_and_goes_on_with_the_next(
    harness: Any, run: MakeRun, tmp_path: Path, table: Table
) -> None:
    harness.runs = [run("pass"), run("pass"), None]
    assert Soak(["a", "b"], 4, folder=tmp_path, table=table).conduct(resume=False) == 130
    harness.runs = [run("pass"), run("pass")]
    assert Soak(["a", "b"], 4, folder=tmp_path, table=table).conduct(resume=True) == 0
    assert harness.calls == ["a", "b", "a", "down", "a", "b", "down"]
    assert len(read_rows(tmp_path / ROWS)) == 4


def test_only_reports_of_runs_that_did_not_pass_are_kept(
    harness: Any, tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "ROOT", tmp_path)
    for name, verdict in (("one", "pass"), ("two", "fail")):
        (tmp_path / name).mkdir()
        harness.runs.append(Run(0, verdict, (), tmp_path / name, 60.0))
    Soak(["a"], 2, folder=tmp_path / "soak", table=table).conduct(resume=False)
    assert not (tmp_path / "one").exists()
    assert (tmp_path / "two").exists()


@pytest.mark.parametrize(("hogs_count", "counted"), [(0, "1"), (1, "")])
def test_the_table_counts_runs_that_are_alone_on_the_machine(
    harness: Any, run: MakeRun, tmp_path: Path, table: Table, hogs_count: int, counted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(campaign, "hogs", nullcontext)
    harness.runs = [run("pass")]
    Soak(["redis-crash"], 1, hogs_count, tmp_path, table).conduct(resume=False)
    row = table.read().get(("redis-crash",), {})
    assert row.get("passed_in_a_row", "") == counted


def test_all_shipped_experiments_are_the_default(
    harness: Any, run: MakeRun, tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    names = list(shipped())
    assert len(names) >= 15
    assert {"app-server-crash", "db-primary-failover", "redis-outage"} <= set(names)
    made = partial(Soak, folder=tmp_path, table=table)
    monkeypatch.setattr(soak, "Soak", made)
    harness.runs = [run("pass")] * len(names)
    assert soak.main(["--runs", str(len(names))]) == 0
    assert harness.calls == [*names, "down"]
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["experiments"] == dict.fromkeys(names, 1)


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["no-such"], ["--family", "no-such"]])
def test_wrong_usage_is_one_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_without_an_engine_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert soak.main(["--runs", "1", "--resume"]) == 4
    assert "make setup" in capsys.readouterr().err
