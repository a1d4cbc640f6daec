"""What a run will send, and what it measures without a canary: said before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from harness.aspects.clause import parse_expectation
from harness.bundled.traffic import OPERATIONS
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load, Stage
from harness.outlook import Sending, measured_without_canary, sending


def experiment(*clauses: str, **load: Any) -> Experiment:
    mix = {"redirect": 3.0, "create": 1.0}
    return Experiment(
        name="x", title="", faults=(), operations=OPERATIONS,
        load=Load(rate_per_s=40, mix=mix, **load),
        phases=(Phase(name="warmup", start_s=0, end_s=10), Phase(name="on", start_s=10, end_s=50)),
        hypothesis=tuple(
            parse_expectation("run", *clause.split(": "), set(OPERATIONS)) for clause in clauses
        ),
    )  # fmt: skip


def test_all_that_is_sent_is_counted_warm_up_and_canaries_too() -> None:
    found = sending(experiment(canary_rate_per_s=5, stages=(Stage(rate_per_s=80, hold_s=20),)))
    assert found == Sending(
        main_per_s=80.0,
        canary_per_s={"redirect": 5.0, "create": 5.0},
        total_per_s=90.0,
        seconds=50.0,
        requests=80 * 50 + 2 * 5 * 50,
    )
    assert found.words == (
        "up to 80/s and a canary of 5/s for each of redirect, create: 90/s at most, about 4,500"
        " requests in 50 s"
    )


@pytest.mark.parametrize("canary", [{"canary_rate_per_s": 0}, {"canary": ()}])
def test_without_a_canary_that_is_said(canary: dict[str, Any]) -> None:
    words = sending(experiment(**canary)).words
    assert words == "up to 40/s, no canary: about 2,000 requests in 50 s"


def test_a_recovery_that_no_canary_measures_is_named_with_what_gives_it_one() -> None:
    clauses = ("redirect: recovery_time < 5s", "create: degradation_time < 5s",
               "create: error_rate < 5%", "writes: lost == 0")  # fmt: skip
    by, text = "is measured by the main load, about", "it has no canary; load.canary_rate gives"
    create = f"run.create.degradation_time {by} 10/s of create: {text} each operation one"
    redirect = f"run.redirect.recovery_time {by} 30/s of redirect: {text} each operation one"
    assert measured_without_canary(experiment(*clauses)) == []
    assert measured_without_canary(experiment(*clauses, canary=("redirect",))) == [create]
    none = experiment(*clauses, canary_rate_per_s=0)
    assert measured_without_canary(none) == [redirect, create]
