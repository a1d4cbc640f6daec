"""`run --repeat` and `compare` from run folders to exit code, page and one clear error."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_shop import EXPERIMENT, Cli, Shop

from harness.cli import repeat
from harness.cli.console import Screen
from harness.errors import TargetError
from harness.record import folder


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is a second later, so that no two runs begin in the same one."""
    seconds = itertools.count()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 1, 1, tzinfo=tz).astimezone() + timedelta(seconds=next(seconds))

    monkeypatch.setattr(folder, "datetime", Clock)


@pytest.fixture
def group(shop: Shop, cli: Cli) -> Path:
    """The group of a run and two copies of it."""
    assert cli("run", "x.yaml").code == 0
    (run,) = shop.runs()
    runs = [run]
    for name in ("20000101-000000-x", "20000101-000001-x"):
        runs.append(Path(shutil.copytree(run, shop.reports / name)))
        result = (run / "result.json").read_text()
        (runs[-1] / "result.json").write_text(result.replace(run.name, name))
    (made,) = repeat.write_groups([shop.root / "x.yaml"] * 3, runs, Screen())
    return made.folder


Change = Callable[[dict[str, Any]], None]


def _copy(group: Path, change: Change) -> Path:
    """The group elsewhere, the findings of all its runs changed."""
    reports = group.parent.with_name("other")
    shutil.copytree(group.parent, reports, symlinks=True)
    for path in reports.glob("2*-x/findings.json"):
        findings = json.loads(path.read_text())
        change(findings)
        path.write_text(json.dumps(findings))
    return reports / group.name


def _recovers_late(findings: dict[str, Any]) -> None:
    found = findings["recovery"]["redirect"]
    found["recovered"], found["recovery_time_s"] = True, 25.0


# -- run --repeat


def test_repeated_runs_are_one_group(shop: Shop, cli: Cli, ticking: None) -> None:
    (shop.root / "y.yaml").write_text(EXPERIMENT)
    done = cli("run", "x.yaml", "y.yaml", "--repeat", "2")
    assert done.code == 0
    names = [path.name for path in shop.runs()]
    assert [name.partition("-")[2][7:] for name in names] == ["x", "y", "x", "y", "x-x2", "y-x2"]
    for at, group in enumerate(shop.runs()[4:]):
        facts = json.loads((group / "group.json").read_text())
        assert facts["run_ids"] == [names[at], names[at + 2]]
        assert facts["verdict"] == "pass"
        written = {path.name for path in group.iterdir()}
        assert written == {"group.json", "index.html", "junit.xml", "summary.md"}


def test_one_run_that_fails_fails_the_group(shop: Shop, cli: Cli, ticking: None) -> None:
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace("failed_requests == 0", "requests < 1"))
    done = cli("run", "x.yaml", "--repeat", "2")
    assert done.code == 1
    assert "requests < 1, but missed in 2 of 2 runs" in done.out


def test_a_run_without_a_result_makes_the_group_inconclusive(
    shop: Shop, cli: Cli, ticking: None
) -> None:
    shop.fail_at("health", TargetError("not healthy", "harness status"))
    done = cli("run", "x.yaml", "--repeat", "2", "--json")
    assert done.code == 4
    group = json.loads(done.out)["groups"][0]
    assert (group["verdict"], len(group["run_ids"])) == ("inconclusive", 1)


@pytest.mark.parametrize("number", ["0", "-1", "101", "two", "1.5", ""])
def test_a_number_of_repetitions_that_cannot_be(shop: Shop, cli: Cli, number: str) -> None:
    done = cli("run", "x.yaml", f"--repeat={number}")
    assert done.code == 2
    assert "is not a whole number from 1 to 100" in done.err
    assert shop.runs() == []


# -- compare


def test_a_group_against_itself_did_not_change(group: Path, cli: Cli) -> None:
    done = cli("compare", group, group)
    assert done.code == 0
    assert "NO REGRESSION FOUND" in done.out
    path = Path("reports") / f"compare-{group.name}-{group.name}"
    assert {file.name for file in path.iterdir()} == {
        "comparison.json", "index.html", "summary.md",
    }  # fmt: skip


def test_a_regression_ends_with_1_and_back_with_0(
    group: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    late = _copy(group, _recovers_late)
    done = cli("compare", group, late)
    assert done.code == 1
    assert "REGRESSION: 1 figure is worse" in done.out
    assert "run.redirect.recovery_time" in done.out
    assert "## Regression" in (tmp_path / "summary.md").read_text()
    assert cli("compare", late, group).code == 0


def test_single_runs_are_too_few_to_tell(group: Path, cli: Cli) -> None:
    late = _copy(group, _recovers_late)
    run = json.loads((group / "group.json").read_text())["run_ids"][0]
    done = cli("compare", group.with_name(run), late.with_name(run))
    assert done.code == 0
    assert "TOO FEW RUNS TO TELL" in done.out
    assert "Fewer than 3 runs in A and B" in done.out


def test_runs_can_be_named_one_by_one_and_json_is_all_of_stdout(group: Path, cli: Cli) -> None:
    runs = [
        group.with_name(name) for name in json.loads((group / "group.json").read_text())["run_ids"]
    ]
    late = _copy(group, _recovers_late)
    done = cli("compare", ",".join(map(str, runs)), late, "--json", "--output", "out")
    assert done.code == 1
    found = json.loads(done.out)
    assert found["counts"]["regression"] == 1
    assert found["page"] == "out/index.html"


def test_the_smallest_change_that_matters_can_be_set(group: Path, cli: Cli) -> None:
    late = _copy(group, _recovers_late)
    assert cli("compare", group, late, "--min-recovery", "30s").code == 0
    for flag in ("--min-recovery=soon", "--min-relative=x", "--min-error-rate=2", "--min-x=1"):
        done = cli("compare", group, late, flag)
        assert done.code == 2, flag
        assert "Traceback" not in done.err


def test_another_experiment_is_refused_unless_asked_for(group: Path, shop: Shop, cli: Cli) -> None:
    (shop.root / "y.yaml").write_text(EXPERIMENT.replace("rate: 1/s", "rate: 2/s"))
    before = set(shop.runs())
    assert cli("run", "y.yaml").code == 0
    other = next(path for path in shop.runs() if path not in before)
    refused = cli("compare", group, other)
    refused.is_one_clear_error(2, "different experiments: x and y", "--different")
    assert not (shop.reports / f"compare-{group.name}-{other.name}").exists()
    assert cli("compare", group, other, "--different").code == 0


def test_bad_input_is_one_clear_error_and_writes_nothing(group: Path, shop: Shop, cli: Cli) -> None:
    (shop.root / "empty").mkdir()
    (shop.root / "none").mkdir()
    facts = json.loads((group / "group.json").read_text())
    (shop.root / "none" / "group.json").write_text(json.dumps({**facts, "run_ids": []}))
    cut = _copy(group, lambda _: None)
    (cut.with_name(facts["run_ids"][1]) / "result.json").write_text("{")
    (shop.root / "old").mkdir()
    (shop.root / "old" / "group.json").write_text("{}")
    before = set(shop.reports.iterdir())
    for bad, *words in (
        ("gone", "gone: no such folder", "ls reports"),
        ("empty", "empty: neither a run folder nor a group", "ls reports"),
        ("x.yaml", "x.yaml: neither a run folder nor a group"),
        (" , ", "does not name a run folder"),
        ("none", "none: this group has no runs"),
        ("old", "group.json: no schema_version"),
        (cut, "result.json: not JSON", "harness judge"),
        (f"{group},{group}", "named twice on one side"),
    ):
        for sides in ((bad, group), (group, bad)):
            cli("compare", *sides).is_one_clear_error(2, *words)
    assert set(shop.reports.iterdir()) == before


def test_an_output_that_is_something_else_is_not_touched(group: Path, shop: Shop, cli: Cli) -> None:
    for path in ("x.yaml", group):
        done = cli("compare", group, group, "--output", path)
        done.is_one_clear_error(2, "already exists and is not a comparison", "choose a new folder")
    assert (shop.root / "x.yaml").read_text() == EXPERIMENT
    assert cli("compare", group, group, "--output", "new/deep").code == 0
    assert cli("compare", group, group, "--output", "new/deep").code == 0
