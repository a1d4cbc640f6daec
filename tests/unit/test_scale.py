"""Scaled rates, and what is then too few requests to tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.aspects.clause import parse_expectation
from harness.bundled.traffic import shortener_traffic
from harness.errors import UsageError
from harness.experiment_file import load_experiment
from harness.faults import KINDS
from harness.model.experiment import Experiment
from harness.model.load import Load, Stage
from harness.model.planned import main_requests
from harness.scale import scaled, smallest_scale

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "experiments").glob("*/*.yaml"))


def experiment(
    expect: str = "baseline: {redirect: [error_rate < 0.1%]}", load: str = "", **changes: Any
) -> Experiment:
    """200 redirects a second and 50 of the canary: 5,000 in the 20 s of each phase."""
    text = f"""
title: A claim
load: {{rate: 200/s, canary_rate: 50/s, mix: {{redirect: 0.75, create: 0.25}}{load}}}
phases: {{warmup: 10s, baseline: 20s, fault: 20s}}
faults: [{{kill: {{service: app-1}}, at: fault + 0s}}]
expect: {{{expect}}}
"""
    path = Path(changes["tmp_path"]) / "x.yaml"
    path.write_text(text)
    return load_experiment(path, KINDS, None, shortener_traffic)


def test_all_rates_are_multiplied_and_nothing_else(tmp_path: Path) -> None:
    stages = ", stages: [{rate: 400/s, ramp: 5s, hold: 5s}]"
    full = experiment(load=stages, tmp_path=tmp_path)
    half = scaled(full, 0.8)
    assert half.scale == 0.8
    assert half.load.rate_per_s == pytest.approx(160)
    assert half.load.canary_rate_per_s == pytest.approx(40)
    assert half.load.stages[0].rate_per_s == pytest.approx(320)
    assert (half.load.stages[0].ramp_s, half.load.stages[0].hold_s) == (5, 5)
    assert (half.phases, half.hypothesis) == (full.phases, full.hypothesis)
    assert scaled(full, 1.0) is full


@pytest.mark.parametrize(
    ("expect", "least"),
    [
        # 150 + 50 redirects a second for 20 s
        ("baseline: {redirect: [error_rate < 0.1%]}", 3000 / 4000),
        ("baseline: {redirect: [p99 < 1s]}", 1000 / 4000),
        ("baseline: {redirect: [p95 < 1s]}", 200 / 4000),
        ("baseline: {redirect: [requests >= 2000]}", 2000 / 4000),
        ("baseline: {redirect: [requests <= 9000]}", 0),
        ("fault: {create: [recovery_time < 30s]}", 0),
        ("baseline: {redirect: [failed_requests == 0]}", 0),
        ("run: {redirect: [p99 < 1s]}", 1000 / 8000),
        ("baseline: {traffic_share: [min >= 30%]}", 300 / 6000),
        ("baseline: {cache: [redis_share >= 5%]}", 300 / 4000),
        ("baseline: {replica_share: [max <= 90%]}", 300 / 1000),
        ("run: {writes: [lost == 0]}", 20 / 100),
        ("baseline: {redirect: [p99 < 1s]}, fault: {redirect: [error_rate < 0.1%]}", 3000 / 4000),
    ],
)
def test_the_smallest_scale_is_that_of_the_neediest(
    expect: str, least: float, tmp_path: Path
) -> None:
    made = experiment(expect, tmp_path=tmp_path)
    assert smallest_scale(made) == pytest.approx(least)
    if least:
        scaled(made, least)
        with pytest.raises(UsageError):
            scaled(made, least * 0.99)


def test_too_small_a_scale_says_what_it_lacks_and_which_is_enough(tmp_path: Path) -> None:
    made = experiment(tmp_path=tmp_path)
    with pytest.raises(UsageError) as caught:
        scaled(made, 0.5)
    assert "--scale 0.5 leaves too few requests" in caught.value.message
    words = "baseline.redirect: error_rate < 0.1% needs 3,000 requests in baseline, but only about"
    assert f"{words} 2,000 would be sent" in caught.value.message
    assert "--scale 0.75 or more" in caught.value.hint


def test_what_is_too_little_at_full_rate_is_not_blamed_on_the_scale(tmp_path: Path) -> None:
    enough = experiment("baseline: {redirect: [p95 < 1s]}", tmp_path=tmp_path)
    too_little = parse_expectation("baseline", "redirect", "error_rate < 0.01%", {"redirect"})
    made = enough.model_copy(update={"hypothesis": (too_little, *enough.hypothesis)})
    assert smallest_scale(made) == pytest.approx(0.05)
    assert scaled(made, 0.5).scale == 0.5


def test_a_replay_cannot_be_scaled(tmp_path: Path) -> None:
    made = experiment(tmp_path=tmp_path)
    replay = made.load.model_copy(update={"replay": "reports/x"})
    with pytest.raises(UsageError, match="a replay keeps its recorded rate"):
        scaled(made.model_copy(update={"load": replay}), 0.8)


def test_peak_rate_counts_stages_and_each_operations_canary(tmp_path: Path) -> None:
    stages = ", stages: [{rate: 400/s, ramp: 5s, hold: 5s}]"
    assert experiment(load=stages, tmp_path=tmp_path).load.total_peak_per_s == pytest.approx(500)


def test_requests_of_stages_are_the_integral_of_the_rate() -> None:
    stages = (Stage(rate_per_s=300, ramp_s=10, hold_s=5), Stage(rate_per_s=0, ramp_s=0, hold_s=5))
    load = Load(rate_per_s=100, mix={"redirect": 1}, stages=stages)
    assert main_requests(load, 0, 10) == pytest.approx(2000)
    assert main_requests(load, 5, 12) == pytest.approx(250 * 5 + 600)
    assert main_requests(load, 14, 30) == pytest.approx(300)


@given(st.floats(0, 30), st.floats(0, 30), st.floats(0, 30))
def test_requests_of_two_stretches_add_up(a: float, b: float, c: float) -> None:
    first, second, third = sorted((a, b, c))
    stages = (Stage(rate_per_s=300, ramp_s=10, hold_s=5), Stage(rate_per_s=50, ramp_s=3, hold_s=5))
    load = Load(rate_per_s=100, mix={"redirect": 1}, stages=stages)
    parts = main_requests(load, first, second) + main_requests(load, second, third)
    assert parts == pytest.approx(main_requests(load, first, third))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_can_be_run_at_half_its_rates(path: Path) -> None:
    assert 0 < smallest_scale(load_experiment(path, KINDS, None, shortener_traffic)) <= 0.5
