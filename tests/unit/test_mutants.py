"""What `make mutants` runs and counts; the list of harmless mutants is whole and current."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import mutants
import pytest
from mutants import Accepted, Mutant, Row

ROOT = Path(__file__).parents[2]
GROUPS = mutants.read_groups(tomllib.loads((ROOT / "pyproject.toml").read_text()))
LISTED = mutants.read_accepted((ROOT / "tests" / "mutants.yaml").read_text())

KILLED = [Mutant("a.py", "f", "killed")] * 9
HARMLESS = Mutant("a.py", "f", "survived", "x = 1", "x = 2")
HARMFUL = Mutant("a.py", "C.g", "survived", "y < 1", "y <= 1")
ACCEPTED = [Accepted("a.py", "f", "x = 1", "x = 2", "nobody reads it")]


def test_the_modules_that_judge_are_all_looked_at() -> None:
    assert {"judge", "analysis", "undo", "guard", "safeguard", "faults", "probes"} <= set(GROUPS)


@pytest.mark.parametrize("name", GROUPS)
def test_each_group_has_modules_and_only_unit_tests(name: str) -> None:
    for pattern in GROUPS[name].modules:
        assert list(ROOT.glob(pattern)), f"{name}: no module is called {pattern}"
    for test in GROUPS[name].tests:
        assert test.startswith("tests/unit/")  # so that no mutant reaches an engine
        assert (ROOT / test).exists(), f"{name}: there is no {test}"


@pytest.mark.parametrize("one", LISTED, ids=lambda one: f"{one.file} {one.function}")
def test_each_listed_mutant_has_a_reason_and_is_of_todays_code(one: Accepted) -> None:
    assert len(one.reason.split()) >= 3
    text = " ".join((ROOT / one.file).read_text().split())
    is_rule = one.file.endswith(".yml")  # by scripts/rule_mutants.py
    name = one.function.split()[0] if is_rule else f"def {one.function.rpartition('.')[2]}("
    assert name in text
    assert " ".join(one.was.split()) in text, f"{one.was}: changed since it was listed"
    assert one.now != one.was


@pytest.mark.parametrize(
    ("only", "names", "modules"),
    [
        (["guard"], ["guard-guard"], ["harness/guard.py"]),
        (["harness/undo.py"], ["undo-harness.undo.py"], ["harness/undo.py"]),
        (
            ["do*.py", "shares"],
            ["judge-do*.py+shares", "aspects-do*.py+shares"],
            ["harness/judge/doubts.py", "harness/aspects/shares.py"],
        ),
        (["no_such"], [], []),
    ],
)
def test_single_modules_can_be_taken(only: list[str], names: list[str], modules: list[str]) -> None:
    chosen = [GROUPS[name] for name in ("judge", "aspects", "undo", "guard")]
    found = mutants.narrowed(chosen, only)
    assert [group.name for group in found] == names
    assert [module for group in found for module in group.modules] == modules
    whole = {group.name: group.tests for group in chosen}
    assert all(group.tests == whole[group.name.partition("-")[0]] for group in found)


def test_a_module_that_no_group_has_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        mutants.main(["guard", "--only", "shares"])
    assert caught.value.code == 2
    assert "no module of these groups is called shares" in capsys.readouterr().err


def test_the_mutants_see_the_project_but_only_the_committed_report(tmp_path: Path) -> None:
    for _ in range(2):  # a later run goes on in the same folder
        mutants._link_project(tmp_path)
        assert (tmp_path / "harness").resolve() == ROOT / "harness"
        assert (tmp_path / "reports" / "sample" / "result.json").is_file()
        assert [path.name for path in (tmp_path / "reports").iterdir()] == ["sample"]
        assert not (tmp_path / ".venv").exists()


def test_what_is_listed_counts_neither_way() -> None:
    found = [*KILLED, HARMLESS, HARMFUL]
    assert mutants.survivors(found, ACCEPTED) == [HARMFUL]
    row = mutants.to_row("guard", found, ACCEPTED)
    assert row == Row("guard", mutants=11, killed=9, survived=1, accepted=1, left=0)
    assert (row.share, row.is_good) == (0.9, True)
    assert mutants.to_row("guard", found, []).share == 9 / 11


@pytest.mark.parametrize(
    "changed",
    [{"file": "b.py"}, {"function": "g"}, {"was": "x = 3"}, {"now": "x = 4"}],
)
def test_only_the_very_mutant_is_accepted(changed: dict[str, str]) -> None:
    facts = {"file": "a.py", "function": "f", "was": "x = 1", "now": "x = 2", **changed}
    assert not ACCEPTED[0].fits(Mutant(status="survived", **facts))
    assert ACCEPTED[0].fits(HARMLESS)


@pytest.mark.parametrize(
    ("found", "is_good"),
    [
        (KILLED, True),
        ([*KILLED, HARMFUL], True),
        ([*KILLED, HARMFUL, HARMFUL], False),
        ([*KILLED, Mutant("a.py", "f", "left")], False),  # not all were tried
        ([], False),
        ([Mutant("a.py", "f", "killed")], True),
    ],
)
def test_a_group_is_good_when_nine_of_ten_were_noticed(found: list[Mutant], is_good: bool) -> None:
    assert mutants.to_row("x", found, []).is_good is is_good


def test_the_table_and_the_last_line() -> None:
    rows = [
        mutants.to_row("undo", [*KILLED, HARMLESS], ACCEPTED),
        mutants.to_row("guard", [*KILLED[:1], HARMFUL, Mutant("a.py", "f", "left")], ACCEPTED),
    ]
    head, undo, guard = mutants.table(rows).splitlines()
    assert head.split() == ["module", "mutants", "killed", "survived", "listed", "share"]
    assert undo.split() == ["undo", "10", "9", "0", "1", "100.0%"]
    assert guard.split() == ["guard", "3", "1", "1", "0", "50.0%", "1", "not", "tried;", "--resume"]
    assert json.loads(json.dumps(mutants.summary(rows))) == {
        "mutants": 13, "killed": 10, "survived": 1, "listed": 1, "left": 1,
        "shares": {"undo": 1.0, "guard": 0.5}, "below": ["guard"],
    }  # fmt: skip


def test_a_survivor_is_printed_as_an_entry_that_lacks_its_reason() -> None:
    text = mutants.in_words(HARMFUL).replace("reason:", "reason: it is so")
    assert mutants.read_accepted(text) == [Accepted("a.py", "C.g", "y < 1", "y <= 1", "it is so")]


def test_an_empty_list_accepts_nothing() -> None:
    assert mutants.read_accepted("# nothing\n[]\n") == []


def test_an_unknown_group_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        mutants.main(["guard", "gaurd"])
    assert caught.value.code == 2
    assert "no group gaurd; there are: judge, analysis, " in capsys.readouterr().err
