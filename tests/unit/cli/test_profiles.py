"""Parts of the project that only some experiments need: each gets its own, others stay."""

from __future__ import annotations

import json

import pytest
from fake_shop import EXPERIMENT, Cli, Shop


@pytest.fixture(autouse=True)
def profiles(shop: Shop) -> None:
    """Compose files with some, and a target that uses one of them."""
    shop.answers = {"--profiles": "core\nlogs\nmonitoring\n", **shop.answers}
    shop.write_compose()
    (shop.root / "target.yaml").write_text("profiles: [core]\n")
    (shop.root / "x.yaml").write_text(f"profiles: [monitoring]\n{EXPERIMENT}")
    (shop.root / "y.yaml").write_text(f"profiles: [logs, core]\n{EXPERIMENT}")
    (shop.root / "z.yaml").write_text(EXPERIMENT)


def started(shop: Shop) -> list[list[str]]:
    """The profiles of each call of `up`."""
    calls = [line.split() for line in shop.asked().splitlines() if " up --detach" in line]
    return [
        [words[at + 1] for at, word in enumerate(words) if word == "--profile"] for words in calls
    ]


def test_each_experiment_of_a_command_starts_what_it_needs(shop: Shop, cli: Cli) -> None:
    done = cli("run", "x.yaml", "y.yaml", "z.yaml")
    assert done.code == 0, done.out + done.err
    assert started(shop) == [["core", "monitoring"], ["core", "logs"], ["core"]]
    assert " down " not in shop.asked()
    plans = [json.loads((run / "plan.json").read_text())["experiment"] for run in shop.runs()]
    assert sorted(plan["profiles"] for plan in plans) == [[], ["logs", "core"], ["monitoring"]]
    assert ["core", "monitoring"] in [plan["target"]["profiles"] for plan in plans]


def test_a_profile_that_is_not_there_stops_all_before_anything_starts(shop: Shop, cli: Cli) -> None:
    (shop.root / "y.yaml").write_text(f"profiles: [log]\n{EXPERIMENT}")
    for command in ("run", "validate"):
        done = cli(command, "x.yaml", "y.yaml")
        done.is_one_clear_error(
            2, "y.yaml", "profiles: the Compose files have no profile log; did you mean logs?"
        )
    assert " up " not in shop.asked()
    assert shop.runs() == []


def test_up_starts_a_profile_beside_those_of_the_target(shop: Shop, cli: Cli) -> None:
    assert cli("up", "--profile", "monitoring").code == 0
    assert cli("up").code == 0
    assert started(shop) == [["core", "monitoring"], ["core"]]


def test_a_dry_run_is_about_the_same_parts(shop: Shop, cli: Cli) -> None:
    assert cli("run", "x.yaml", "--dry-run").code == 0
    assert "--profile core --profile monitoring" in shop.asked()
    assert started(shop) == []
