"""Outages, slow answers and scattered failures of one operation, out of made-up canaries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from plain import plain

from harness.analysis import series
from harness.analysis.rounding import rounded
from harness.aspects import recovery
from harness.aspects.recovery import degradation
from harness.aspects.recovery.outages import find_outages
from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.model.expectation import Expectation
from harness.record.run import Record
from harness.result import result_schema

FAULT_S = 20.0
SAMPLE = Path(__file__).parents[3] / "reports" / "sample" / "result.json"
EXPERIMENT = """\
title: A claim
load: {{rate: 40/s, mix: {{redirect: 1}}}}
phases: {{warmup: 5s, baseline: 15s, fault: 40s}}
faults: [{{kill: {{service: app-1}}, at: fault + 0s}}]
expect: {{baseline: {{redirect: [{expected}]}}, fault: {{redirect: [p95 < 500ms]}}}}
"""
Truth = Callable[[np.ndarray[Any, Any]], Any]


def found(
    took_s: Truth, fails: Truth = lambda _: False, expected: str = "p95 < 200ms"
) -> dict[str, Any]:
    return figures_of(record_of(took_s, fails, expected))["redirect"]


def record_of(took_s: Truth, fails: Truth, expected: str) -> Record:
    """A canary each 10 ms; `took_s` and `fails` tell the answer by the time it was sent."""
    text = EXPERIMENT.format(expected=expected).encode()
    experiment = parse_experiment(text, Path("x.yaml"), KINDS, None, shortener_traffic)
    at_s = np.arange(0, 60, 0.01)
    ok = ~np.broadcast_to(np.asarray(fails(at_s), dtype=bool), at_s.shape)
    canary = pd.DataFrame(
        {
            "op": "redirect", "intended_s": at_s, "sent_s": at_s, "done_s": at_s + took_s(at_s),
            "ok": ok, "error": np.where(ok, "", "timeout"), "write": "", "cache": "db",
            "served_by": "app-1", "db_node": "db-1",
        }
    )  # fmt: skip
    fault = {"fault": "kill-1", "start_s": FAULT_S, "healed_s": None, "service": "app-1"}
    return Record(experiment, [], canary.iloc[:0], canary, [fault])


def test_what_caches_answered_before_the_fault_was_not_cold() -> None:
    """Seen by the canaries of the baseline, 5 s to 20 s, that were answered."""
    record = record_of(lambda _: 0.01, during(5.0, 8.0, 1.0, 0.0), "p95 < 200ms")
    canary = record.canary
    assert figures_of(record)["redirect"]["cold_share"] == 1.0
    at_s = canary["intended_s"]
    canary["cache"] = np.where((at_s < 5) | ((at_s >= 11) & (at_s < FAULT_S)), "redis", "db")
    assert figures_of(record)["redirect"]["cold_share"] == pytest.approx(0.25)


def during(start_s: float, end_s: float, value: float, otherwise: float = 0.01) -> Truth:
    return lambda at_s: np.where((at_s >= start_s) & (at_s < end_s), value, otherwise)


def test_a_slow_stretch_ends_between_two_probes() -> None:
    slow = found(during(20.5, 27.34, 0.3))["degradation"]
    (stretch,) = slow["stretches"]
    assert stretch["start_s"] == pytest.approx(20.5, abs=0.01)
    assert stretch["end_s"] == pytest.approx(27.34, abs=0.02)
    assert stretch["uncertainty_s"] <= 0.02
    assert (stretch["slow"], stretch["failed"]) == (684, 0)
    assert slow["recovery_time_s"] == pytest.approx(7.34, abs=0.02)
    assert (slow["metric"], slow["limit_s"], slow["slow"]) == ("p95", 0.2, 684)


def test_a_stall_is_a_degradation_until_it_is_over() -> None:
    """All that was sent from 25 s on is answered at 26.5 s; nothing failed."""
    stall = lambda at_s: np.where((at_s >= 25) & (at_s < 26.5), 26.5 - at_s + 0.002, 0.01)  # noqa: E731
    result = found(stall)
    assert result["never_failed"] is True
    assert result["recovery_time_s"] == 0
    assert result["degradation_time_s"] == pytest.approx(6.5, abs=0.03)


def test_slow_successes_after_an_outage_are_told_apart_from_it() -> None:
    result = found(during(30, 33, 0.3), lambda at_s: (at_s >= 21) & (at_s < 30))
    half_s = result["uncertainty_s"] + 0.01  # the first success takes 0.3 s
    assert result["recovery_time_s"] == pytest.approx(10, abs=half_s)
    assert result["degradation_time_s"] == pytest.approx(13, abs=0.02)
    assert result["degradation"]["after_outage"]["slow"] == 300
    assert result["degradation"]["after_outage"]["duration_s"] == pytest.approx(3, abs=0.3)


def test_what_the_percentile_allows_is_no_degradation_but_is_counted() -> None:
    chance = np.random.default_rng(3)
    result = found(lambda at_s: np.where(chance.random(len(at_s)) < 0.03, 0.3, 0.01))
    assert result["degradation"]["stretches"] == []
    assert result["degradation_time_s"] == 0
    assert result["degradation"]["slow"] > 100


def test_a_latency_that_stays_bad_is_not_regained() -> None:
    slow = found(during(25, 99, 0.3))["degradation"]
    assert (slow["recovered"], slow["recovery_time_s"]) == (False, None)


def test_without_a_limit_there_is_no_degradation() -> None:
    record = record_of(during(20, 30, 9.0), lambda _: False, "error_rate < 1%")
    bare = [item for item in record.experiment.hypothesis if item.metric != "p95"]
    experiment = record.experiment.model_copy(update={"hypothesis": tuple(bare)})
    record = Record(experiment, [], record.main, record.canary, record.faults)
    result = figures_of(record)["redirect"]
    assert (result["degradation"], result["degradation_time_s"]) == (None, None)
    assert "slow" not in rounded(series.figures(record).canary["redirect"])


def test_the_strictest_limit_counts_and_the_series_tells_the_slow_ones() -> None:
    record = record_of(during(20, 21, 0.3), lambda _: False, "p95 < 200ms, p99 < 20ms")
    assert figures_of(record)["redirect"]["degradation"]["limit_s"] == 0.2
    slow = series.figures(record).canary["redirect"].slow
    assert slow[20] == 100
    assert sum(slow) == 100


@pytest.mark.parametrize(
    ("expected", "budget"),
    [("p95 < 1s", 0.005), ("error_rate < 2%", 0.02), ("error_rate < 0.2%", 0.005),
     ("error_rate < 60%", 0.05), ("error_rate > 1%", 0.005)],
)  # fmt: skip
def test_the_error_budget_is_the_experiments_within_reason(expected: str, budget: float) -> None:
    assert found(during(0, 0, 0), expected=expected)["error_budget"] == budget


def test_scattered_failures_are_reported_and_make_no_recovery() -> None:
    fails = lambda at_s: np.isin(np.round(at_s * 100) % 500, [7])  # noqa: E731
    result = found(during(0, 0, 0), fails)
    assert (result["outages"], result["recovery_time_s"]) == ([], 0)
    assert result["never_failed"] is False
    assert result["scattered"] == {
        "failed": 12, "error_rate": 0.002, "first_s": 0.07, "last_s": pytest.approx(55.07),
    }  # fmt: skip


def test_failures_of_outages_and_scattered_ones_are_all_there_are() -> None:
    def fails(at_s: np.ndarray[Any, Any]) -> Any:
        total = (at_s >= 22) & (at_s < 25)
        third = (at_s >= 40) & (at_s < 45) & (np.round(at_s * 100) % 3 == 0)
        return total | third | (np.round(at_s * 100) == 5500)

    result = found(during(0, 0, 0), fails)
    assert [outage["kind"] for outage in result["outages"]] == ["total", "partial"]
    assert result["outages"][1]["error_rate"] == pytest.approx(1 / 3, abs=0.01)
    inside = sum(outage["failed"] for outage in result["outages"])
    assert inside + result["scattered"]["failed"] == result["failed_requests"]
    assert result["scattered"]["failed"] == 1
    assert result["recovery_time_s"] == pytest.approx(25, abs=0.1)


def test_the_schema_of_a_result_knows_each_fact_and_an_older_result_has_what_it_requires() -> None:
    schema = result_schema()["properties"]["recovery"]["additionalProperties"]
    now = found(during(30, 33, 0.3), lambda at_s: (at_s >= 21) & (at_s < 30))
    assert now.keys() == schema["properties"].keys()
    outage = schema["properties"]["outages"]["items"]
    assert now["outages"][0].keys() == outage["properties"].keys()
    sample = json.loads(SAMPLE.read_text(encoding="utf-8"))["recovery"]["create"]
    assert sample.keys() >= set(schema["required"])
    assert sample["outages"][0].keys() >= set(outage["required"])


def figures_of(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = plain(recovery.figures(record))
    return found


RATE = 64
"""Of `answers`: their times are exact."""


def answers(*slow: tuple[int, int], failing: tuple[tuple[int, int], ...] = ()) -> pd.DataFrame:
    """2,000 that take as long as the limit; those in `slow` (first, last) 1/64 s longer."""
    at_s = np.arange(2000) / RATE
    took_s = np.full(2000, 0.25)
    ok = np.ones(2000, bool)
    for first, last in slow:
        took_s[first : last + 1] += 1 / 64
    for first, last in failing:
        ok[first : last + 1] = False
    return pd.DataFrame({"intended_s": at_s, "sent_s": at_s, "done_s": at_s + took_s, "ok": ok})


def limits(*which: tuple[str, str, str, float]) -> Any:
    return tuple(
        Expectation("fault", subject, metric, comparison, limit, "s", "text")  # type: ignore[arg-type]
        for subject, metric, comparison, limit in which
    )


def degradation_of(
    samples: pd.DataFrame,
    *which: tuple[str, str, str, float],
    fault_starts_s: tuple[float, ...] = (5.0, 12.5),
) -> dict[str, Any]:
    faults = [{"fault": f"f{n}", "start_s": at_s} for n, at_s in enumerate(fault_starts_s)]
    chosen = limits(*(which or (("read", "p95", "<", 0.25),)))
    record = Record(cast(Any, SimpleNamespace(hypothesis=chosen)), [], samples, samples, faults)
    times = (samples[name].to_numpy() for name in ("sent_s", "done_s", "ok"))
    found = degradation.figures(record, "read", samples, find_outages(*times))
    return cast(dict[str, Any], plain(found)) if found else {}


P95, P99, P50 = ("read", "p95", "<", 0.2), ("read", "p99", "<=", 0.4), ("read", "p50", "<", 0.1)


@pytest.mark.parametrize(
    ("which", "metric", "limit_s", "share"),
    [
        ([P50, P99, P95], "p95", 0.2, 0.05),
        ([P50, P99], "p99", 0.4, 0.01),
        ([P50], "p50", 0.1, 0.5),
        ([("read", "p95", "<=", 0.3), P95, ("read", "p95", "<", 0.25)], "p95", 0.2, 0.05),
        ([("read", "p95", ">", 0.01), ("write", "p95", "<", 0.01), P99], "p99", 0.4, 0.01),
        ([("read", "p95", "==", 0.01), ("read", "max", "<", 1.0), P50], "p50", 0.1, 0.5),
    ],
)
def test_the_limit_that_counts_is_the_strictest_of_the_first_percentile(
    which: list[tuple[str, str, str, float]], metric: str, limit_s: float, share: float
) -> None:
    found = degradation_of(answers(), *which)
    assert (found["metric"], found["limit_s"]) == (metric, limit_s)
    assert found["allowed_share"] == pytest.approx(share)


def test_no_percentile_is_limited_from_above() -> None:
    assert degradation_of(answers(), ("read", "p95", ">", 0.1), ("write", "p95", "<", 0.1)) == {}


def test_every_figure_of_two_stretches_and_what_is_slow_beside_them() -> None:
    """Slow or failed from 6 s to 7 s, and from 15 s to 16.5 s; single ones are no stretch."""
    slow = ((100, 100), (384, 403), (412, 447), (960, 1023), (1028, 1055), (1900, 1900))
    found = degradation_of(answers(*slow, failing=((404, 411),)))
    assert [
        (row["slow"], row["failed"], row["probes"]) for row in found["stretches"]
    ] == [(56, 8, 64), (92, 0, 96)]  # fmt: skip
    assert found["slow"] == 56 + 92 + 2
    first, second = found["stretches"]
    assert (first["start_s"], first["end_s"]) == ((383 + 384) / 128, 7.25)  # its last took 17/64 s
    assert (second["start_s"], second["end_s"]) == ((959 + 960) / 128, 16.75)
    assert (first["uncertainty_s"], second["uncertainty_s"]) == (1 / 128, 1 / 128)
    times_s = {name: row["recovery_time_s"] for name, row in found["by_fault"].items()}
    assert times_s == {"f0": 2.25, "f1": 4.25}
    assert (found["recovery_time_s"], found["fault_start_s"]) == (4.25, 12.5)
    outage_end_s = (411 / 64 + 16 / 64 + 412 / 64 + 17 / 64) / 2
    assert found["after_outage"] == {"slow": 36 + 92, "duration_s": 16.75 - outage_end_s}


def test_how_long_an_answer_takes_counts_from_when_it_was_due() -> None:
    samples = answers()
    samples["intended_s"] -= np.where(np.arange(2000) // 64 == 10, 1 / 64, 0)
    assert degradation_of(samples)["slow"] == 64
    assert len(degradation_of(samples)["stretches"]) == 1


@pytest.mark.parametrize(
    ("slow", "failing", "count", "lasts"),
    [
        pytest.param([], [(640, 703)], 0, True, id="none is slow"),
        pytest.param([(704, 800)], [(640, 703)], 97, True, id="slow at once"),
        pytest.param([(600, 639), (704, 800)], [(640, 703)], 97, True, id="and before it"),
        pytest.param([(300, 363)], [(640, 643)], 0, True, id="a short outage after the stretch"),
        pytest.param([(300, 363)], [(640, 703)], 0, True, id="slow before it alone"),
        pytest.param([(704, 1999)], [(640, 703)], 1296, None, id="never quick again"),
        pytest.param([(704, 800)], [(640, 703), (1000, 1063)], 0, True, id="before the last one"),
        pytest.param([], [(500, 503)], 0, True, id="too short for a stretch"),
        pytest.param([(900, 900)], [(500, 503)], 0, True, id="one is slow, and no stretch"),
        pytest.param([(704, 800), (1500, 1500)], [(640, 703)], 97, True, id="one is slow later"),
        pytest.param([(704, 800)], [(1950, 1999)], None, None, id="an outage without end"),
        pytest.param([(704, 800)], [], None, None, id="no outage"),
    ],
)
def test_slow_answers_after_the_last_outage_are_counted_apart(
    slow: list[tuple[int, int]],
    failing: list[tuple[int, int]],
    count: int | None,
    lasts: bool | None,
) -> None:
    samples = answers(*slow, failing=tuple(failing))
    found, after = degradation_of(samples), None
    if count is not None:
        end_s = find_outages(*(samples[n].to_numpy() for n in ("sent_s", "done_s", "ok")))[-1].end_s
        longer_s = found["stretches"][-1]["end_s"] - end_s if count and lasts else 0.0
        after = {"slow": count, "duration_s": longer_s if lasts else None}
    assert found["after_outage"] == after


def test_nothing_was_asked_so_nothing_is_said_of_its_recovery() -> None:
    found = degradation_of(answers().iloc[:0])
    assert (found["recovered"], found["recovery_time_s"], found["by_fault"]) == (None, None, {})
