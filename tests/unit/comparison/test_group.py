"""Repeated runs are judged on the median, the spread and the worst of each figure."""

from __future__ import annotations

import pytest
from made_up_runs import experiment

from harness.aspects.clause import parse_expectation
from harness.comparison import make_group


def expecting(*texts: tuple[str, str]):
    return experiment(
        hypothesis=tuple(
            parse_expectation("fault", subject, text, {"redirect"}) for subject, text in texts
        )
    )


RECOVERS = expecting(("redirect", "recovery_time <= 30s"))


def result(number, *judgements, status="completed", reasons=()):
    """result.json of a run; a judgement is an outcome and its value."""
    outcomes = [outcome for outcome, _ in judgements]
    order = ("fail", "inconclusive", "pass")
    return {
        "run_id": f"run-{number}", "status": status, "reasons": list(reasons),
        "verdict": next((name for name in order if name in outcomes), "pass"),
        "judgements": [
            {"outcome": outcome, "value": value, "evidence": f"it was {value}", "code": "slow"}
            for outcome, value in judgements
        ],
    }  # fmt: skip


def group_of(*judgements, of=RECOVERS, asked=None):
    results = [result(number, one) for number, one in enumerate(judgements)]
    return make_group(of, results, asked or len(results))


def test_median_spread_and_worst():
    found = group_of(*(("pass", value) for value in (21.0, 25.0, 20.0, 22.0, 23.0)))
    row = found["figures"][0]
    assert (row["median"], row["spread"], row["worst"]) == (22.0, 2.0, 25.0)
    assert row["worst_run"] == "run-1"
    assert row["evidence"] == "it was 25.0"
    assert found["verdict"] == row["outcome"] == "pass"


def test_one_run_that_fails_fails_the_group():
    found = group_of(("pass", 21.0), ("fail", 33.0), ("pass", 20.0))
    assert found["verdict"] == "fail"
    assert found["figures"][0]["worst"] == 33.0
    text = found["reasons"][0]["text"]
    assert "recovery_time <= 30s, but missed in 1 of 3 runs; worst: it was 33.0" in text


def test_what_never_recovered_is_worse_than_any_number():
    row = group_of(("fail", 90.0), ("fail", None), ("pass", 20.0))["figures"][0]
    assert row["worst"] is None
    assert row["worst_run"] == "run-1"
    assert row["median"] == 90.0


@pytest.mark.parametrize(
    ("subject", "text", "values", "worst"),
    [
        ("redirect", "requests >= 100", (300.0, 200.0), 200.0),
        ("redirect", "failed_requests == 0", (0.0, 0.0), 0.0),
        ("redirect", "p95 < 1s", (0.3, 0.2), 0.3),
    ],
)
def test_the_worst_is_the_one_nearest_to_failing(subject, text, values, worst):
    of = expecting((subject, text))
    found = group_of(*(("pass", value) for value in values), of=of)
    assert found["figures"][0]["worst"] == worst


def test_a_run_without_evidence_makes_the_group_inconclusive():
    found = group_of(("pass", 21.0), ("inconclusive", None), ("pass", 20.0))
    row = found["figures"][0]
    assert found["verdict"] == row["outcome"] == "inconclusive"
    assert (row["median"], row["worst"]) == (20.5, 21.0)
    nothing = group_of(("inconclusive", None))["figures"][0]
    assert (nothing["median"], nothing["spread"], nothing["worst"]) == (None, None, None)


def test_a_failure_weighs_more_than_missing_evidence():
    assert group_of(("fail", 40.0), ("inconclusive", None))["verdict"] == "fail"


def test_a_run_that_is_missing_makes_the_group_inconclusive():
    found = group_of(("pass", 21.0), ("pass", 21.0), asked=3)
    assert found["verdict"] == "inconclusive"
    assert found["reasons"] == [{"code": "runs_missing", "text": "2 of 3 runs have a result"}]


def test_a_run_that_did_not_complete_is_named():
    aborted = {**result(0, ("pass", 21.0), status="aborted"), "verdict": "fail"}
    found = make_group(RECOVERS, [aborted, result(1, ("pass", 20.0))], 2)
    assert found["verdict"] == "fail"
    assert found["reasons"] == [{"code": "safeguard_tripped", "text": "run-0 ended as aborted"}]


def test_the_first_reason_of_an_inconclusive_run_is_told():
    why = [{"code": "load_unhealthy", "text": "sent late"}, {"code": "x", "text": "y"}]
    found = make_group(RECOVERS, [result(0, ("inconclusive", None), reasons=why)], 1)
    assert found["reasons"] == [
        {"code": "load_unhealthy", "text": "run-0 is inconclusive: sent late"}
    ]
