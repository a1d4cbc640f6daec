"""`run` on a busy and on a small machine: what it says, waits for, and lowers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_shop import EXPERIMENT, QUIET, Cli, Shop

from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import load_experiment
from harness.faults import KINDS
from harness.model.experiment import Experiment
from harness.model.machine import Look
from harness.model.quantity import AUTO
from harness.session import load_scale
from harness.session.listener import Silent
from harness.session.load_scale import Cost, LoadScale, choose, read_cost, write_cost

LOADED = EXPERIMENT.replace("rate: 1/s, canary_rate: 0/s", "rate: 10/s, canary_rate: 100/s")
FEW = LOADED.replace("failed_requests == 0", "error_rate < 0.5%")
BUSY = Look(2.0, 2.0, 0.4, 0.1, 0.1, 0.0, 1.9, 0.0, 1.5, None, (("clang", 1.9),))


def test_a_busy_machine_is_said_and_the_run_goes_on(shop: Shop, cli: Cli) -> None:
    shop.looks = [BUSY]
    done = cli("run", "x.yaml")
    assert done.code == 0, done.err
    assert "the machine is busy: other programs used 48% of the CPU time" in done.out
    assert "(clang 48%)" in done.out
    assert "--when-quiet" in done.out


def test_a_quiet_machine_is_not_talked_about(shop: Shop, cli: Cli) -> None:
    done = cli("run", "x.yaml")
    assert done.code == 0
    assert "busy" not in done.out


def test_where_nothing_can_be_seen_the_run_goes_on_and_auto_does_not(shop: Shop, cli: Cli) -> None:
    shop.looks = [None]
    done = cli("run", "x.yaml")
    assert done.code == 0, done.err
    assert "cannot be seen from here" in done.out
    shop.cut.names.clear()
    done = cli("run", "--scale", "auto", "x.yaml")
    done.is_one_clear_error(4, "--scale auto: the processor time", "choose a scale")


def test_the_look_and_the_speed_are_in_the_run_folder(shop: Shop, cli: Cli) -> None:
    cli("run", "x.yaml")
    facts = json.loads((shop.runs()[0] / "environment.json").read_text())
    assert facts["million_additions_per_s"] == 20.0
    assert facts["machine_look"]["own_share"] == pytest.approx(0.15)
    assert facts["machine_look"]["taken_share"] == pytest.approx(0)


@pytest.mark.parametrize("flag", ["--when-quiet", "--when-quiet=1m"])
def test_when_quiet_waits_and_then_runs(shop: Shop, cli: Cli, flag: str) -> None:
    shop.looks = [BUSY, BUSY, BUSY, QUIET]
    done = cli("run", flag, "x.yaml")
    assert done.code == 0, done.err
    assert "waiting until it is quiet" in done.out
    assert "quiet after 6.00 s" in done.out


def test_when_quiet_ends_with_3_at_its_bound_and_sends_nothing(shop: Shop, cli: Cli) -> None:
    shop.looks = [BUSY]
    done = cli("run", "--when-quiet=20s", "x.yaml")
    done.is_one_clear_error(3, "was not quiet within 20.00 s", "clang 48%", "--when-quiet=1h")
    assert shop.runs() == []
    assert not [name for name in shop.cut.names if name.startswith("driver")]


def test_when_quiet_wants_a_duration(shop: Shop, cli: Cli) -> None:
    assert cli("run", "--when-quiet=soon", "x.yaml").code == 2


@pytest.mark.parametrize("wrong", ["0", "-1", "fast", "11", "nan"])
def test_a_scale_is_auto_or_a_number(shop: Shop, cli: Cli, wrong: str) -> None:
    done = cli("run", f"--scale={wrong}", "x.yaml")
    assert done.code == 2
    assert "is not auto or a number above 0" in done.err


def plan(shop: Shop) -> dict[str, object]:
    found: dict[str, object] = json.loads((shop.runs()[0] / "plan.json").read_text())["experiment"]
    return found


def test_a_scale_is_in_the_plan_and_on_the_live_line(shop: Shop, cli: Cli) -> None:
    done = cli("run", "--scale", "0.5", "x.yaml")
    assert done.code == 0, done.err
    assert plan(shop)["scale"] == 0.5
    assert plan(shop)["load"]["rate_per_s"] == 0.5  # type: ignore[index]
    assert "scale 0.5" in done.out


def test_a_scale_is_in_the_dry_run(shop: Shop, cli: Cli) -> None:
    done = cli("run", "--dry-run", "--scale", "0.5", "x.yaml")
    assert "would send up to 0.5/s for 10 s to 127.0.0.1:1, scale 0.5" in done.out
    done = cli("run", "--dry-run", "--scale", "auto", "x.yaml")
    assert "rates are shown as in the files" in done.out


def test_a_scale_with_too_few_requests_starts_nothing(shop: Shop, cli: Cli) -> None:
    (shop.root / "x.yaml").write_text(FEW)
    done = cli("run", "--scale", "0.5", "x.yaml")
    done.is_one_clear_error(2, "run.redirect: error_rate < 0.5% needs 600 requests", "--scale 0.61")
    assert shop.cut.names == []


COST = Cost(cpus=2.0, million_additions_per_s=20.0, idle_share=0.15, share_per_request=0.002)


def test_auto_measures_once_for_all_files_and_says_so(
    shop: Shop, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def measure(experiment: Experiment, project: Any) -> Cost:
        measured.append(experiment.name)
        project.speed = lambda: 40.0  # all files of one command have one cost all the same
        return Cost(2.0, 20.0, 0.1, 0.825)  # 1/s would take 0.925

    monkeypatch.setattr(load_scale, "measure_cost", measure)
    (shop.root / "y.yaml").write_text(EXPERIMENT)
    done = cli("run", "--scale", "auto", "x.yaml", "y.yaml")
    assert done.code == 0, done.err
    assert measured == ["x"]
    assert "scale auto: measuring the CPU cost of a request, about 11 s" in done.out
    assert done.out.count("scale auto: 0.5; 1/s would take 92% of 2 CPUs, 0.5/s 51%") == 2
    assert plan(shop)["scale"] == 0.5
    again = cli("run", "--scale", "auto", "x.yaml")
    assert again.code == 0
    assert measured == ["x"], "it was measured already since the machine was started"
    assert "measuring" not in again.out


def shipped(text: str, tmp_path: Path) -> Experiment:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    return load_experiment(path, KINDS, None, shortener_traffic)


@pytest.mark.parametrize(
    ("share_per_request", "scale"),
    [(0.001, 1.0), (0.004, 1.0), (0.0042, 0.75), (0.0081, 0.5), (0.0082, 0.35), (1.0, 0.25)],
)
def test_the_largest_step_that_leaves_headroom(
    share_per_request: float, scale: float, tmp_path: Path
) -> None:
    """110 requests a second; 0.60 may be used, 0.15 of which the idle stack does."""
    made = shipped(LOADED, tmp_path)
    cost = Cost(2.0, 20.0, 0.15, share_per_request)
    assert choose(made, cost) == scale


def test_no_step_is_smaller_than_the_expectations_allow(tmp_path: Path) -> None:
    assert choose(shipped(FEW, tmp_path), Cost(2.0, 20.0, 0.15, 1.0)) == 0.75


@pytest.mark.parametrize(
    ("speed", "share_per_request", "is_measured"),
    [
        (20.0, 0.9, False),  # 0.75 of the load fits, as it was measured
        (16.0, 0.9, False),
        (15.9, 0.1, False),  # all of it would fit even if a request cost a quarter more
        (15.9, 0.4, True),  # 0.55 as it was measured, 0.69 by now
        (24.1, 0.44, False),  # 0.59 at most
        (24.1, 0.46, True),
    ],
)
def test_a_cost_is_measured_again_if_another_speed_could_change_the_scale(
    shop: Shop,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    speed: float,
    share_per_request: float,
    is_measured: bool,
) -> None:
    """0.60 may be used, 0.15 of which the idle stack does; the load is 1 request/s."""
    costs = [Cost(2.0, 20.0, 0.15, share_per_request)]
    monkeypatch.setattr(load_scale, "measure_cost", lambda *_: costs.pop())
    assert cli("run", "--scale", "auto", "x.yaml").code == 0
    shop.speed = speed
    costs.append(COST)
    done = cli("run", "--scale", "auto", "x.yaml")
    assert done.code == 0, done.err
    assert costs == ([] if is_measured else [COST])


def test_what_runs_beside_it_has_a_cost_of_its_own(shop: Shop, tmp_path: Path) -> None:
    alone = shipped(LOADED, tmp_path)
    watched = alone.model_copy(update={"profiles": ("monitoring",)})
    costs = [COST, replace(COST, idle_share=0.25)]
    scale = LoadScale(AUTO, lambda *_: costs.pop(0))
    for experiment in (alone, alone, watched, watched):
        scale.fit(experiment, shop.project(), Silent())
    assert costs == []
    kept = json.loads((shop.project().state_dir / "request_cost.json").read_text())["costs"]
    assert sorted(cost["idle_share"] for cost in kept.values()) == [0.15, 0.25]


def test_a_cost_holds_for_this_boot_and_these_cpus(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, path = shop.project(), shop.root / "cost.json"
    assert read_cost(path, "a", project) is None
    write_cost(path, "a", COST)
    write_cost(path, "b", COST)
    assert read_cost(path, "a", project) == COST
    assert read_cost(path, "b", project) == COST
    shop.looks = [Look(2.0, 1.0, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0, 1.7)]
    assert read_cost(path, "a", project) is None
    shop.looks = [QUIET]
    monkeypatch.setattr(load_scale, "boot_id", lambda: "another")
    assert read_cost(path, "a", project) is None
    path.write_text("{")
    assert read_cost(path, "a", project) is None


LOADED_LOOK = Look(4.0, 2.0, 2.4, 0.4, 0.4, 0.0, 0.0, 0.0, 4.8)


@pytest.mark.parametrize(
    ("before", "after"), [(QUIET, QUIET), (LOADED_LOOK, QUIET), (QUIET, LOADED_LOOK)]
)
def test_the_cost_of_a_request_is_what_half_of_the_load_adds(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: Look, after: Look
) -> None:
    """Idle 0.15, loaded 0.40 of the machine, at 5/s and 50/s of the canary.

    A stack that was just started, or that works off what the load has left, is not idle.
    """
    monkeypatch.setattr(load_scale, "LoadDriver", shop.driver)
    shop.looks = [before, LOADED_LOOK, after]
    cost = load_scale.measure_cost(shipped(LOADED, tmp_path), shop.project())
    assert cost.idle_share == pytest.approx(0.15)
    assert cost.share_per_request == pytest.approx(0.25 / 55)
    assert cost.cpus == 2
    assert [name for name in shop.cut.names if name.startswith("driver")] == [
        "driver.start", "driver.begin", "driver.check", "driver.stop",
    ]  # fmt: skip
    assert shop.runs() == []


def test_workers_that_are_missed_are_on_the_live_line(shop: Shop, cli: Cli) -> None:
    shop.missing = ("worker 2 of 2 (far): silent",)
    assert "workers missing: 1" in cli("run", "x.yaml").out
