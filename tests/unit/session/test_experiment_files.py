"""What names experiments on the command line: files, folders, and names in experiments/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_shop import EXPERIMENT, Cli, Shop

from harness.errors import UsageError
from harness.session.experiment_files import experiment_files


@pytest.fixture
def families(here: Path) -> list[Path]:
    """Three experiments of two families, and one of none."""
    names = ["alpha/b", "alpha/c", "beta/a", "z"]
    paths = [Path("experiments") / f"{name}.yaml" for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EXPERIMENT.replace("One dead", f"{path.stem} is one dead"))
    return paths


def test_a_folder_stands_for_its_experiments_and_those_of_its_families(
    families: list[Path],
) -> None:
    assert experiment_files([Path("experiments/alpha")]) == families[:2]
    assert experiment_files([Path("experiments")]) == families


def test_a_name_stands_for_the_file_of_that_name_in_any_family(families: list[Path]) -> None:
    named = [Path("a"), Path("z"), Path("x.yaml"), Path("experiments/alpha/c.yaml")]
    b, c, a, z = families
    assert experiment_files(named) == [a, z, Path("x.yaml"), c]
    assert b not in experiment_files(named)


@pytest.mark.parametrize("command", [["run"], ["run", "--dry-run"], ["validate"], ["plan"]])
def test_a_misspelt_label_is_named_before_anything_starts(
    shop: Shop, cli: Cli, command: list[str]
) -> None:
    shop.answers["config"]["services"]["redis"]["labels"]["harness.protct"] = "true"
    shop.write_compose()
    text = "service redis: label harness.protct: unknown label; did you mean harness.protect?"
    cli(*command, "x.yaml").is_one_clear_error(2, "x.yaml: 1 problem", text)
    assert shop.cut.names == []


def test_a_file_in_the_working_directory_is_no_name(families: list[Path]) -> None:
    Path("a").write_text(EXPERIMENT)
    assert experiment_files([Path("a")]) == [Path("a")]


def test_a_file_that_is_now_in_a_family_is_found_but_not_taken(families: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"experiments/a\.yaml: no such file") as caught:
        experiment_files([Path("experiments/a.yaml")])
    assert caught.value.hint == "experiments/beta/a.yaml"


def test_a_file_name_is_no_name_of_an_experiment(families: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"a\.yaml: no such file") as caught:
        experiment_files([Path("a.yaml")])
    assert caught.value.hint == "experiments/beta/a.yaml"
    assert experiment_files([Path("gone.yaml")]) == [Path("gone.yaml")]


def test_a_name_of_two_files_is_refused(families: list[Path]) -> None:
    Path("experiments/beta/b.yaml").write_text(EXPERIMENT)
    with pytest.raises(UsageError, match="b: no such file") as caught:
        experiment_files([Path("b")])
    assert caught.value.hint == "experiments/alpha/b.yaml, or experiments/beta/b.yaml"


def test_all_that_names_nothing_is_said_at_once(families: list[Path]) -> None:
    Path("alphabet.yaml").write_text(EXPERIMENT.replace("title", "tittle"))
    Path("empty").mkdir()
    with pytest.raises(UsageError) as caught:
        experiment_files([Path("empty"), Path("a"), Path("zz")])
    first, second = caught.value.message.splitlines()
    assert first == "empty: no experiment files (*.yaml) in this folder"
    assert second == "zz: no such file, and no experiment of this name in experiments/"
    assert caught.value.hint == "harness list DIR; z"


def test_where_there_are_no_experiments_a_name_is_one_clear_error(shop: Shop, cli: Cli) -> None:
    cli("run", "redis-outage").is_one_clear_error(2, "redis-outage: no such file", "harness list")


def test_a_run_of_a_name_and_a_folder(shop: Shop, cli: Cli, families: list[Path]) -> None:
    done = cli("run", "a", "experiments/alpha", "--json")
    assert done.code == 0, done.err
    assert [run["experiment"] for run in json.loads(done.out)] == ["a", "b", "c"]
    assert len(shop.runs()) == 3


def test_repetitions_of_a_folder_are_one_group_for_each_file(
    shop: Shop, cli: Cli, families: list[Path]
) -> None:
    done = cli("run", "experiments/alpha", "--repeat", "2", "--json")
    groups = json.loads(done.out)["groups"]
    assert [(group["experiment"], len(group["run_ids"])) for group in groups] == [
        ("b", 2),
        ("c", 2),
    ]


def test_names_and_folders_can_be_validated_and_planned(
    here: Path, cli: Cli, families: list[Path]
) -> None:
    for command in ("validate", "plan"):
        done = cli(command, "a", "experiments/alpha")
        assert done.code == 0, done.err
        for path in families[:3]:
            assert str(path) in done.out


def test_the_web_page_takes_one_experiment(shop: Shop, cli: Cli, families: list[Path]) -> None:
    refused = cli("ui", "experiments/alpha")
    refused.is_one_clear_error(2, "more than one experiment", "harness ui experiments/alpha/b.yaml")


def test_a_list_says_the_family(here: Path, cli: Cli, families: list[Path]) -> None:
    found = json.loads(cli("list", "--json").out)
    assert [(row["file"], row["family"]) for row in found] == [
        ("experiments/alpha/b.yaml", "alpha"),
        ("experiments/alpha/c.yaml", "alpha"),
        ("experiments/beta/a.yaml", "beta"),
        ("experiments/z.yaml", ""),
    ]
    lines = cli("list").out.splitlines()
    assert [line for line in lines if not line.startswith("    ")] == [
        "experiments/alpha", "  b  10 s", "  c  10 s",
        "experiments/beta", "  a  10 s",
        "experiments", "  z  10 s",
    ]  # fmt: skip
    assert cli("list", "experiments/alpha").out.splitlines()[:2] == [
        "experiments/alpha",
        "  b  10 s",
    ]


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_list_fits_the_screen(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    claim = "One of three app servers dies and no user request fails within 30 s of that"
    (here / "x.yaml").write_text(
        (here / "x.yaml").read_text().replace("title: ", f"title: {claim} ")
    )
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = cli("list", ".").out.splitlines()
    assert max(map(len, lines)) <= columns
    assert claim in " ".join(line.strip() for line in lines)
