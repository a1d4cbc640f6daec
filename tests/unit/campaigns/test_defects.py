"""`make defects`: which are planted, what counts, and what is not planted again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from campaigns import defects, results
from campaigns.catalogue import read_catalogue
from campaigns.defects import Defects, choose
from campaigns.harness_command import Run

MakeRun = Callable[..., Run]
CATALOGUE = read_catalogue()
FIRST, SECOND, THIRD = CATALOGUE[:3]


@pytest.fixture
def table(tmp_path: Path) -> results.Table:
    return replace(results.defects(tmp_path / "results"), stack="7")


def _campaign(table: results.Table, hogs_count: int = 0) -> Defects:
    return Defects([FIRST, SECOND, THIRD], hogs_count, table.path.parent.parent, table)


def _key(number: int) -> tuple[str, str, str]:
    one = CATALOGUE[number]
    return (one.name, one.experiment, one.code)


def test_what_was_rightly_caught_is_not_planted_again(
    harness: Any, run: MakeRun, table: results.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.runs = [run("pass"), run("fail", "something_else"), None]
    assert _campaign(table).conduct(resume=False) == 130
    harness.runs = [run("fail", FIRST.code), run("fail", "something_else"), run("inconclusive")]
    assert _campaign(table).conduct(resume=True) == 1
    harness.calls.clear()
    harness.runs = [run("fail", SECOND.code), run("fail", "more", THIRD.code)]
    assert _campaign(table).conduct(resume=True) == 0
    assert [call.split()[0] for call in harness.calls if call != "down"] == [
        SECOND.experiment,
        THIRD.experiment,
    ]
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["defects"], last["caught"], last["right_finding"], last["passed"]) == (3, 3, 3, 0)
    assert [row["right_finding"] for row in last["rows"]] == [True, True, True]


def test_the_table_says_what_caught_each(harness: Any, run: MakeRun, table: results.Table) -> None:
    harness.runs = [run("fail", FIRST.code), run("fail", "something_else"), None]
    _campaign(table).conduct(resume=False)
    rows = table.read()
    shown = [(rows[_key(n)]["verdict"], rows[_key(n)]["right_finding"]) for n in range(3)]
    assert shown == [("fail", "yes"), ("fail", "no"), ("never run", "")]
    assert table.problems() == []


def test_beside_hogs_it_is_enough_that_none_passes_and_the_table_is_left_alone(
    harness: Any, run: MakeRun, table: results.Table
) -> None:
    harness.runs = [run("fail", "x"), run("inconclusive"), run("error")]
    assert _campaign(table, hogs_count=1).conduct(resume=False) == 0
    assert not table.path.exists()
    harness.runs = [run("fail", FIRST.code), run("pass"), run("error")]
    assert _campaign(table, hogs_count=1).conduct(resume=False) == 1


def test_defects_are_chosen_by_name_and_experiment() -> None:
    both = choose(CATALOGUE, ["no-redispatch"], None)
    assert {defect.experiment for defect in both} == {
        "app-server-out-of-memory",
        "app-server-crash",
    }
    assert len(choose(CATALOGUE, ["no-redispatch"], "app-server-crash")) == 1
    assert choose(CATALOGUE, [], None) == CATALOGUE


def test_an_unknown_defect_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert defects.main(["no-such-defect"]) == 2
    assert "no-such-defect" in capsys.readouterr().err


def test_the_list_runs_nothing(harness: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert defects.main(["--list", "--experiment", "lb-crash"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == sum(each.experiment == "lb-crash" for each in CATALOGUE) > 0
    assert harness.calls == []


def test_without_an_engine_it_says_so_and_plants_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert defects.main(["breakers-off", "--resume"]) == 4
    assert "make setup" in capsys.readouterr().err
