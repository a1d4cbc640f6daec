"""The verdict: evidence or INCONCLUSIVE, FAIL over INCONCLUSIVE over PASS, the right code."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import judge as judging
from harness.aspects import METRICS, NAMED, metric_named, subject_kind
from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.bundled.traffic import OPERATIONS as ALL
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load
from harness.model.metric import ANY, OPERATION
from harness.model.verdict import Judgement, Reason, Verdict
from harness.result import junit_xml, make_result, result_schema, summary_markdown

OPERATIONS = {"redirect", "create"}
FIGURES = [
    (f"{aspect}.redis" if aspect in NAMED else aspect, "app-1" if name == ANY else name, kind)
    for aspect, metrics in METRICS.items() if aspect != OPERATION
    for name, kind in metrics.items()
] + [("redirect", name, kind) for name, kind in METRICS[OPERATION].items()]  # fmt: skip
FAULT = {
    "fault": "kill-1", "kind": "kill", "target": "app-2", "phase": "fault", "start_s": 30.0,
    "effect_s": 30.1, "healed_s": 60.0, "proven": True, "healed": True, "detail": "exited",
}  # fmt: skip
RECOVERY = {"recovery_time_s": 21.0, "uncertainty_s": 0.01, "recovered": True,
            "fault_start_s": 40.0}  # fmt: skip
ROTATION = {
    "fault": "kill-1", "server": "app-2", "lb": "lb-1", "backend": "read",
    "leaves_rotation_s": 0.5, "returns_to_rotation_s": None,
}  # fmt: skip
BREAKER = {
    "state_at_fault": "CLOSED", "opened_s": 31.0, "failures_to_open": 5, "reopened": 1,
    "state_at_end": "CLOSED", "flaps": 0,
}  # fmt: skip


def findings(**changes: Any) -> dict[str, Any]:
    times = {"p50": 0.01, "p95": 0.1, "p99": 0.2, "p999": 0.25, "max": 0.3}
    operation = {"requests": 5000, "failed": 0, "error_rate": 0.0, "errors": {}}
    value: dict[str, Any] = {
        "run_id": "r", "status": "completed", "message": "", "faults": [FAULT], "end_s": 90.0,
        "phases": {"fault": {"start_s": 30, "end_s": 90}},
        "load": {"problems": [], "healthy": True},
        "operations": {"redirect": {"fault": {**operation, "response_time_s": times}}},
        "recovery": {
            "redirect": {**RECOVERY, "never_failed": False, "probes": 9000,
                         "scattered": {"failed": 0}, "by_fault": {"kill-1": dict(RECOVERY)},
                         "degradation": {"metric": "p95", "limit_s": 0.2, "by_fault":
                                         {"kill-1": {**RECOVERY, "recovery_time_s": 2.0}}}},
        },
        "writes": {
            "acknowledged": 5000, "unknown": 0, "lost": 0, "phantom": 0, "duplicates": 0,
            "checked": True, "acknowledged_last_second_before_fault": 100, "examples": {},
        },
        "reads": {"answered": 1000, "stale": 2, "stale_for_s": 0.25, "examples": []},
        "clicks": {
            "acknowledged": 9000, "counted": 8990, "dropped": 4, "lost": 6, "in_memory": 40,
            "lost_beyond_memory": 0, "double": 0, "checked": True, "why_not": "",
        },
        "breakers": {"transitions": [], "by_breaker": {"redis": {
            "servers": {"app-1": BREAKER}, "opened_on_all": True, "failures_to_open": 5,
            "opens_within": 0.2, "closes_within": 40.0, "closed_at_end": True, "flaps": 0,
            "reopened_on_all": True, "failures_to_reopen": 1, "probes_per_cooldown": 1,
            "fast_fail_p99": 0.0001, "cooldown": 60.0,
        }}},
        "traffic_share": {"app-1": {"fault": 0.5}, "app-3": {"fault": 0.5}},
        "replica_share": {}, "cache_share": {"redis": {"fault": 0.2}},
        "counters": {"redis": {"worker": {"fault": {
            "min": 1.0, "max": 9.0, "at_end": 2.0, "looks": 60, "silent_s": 1.1, "late_s": 0.9,
        }}}},
        "rotation": [ROTATION],
        "settings": {"durable": True, "problems": {"durable": ["db-1: fsync is off"]},
                     "gaps": {"restarts": "there are no containers"}},
        "target": {"healthy": True, "old_primary_rejoined": None, "details": {}},
    }  # fmt: skip
    for path, change in changes.items():
        *parents, last = path.split("__")
        node = value
        for part in parents:
            node = node[part]
        node[last] = change
    return value


def expectation(subject: str, clause: str) -> Expectation:
    """Under `fault`, or under `run` where it can stand nowhere else."""
    aspect, metric = subject_kind(subject, OPERATIONS), clause.split()[0]
    of_the_run = aspect in NAMED or metric_named(aspect, metric).scope == "run"
    return parse_expectation("run" if of_the_run or aspect == "reads" else "fault",
                             subject, clause, OPERATIONS)  # fmt: skip


def judge(experiment: Experiment, found: dict[str, Any]) -> Verdict:
    return judging.judge(experiment, findings_from_json(found))


def verdict_of(subject: str, clause: str, found: dict[str, Any]):
    experiment = _experiment(expectation(subject, clause))
    return experiment, judge(experiment, found)


def _experiment(item: Expectation) -> Experiment:
    return Experiment(
        name="x",
        title="A claim",
        load=Load(rate_per_s=1, mix={"redirect": 1.0}),
        operations=ALL,
        phases=(Phase(name="fault", start_s=30, end_s=90),),
        faults=(),
        hypothesis=(item,),
    )


@pytest.mark.parametrize(
    ("subject", "clause", "changes", "outcome", "code"),
    [
        ("redirect", "p95 < 200ms", {}, "pass", None),
        ("redirect", "p95 < 50ms", {}, "fail", "response_time_exceeded"),
        ("redirect", "p999 < 200ms", {}, "inconclusive", "too_few_samples"),
        ("redirect", "p999 < 200ms", {"operations__redirect__fault__requests": 9999},
         "inconclusive", "too_few_samples"),
        ("redirect", "p999 < 200ms", {"operations__redirect__fault__requests": 10_000},
         "fail", "response_time_exceeded"),
        ("redirect", "p999 <= 250ms", {"operations__redirect__fault__requests": 10_000},
         "pass", None),
        ("redirect", "error_rate < 0.1%", {}, "pass", None),
        ("redirect", "error_rate < 0.01%", {}, "inconclusive", "too_few_samples"),
        ("redirect", "failed_requests == 0", {"operations__redirect__fault__failed": 1},
         "fail", "requests_failed"),
        ("create", "failed_requests == 0", {}, "inconclusive", "not_measured"),
        ("redirect", "recovery_time <= 30s", {}, "pass", None),
        ("redirect", "recovery_time <= 20s", {}, "fail", "recovery_time_exceeded"),
        ("redirect", "recovery_time <= 21.005s", {}, "inconclusive", "within_uncertainty"),
        ("redirect", "recovery_time <= 20.995s", {}, "inconclusive", "within_uncertainty"),
        ("redirect", "recovery_time <= 21.1s", {}, "pass", None),
        ("redirect", "degradation_time <= 1.995s", {}, "inconclusive", "within_uncertainty"),
        ("redirect", "recovery_time <= 30s",
         {"recovery__redirect__by_fault__kill-1__recovered": False}, "fail", "not_recovered"),
        ("redirect", "degradation_time <= 5s", {}, "pass", None),
        ("redirect", "degradation_time <= 1s", {}, "fail", "degradation_time_exceeded"),
        ("redirect", "degradation_time <= 5s",
         {"recovery__redirect__degradation__by_fault__kill-1__recovered": False},
         "fail", "not_recovered"),
        ("redirect", "degradation_time <= 5s", {"recovery__redirect__degradation": None},
         "inconclusive", "not_measured"),
        ("redirect", "degradation_time <= 5s", {"faults": [{**FAULT, "phase": "baseline"}]},
         "inconclusive", "not_measured"),
        ("breaker.redis", "cooldown >= 59s", {}, "pass", None),
        ("breaker.redis", "cooldown >= 61s", {}, "fail", "breaker_probes"),
        ("breaker.redis", "fast_fail_p99 < 5ms",
         {"breakers__by_breaker__redis__fast_fail_p99": None}, "inconclusive", "not_measured"),
        ("redirect", "p95 < 50ms", {"load__problems": ["sent late"]},
         "inconclusive", "load_unhealthy"),
        ("writes", "lost == 0", {}, "pass", None),
        ("writes", "lost == 0", {"writes__lost": 2}, "fail", "writes_lost"),
        ("writes", "lost == 0", {"writes__checked": False}, "inconclusive", "writes_not_checked"),
        ("writes", "lost == 0", {"writes__acknowledged_last_second_before_fault": 3},
         "inconclusive", "too_few_samples"),
        ("clicks", "lost_beyond_memory == 0", {}, "pass", None),
        ("clicks", "lost == 0", {}, "fail", "clicks_lost"),
        ("clicks", "double == 0", {"clicks__double": 1}, "fail", "clicks_double"),
        ("clicks", "double == 0", {"clicks__checked": False}, "inconclusive", "clicks_not_checked"),
        ("clicks", "double == 0", {"clicks__acknowledged": 0}, "inconclusive", "too_few_samples"),
        ("clicks", "dropped_share <= 1%", {}, "pass", None),
        ("clicks", "dropped_share <= 1%", {"clicks__dropped": 4500}, "fail", "clicks_dropped"),
        ("settings", "durable", {}, "pass", None),
        ("settings", "durable", {"settings__durable": False}, "fail", "not_durable"),
        ("settings", "durable", {"settings__durable": False, "load__problems": ["late"]},
         "fail", "not_durable"),
        ("settings", "restarts", {}, "inconclusive", "not_measured"),
        ("settings", "durable", {"settings": {}}, "inconclusive", "not_measured"),
        ("clicks", "double == 0", {"clicks": {}}, "inconclusive", "clicks_not_checked"),
        ("reads", "stale == 0", {}, "fail", "reads_stale"),
        ("reads", "stale_for <= 300ms", {}, "pass", None),
        ("reads", "stale_for <= 100ms", {}, "fail", "reads_stale"),
        ("reads", "stale == 0", {"reads__stale": 0}, "pass", None),
        ("reads", "stale == 0", {"reads__answered": 99}, "inconclusive", "too_few_samples"),
        ("reads", "stale == 0", {"reads": {}}, "inconclusive", "too_few_samples"),
        ("breaker.redis", "opened_on_all", {}, "pass", None),
        ("breaker.redis", "opened_on_all", {"breakers__by_breaker__redis__opened_on_all": False},
         "fail", "breaker_never_opened"),
        ("breaker.other", "opened_on_all", {}, "inconclusive", "not_measured"),
        ("breaker.redis", "closes_within <= 30s", {}, "fail", "breaker_closed_late"),
        ("breaker.redis", "opened_on_all",
         {"breakers__by_breaker__redis__servers__app-1": {**BREAKER, "state_at_fault": "OPEN"}},
         "inconclusive", "breaker_not_closed_before"),
        ("breaker.redis", "flaps <= 1",
         {"breakers__by_breaker__redis__servers__app-1": {**BREAKER, "state_at_fault": "OPEN"}},
         "pass", None),
        ("traffic_share", "min >= 45%", {}, "pass", None),
        ("traffic_share", "app-2 >= 30%", {}, "fail", "traffic_share_off"),
        ("traffic_share", "min >= 45%", {"share_answers": {"traffic_share": {"fault": 299}}},
         "inconclusive", "too_few_samples"),
        ("traffic_share", "min >= 45%", {"share_answers": {"traffic_share": {"fault": 300}}},
         "pass", None),
        ("breaker.redis", "opened_on_all",
         {"breakers__by_breaker__redis__missing_servers": ["app-3"]},
         "fail", "breaker_not_reported"),
        ("breaker.redis", "opened_on_all",
         {"breakers__contradictions": [{"breaker": "redis", "server": "app-2", "at_s": 40.0,
          "what": "says OPEN, and its link carried data", "evidence": "4,000 bytes"}]},
         "fail", "breaker_contradiction"),
        ("breaker.redis", "flaps == 0", {"breakers__by_breaker__redis__servers__app-2":
         {**BREAKER, "flaps": 1}}, "fail", "breaker_flaps"),
        ("rotation", "leaves_rotation <= 0.6s", {"rotation": [{**ROTATION, "uncertainty_s": 0.25}]},
         "inconclusive", "within_uncertainty"),
        ("rotation", "leaves_rotation <= 0.6s", {"rotation": [
         {**ROTATION, "uncertainty_s": {"leaves_rotation_s": 0.05, "returns_to_rotation_s": 9.0}}]},
         "pass", None),
        ("rotation", "leaves_rotation <= 0.6s", {"rotation": [  # the other may be the worse one
         {**ROTATION, "uncertainty_s": {"leaves_rotation_s": 0.05}},
         {**ROTATION, "leaves_rotation_s": 0.4, "uncertainty_s": {"leaves_rotation_s": 0.3}}]},
         "inconclusive", "within_uncertainty"),
        ("breaker.redis", "opens_within <= 210ms",
         {"breakers__by_breaker__redis__uncertainty_s": {"opens_within": 0.02}},
         "inconclusive", "within_uncertainty"),
        ("breaker.redis", "opens_within <= 190ms",
         {"breakers__by_breaker__redis__uncertainty_s": {"opens_within": 0.02}},
         "inconclusive", "within_uncertainty"),
        ("breaker.redis", "opens_within <= 230ms",
         {"breakers__by_breaker__redis__uncertainty_s": {"opens_within": 0.02, "closes_within": 9}},
         "pass", None),
        ("cache", "redis_share >= 30%", {}, "fail", "cache_share_off"),
        ("replica_share", "max <= 60%", {}, "inconclusive", "not_measured"),
        ("rotation", "leaves_rotation <= 10s", {}, "pass", None),
        ("rotation", "returns_to_rotation <= 30s", {}, "fail", "never_returned_rotation"),
        ("target", "healthy", {}, "pass", None),
        ("target", "healthy", {"target__healthy": False}, "fail", "target_unhealthy"),
        ("target", "old_primary_rejoined", {}, "inconclusive", "not_measured"),
    ],
)  # fmt: skip
def test_each_expectation_is_judged_on_its_evidence(subject, clause, changes, outcome, code):
    _, verdict = verdict_of(subject, clause, findings(**changes))
    assert verdict.outcome == outcome
    if code:
        assert code in {reason.code for reason in verdict.reasons}
    else:
        assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("changes", "outcome", "code"),
    [
        ({"status": "aborted"}, "fail", "safeguard_tripped"),
        ({"status": "interrupted"}, "inconclusive", "run_interrupted"),
        ({"status": "error"}, "inconclusive", "run_interrupted"),
        ({"faults": [{**FAULT, "proven": False}]}, "inconclusive", "fault_not_proven"),
    ],
)
def test_a_run_that_proves_nothing_does_not_pass(changes, outcome, code):
    _, verdict = verdict_of("redirect", "p95 < 200ms", findings(**changes))
    assert verdict.outcome == outcome
    assert code in {reason.code for reason in verdict.reasons}


@pytest.mark.parametrize(
    ("subject", "clause", "changes", "outcome"),
    [
        ("redirect", "failed_requests == 0", {"operations__redirect__fault__failed": 1},
         "inconclusive"),
        ("redirect", "recovery_time <= 20s", {}, "inconclusive"),
        ("target", "healthy", {"target__healthy": False}, "inconclusive"),
        ("writes", "lost == 0", {}, "inconclusive"),
        ("writes", "lost == 0", {"writes__lost": 2}, "fail"),
        ("redirect", "failed_requests == 0", {"operations__redirect__fault__failed": 9,
         "operations__redirect__fault__errors": {"wrong_content": 1, "timeout": 8}}, "fail"),
    ],
)  # fmt: skip
def test_a_fault_that_is_not_proven_fails_nothing_but_invariants(subject, clause, changes, outcome):
    found = findings(faults=[{**FAULT, "proven": False}], **changes)
    _, verdict = verdict_of(subject, clause, found)
    assert [item.outcome for item in verdict.judgements] == [outcome]
    assert verdict.outcome == outcome


HOG = {"start_s": 40.0, "end_s": 55.0, "share": 0.5, "why": "others",
       "who": [{"name": "clang", "share": 0.47}]}  # fmt: skip
TOO_SMALL = {"no_headroom": True, "idle_share": 0.2, "rate_per_s": 600.0,
             "rate_that_fits_per_s": 420.0}  # fmt: skip
BUSY = [({"machine": {"disturbed": [HOG]}}, "machine_disturbed", "clang 47%"),
        ({"machine": {"disturbed": [], "headroom": TOO_SMALL}}, "no_headroom", "--scale 0.70"),
        ({"load__problems": ["sent late"]}, "load_unhealthy", "sent late")]  # fmt: skip


@pytest.mark.parametrize(("busy", "code", "words"), BUSY)
@pytest.mark.parametrize(("subject", "metric", "kind"), FIGURES)
def test_on_a_busy_machine_only_invariants_fail(subject, metric, kind, busy, code, words):
    clause = metric if kind.unit == "flag" else f"{metric} < 0{'%' * (kind.unit == 'share')}"
    item = expectation(subject, clause + "s" * (kind.unit == "s"))
    calm, there = (judge(_experiment(item), found).judgements[0]
                   for found in (findings(), findings(**busy)))  # fmt: skip
    if calm.outcome == "fail" and not kind.is_invariant:
        assert (there.outcome, there.code, there.value) == ("inconclusive", code, calm.value)
        assert words in there.evidence
    elif calm.outcome == "fail" or code != "load_unhealthy":
        assert there == calm
    else:
        assert there.outcome in (calm.outcome, "inconclusive")


@pytest.mark.parametrize(("busy", "code", "_words"), BUSY)
def test_a_busy_machine_excuses_no_wrong_answer(busy, code, _words):
    wrong = {"operations__redirect__fault__failed": 9,
             "operations__redirect__fault__errors": {"wrong_content": 9}}  # fmt: skip
    found = findings(**busy, **wrong)
    assert verdict_of("redirect", "failed_requests == 0", found)[1].outcome == "fail"
    kept = "pass" if "machine" in busy else "inconclusive"
    assert verdict_of("redirect", "failed_requests <= 9", found)[1].outcome == kept


def test_a_limit_that_was_kept_on_a_busy_machine_was_kept():
    found = findings(machine={"disturbed": [HOG], "headroom": TOO_SMALL})
    assert verdict_of("redirect", "p95 < 200ms", found)[1].outcome == "pass"


@pytest.mark.parametrize(("end_s", "outcome"), [(19.0, "fail"), (21.0, "inconclusive")])
def test_a_disturbance_excuses_what_happened_within_ten_seconds(end_s, outcome):
    """The phase begins at 30 s."""
    found = findings(machine={"disturbed": [{**HOG, "start_s": 5.0, "end_s": end_s}]})
    assert verdict_of("redirect", "p95 < 50ms", found)[1].outcome == outcome


GAP = {"stream": "canary", "operation": "", "start_s": 29.5, "end_s": 90.0, "expected": 6000,
       "seen": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "clause", "gap", "outcome"),
    [
        ("redirect", "recovery_time <= 30s", {}, "inconclusive"),
        ("redirect", "recovery_time <= 30s", {"stream": "main"}, "pass"),
        ("redirect", "recovery_time <= 30s", {"operation": "create"}, "pass"),
        ("redirect", "p95 < 200ms", {}, "inconclusive"),
        ("redirect", "p95 < 50ms", {}, "inconclusive"),
        ("redirect", "p95 < 200ms", {"end_s": 30.0}, "pass"),
        ("traffic_share", "min >= 45%", {}, "pass"),
        ("traffic_share", "min >= 45%", {"stream": "main"}, "inconclusive"),
        ("target", "healthy", {}, "pass"),
    ],
)
def test_missing_requests_make_inconclusive_what_is_made_of_them(subject, clause, gap, outcome):
    found = findings(coverage={"gaps": [{**GAP, **gap}]}, end_s=90.0)
    [judged] = verdict_of(subject, clause, found)[1].judgements
    assert judged.outcome == outcome
    assert (judged.code == "evidence_missing") == (outcome == "inconclusive")
    missing = "requests are missing: "
    assert judged.evidence.startswith(missing) == (outcome == "inconclusive")


@pytest.mark.parametrize(
    ("clause", "cold", "outcome"),
    [
        ("error_rate < 0.1%", 0.49, "inconclusive"),
        ("error_rate < 0.1%", 0.5, "pass"),
        ("error_rate < 0.1%", None, "pass"),
        ("recovery_time <= 30s", 0.0, "inconclusive"),
        ("recovery_time <= 20s", 0.0, "fail"),
        ("p95 < 200ms", 0.0, "pass"),
    ],
)
def test_a_canary_that_caches_answer_sees_no_fault(clause, cold, outcome):
    found = findings(recovery__redirect__cold_share=cold)
    [judged] = verdict_of("redirect", clause, found)[1].judgements
    assert judged.outcome == outcome
    assert (judged.code == "canary_not_cold") == (outcome == "inconclusive")


@pytest.mark.parametrize("outcome", ["fail", "inconclusive", "note"])
def test_a_surprise_weighs_what_it_says(outcome):
    row = {"code": "container_died", "at_s": 40.0, "who": "db-3", "text": "db-3 was killed",
           "phase": "fault", "outcome": outcome}  # fmt: skip
    _, verdict = verdict_of("redirect", "p95 < 200ms", findings(surprises=[row]))
    assert verdict.outcome == ("pass" if outcome == "note" else outcome)
    assert [r.code for r in verdict.reasons] == ["container_died"] * (outcome != "note")


def test_unexpected_exits_lead_and_those_that_only_hide_evidence_do_not():
    def row(code, outcome):
        return {"code": code, "at_s": 40.0, "who": "x", "text": code, "phase": "",
                "outcome": outcome}  # fmt: skip

    rows = [row("container_paused", "fail"), row("container_out_of_memory", "inconclusive"),
            row("container_died", "fail")]  # fmt: skip
    found = findings(status="aborted", message="too many errors", surprises=rows)
    reasons = verdict_of("redirect", "p95 < 50ms", found)[1].reasons
    assert [reason.code for reason in reasons] == [
        "container_died", "safeguard_tripped", "container_paused", "container_out_of_memory",
        "response_time_exceeded",
    ]  # fmt: skip


def test_of_two_recoveries_the_less_certain_one_may_be_the_longer_one():
    by_fault = {"kill-1": RECOVERY, "kill-2": {**RECOVERY, "recovery_time_s": 20.9,
                                               "uncertainty_s": 0.5}}  # fmt: skip
    faults = [FAULT, {**FAULT, "fault": "kill-2"}]
    found = findings(faults=faults, recovery__redirect__by_fault=by_fault)
    _, verdict = verdict_of("redirect", "recovery_time <= 21.2s", found)
    assert [r.code for r in verdict.reasons] == ["within_uncertainty"]
    _, verdict = verdict_of("redirect", "recovery_time <= 21.5s", found)
    assert verdict.outcome == "pass"


LEFT_BEHIND = {
    "code": "replica_not_caught_up",
    "at_s": 90.0,
    "who": "db-3",
    "phase": "",
    "text": "db-3 did not catch up with the primary: timeline 1",
    "outcome": "fail",
}


def test_a_node_that_never_caught_up_fails_the_run_and_not_the_writes():
    _, verdict = verdict_of("writes", "lost == 0", findings(surprises=[LEFT_BEHIND]))
    assert (verdict.outcome, verdict.judgements[0].outcome) == ("fail", "pass")
    assert [r.code for r in verdict.reasons] == ["replica_not_caught_up"]


@pytest.mark.parametrize(("busy", "code", "text"), BUSY[:2])
def test_a_busy_machine_excuses_a_node_that_took_too_long_and_no_death(busy, code, text):
    found = findings(surprises=[LEFT_BEHIND], **busy)
    _, verdict = verdict_of("writes", "lost == 0", found)
    assert verdict.outcome == "inconclusive"
    assert text in verdict.reasons[0].text
    died = {**LEFT_BEHIND, "code": "container_died"}
    _, verdict = verdict_of("writes", "lost == 0", findings(surprises=[died], **busy))
    assert verdict.outcome == "fail"


def test_why_the_writes_were_not_checked_is_said():
    why = "no database node reported that it is the primary"
    found = findings(writes__checked=False, writes__why_not=why)
    _, verdict = verdict_of("writes", "lost == 0", found)
    assert verdict.judgements[0].evidence == why


def test_what_ended_before_an_unproven_fault_began_is_judged_all_the_same():
    later = {**FAULT, "proven": False, "start_s": 90.0, "phase": "later"}
    for clause, outcome, of_the_run in (
        ("p95 < 50ms", "fail", "fail"), ("p95 < 200ms", "pass", "inconclusive"),
    ):  # fmt: skip
        _, verdict = verdict_of("redirect", clause, findings(faults=[later]))
        assert [item.outcome for item in verdict.judgements] == [outcome]
        assert verdict.outcome == of_the_run


@pytest.mark.parametrize(("subject", "metric", "kind"), FIGURES)
def test_every_metric_has_a_judge_that_finds_its_figure(subject, metric, kind):
    """A missed limit fails with the metric's own code, or says why there is no figure."""
    clause = metric if kind.unit == "flag" else f"{metric} < 0{'%' * (kind.unit == 'share')}"
    clause += "s" * (kind.unit == "s")
    item = expectation(subject, clause)
    assert item.aspect in METRICS
    [judged] = judge(_experiment(item), findings()).judgements
    if judged.outcome == "fail" and judged.value is not None:
        assert judged.code == kind.code
    else:
        assert judged.outcome != "fail" or judged.value is None
        assert judged.evidence


def test_an_expectation_on_a_phase_is_judged_on_that_phase():
    clean = {**BREAKER, "phases": {"fault": {"flaps": 2, "state_at_end": "OPEN"}}}
    found = findings(**{"breakers__by_breaker__redis__servers__app-1": clean})
    items = [parse_expectation("fault", "breaker.redis", c, OPERATIONS)
             for c in ("flaps == 0", "flaps <= 2", "closed_at_end")]  # fmt: skip
    outcomes = [judge(_experiment(item), found).judgements[0].outcome for item in items]
    assert outcomes == ["fail", "pass", "fail"]


def test_a_rotation_is_judged_on_the_faults_of_its_phase():
    other = {**FAULT, "fault": "kill-2", "phase": "crash"}
    rows = [{**ROTATION, "leaves_rotation_s": 1.0},
            {**ROTATION, "fault": "kill-2", "leaves_rotation_s": 20.0}]  # fmt: skip
    found = findings(faults=[FAULT, other], rotation=rows)
    items = [parse_expectation(phase, "rotation", "leaves_rotation <= 10s", OPERATIONS)
             for phase in ("fault", "run")]  # fmt: skip
    outcomes = [judge(_experiment(item), found).judgements[0].outcome for item in items]
    assert outcomes == ["pass", "fail"]


def test_stale_reads_are_judged_on_their_phase():
    found = findings(reads__phases={"fault": {"answered": 500, "stale": 0, "stale_for_s": 0.0}})
    items = [parse_expectation(phase, "reads", "stale == 0", OPERATIONS)
             for phase in ("fault", "run")]  # fmt: skip
    outcomes = [judge(_experiment(item), found).judgements[0].outcome for item in items]
    assert outcomes == ["pass", "fail"]


def test_a_run_that_was_cut_off_fails_nothing_that_it_did_not_see_to_the_end():
    found = findings(status="interrupted", operations__redirect__fault__failed=900)
    _, verdict = verdict_of("redirect", "failed_requests == 0", found)
    assert [judgement.outcome for judgement in verdict.judgements] == ["inconclusive"]
    assert verdict.outcome == "inconclusive"
    assert [reason.code for reason in verdict.reasons] == ["run_interrupted"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "recovered after 21.000 s (± 10 ms)"),
        ({"never_failed": True}, "never failed in 9,000 probes"),
        ({"scattered": {"failed": 3, "last_s": 70.5}},
         "(± 10 ms); also scattered failures: 3, the last at 70.50 s"),
        ({"by_fault": {"kill-1": {**RECOVERY, "recovery_time_s": 0.0}},
          "scattered": {"failed": 1, "last_s": 31.0}},
         "no outage; also scattered failures: 1, the last at 31.00 s"),
    ],
)  # fmt: skip
def test_failures_that_make_no_outage_stand_beside_the_recovery_time(changes, words):
    found = findings()
    found["recovery"]["redirect"] |= changes
    _, verdict = verdict_of("redirect", "recovery_time <= 30s", found)
    assert words in verdict.judgements[0].evidence


def test_an_unhealthy_generator_never_makes_the_target_fail():
    found = findings(load__problems=["sent late"], operations__redirect__fault__failed=900)
    _, verdict = verdict_of("redirect", "failed_requests == 0", found)
    assert verdict.outcome == "inconclusive"


@given(st.lists(st.sampled_from(["p95 < 200ms", "p95 < 50ms", "error_rate < 0.01%"]), min_size=1))
def test_fail_is_stronger_than_inconclusive_is_stronger_than_pass(clauses):
    experiment, _ = verdict_of("redirect", "p95 < 1s", findings())
    hypothesis = tuple(parse_expectation("fault", "redirect", c, OPERATIONS) for c in clauses)
    verdict = judge(experiment.model_copy(update={"hypothesis": hypothesis}), findings())
    outcomes = [item.outcome for item in verdict.judgements]
    strongest = next(o for o in ("fail", "inconclusive", "pass") if o in outcomes)
    assert verdict.outcome == strongest
    assert len(outcomes) == len(clauses)


def test_result_junit_and_summary_agree():
    experiment, verdict = verdict_of("redirect", "p95 < 50ms", findings())
    result = make_result(experiment, findings(), verdict)
    assert set(result_schema()["required"]) <= result.keys()
    json.dumps(result, allow_nan=False)
    suite = ET.fromstring(junit_xml(result))
    assert suite.get("failures") == "1"
    assert suite.find("testcase/failure").get("type") == "response_time_exceeded"
    assert "FAIL" in summary_markdown(result)


def test_a_description_is_in_the_result_and_the_summary_if_the_file_has_one():
    experiment, verdict = verdict_of("redirect", "p95 < 50ms", findings())
    assert "description" not in make_result(experiment, findings(), verdict)
    described = experiment.model_copy(update={"description": "It is | more."})
    result = make_result(described, findings(), verdict)
    assert result["description"] == "It is | more."
    assert result_schema()["properties"]["description"] == {"type": "string"}
    assert "description" not in result_schema()["required"]
    summary = summary_markdown(result)
    assert summary.index("It is \\| more.") < summary.index("| expected |")


SURPRISE = {
    "code": "container_died", "at_s": 41.25, "who": "app-1", "phase": "fault", "outcome": "fail",
    "text": "app-1 died with exit code 137 and did not run again",
}  # fmt: skip


def test_surprises_are_in_the_result_and_on_top_of_the_summary():
    found = findings(surprises=[SURPRISE] * 10)
    experiment, verdict = verdict_of("redirect", "p95 < 200ms", found)
    result = make_result(experiment, found, verdict)
    assert result["surprises"] == [SURPRISE] * 10
    row = result_schema()["properties"]["surprises"]["items"]
    assert set(row["required"]) == SURPRISE.keys()
    assert SURPRISE["code"] in row["properties"]["code"]["enum"]
    summary = summary_markdown(result)
    line = "- 41.2 s: app-1 died with exit code 137 and did not run again (`container_died`)"
    assert summary.count(line) == 8
    assert "- 2 more in result.json" in summary
    assert summary.index(line) < summary.index("| expected |")
    old = make_result(experiment, findings(), verdict)
    assert old["surprises"] == []
    assert "Not explained by a fault" not in summary_markdown(old)


def test_text_from_the_target_cannot_break_junit_or_markdown():
    experiment, verdict = verdict_of("redirect", "p95 < 50ms", findings())
    result = make_result(experiment, findings(), verdict)
    result["judgements"][0]["evidence"] = "<script>|\x00\ud800]]>"
    ET.fromstring(junit_xml(result))
    assert "<script>" not in summary_markdown(result)


SHARES = {"app-1": {"fault": 0.47, "late": 0.3}, "app-2": {"fault": 0.01, "late": 0.3},
          "app-3": {"fault": 0.52, "late": 0.4}}  # fmt: skip


@pytest.mark.parametrize(
    ("clause", "broken", "value", "outcome"),
    [
        ("victim <= 2%", "app-2", 0.01, "pass"),
        ("victim <= 2%", "app-3", 0.52, "fail"),
        ("others >= 45%", "app-2", 0.47, "pass"),
        ("others <= 50%", "app-2", 0.52, "fail"),
        ("others >= 45%", "app-1", 0.01, "fail"),
        ("victim <= 2%", "app-9", 0.0, "pass"),  # a server that answered nothing at all
        ("victim <= 2%", None, None, "inconclusive"),
    ],
)
def test_a_share_is_that_of_the_victim_or_of_the_worst_of_the_others(
    clause: str, broken: str | None, value: float | None, outcome: str
) -> None:
    fault = {**FAULT, "service": broken}
    found = findings(traffic_share=SHARES, faults=[fault])
    judgement = verdict_of("traffic_share", clause, found)[1].judgements[0]
    assert (judgement.value, judgement.outcome) == (value, outcome)


def test_of_two_faults_the_victim_is_that_of_the_phase() -> None:
    first = {**FAULT, "service": "app-2"}
    later = {**FAULT, "fault": "kill-2", "service": "app-1", "start_s": 95.0, "healed_s": 99.0}
    found = findings(traffic_share=SHARES, faults=[first, later])
    assert verdict_of("traffic_share", "victim <= 2%", found)[1].outcome == "pass"


@pytest.mark.parametrize(
    ("subject", "clause", "changes"),
    [
        ("writes", "lost == 0", {"writes__lost": 2}),
        ("writes", "phantom == 0", {"writes__phantom": 1}),
        ("clicks", "double == 0", {"clicks__double": 7}),
        ("redirect", "error_rate < 0.1%", {"operations__redirect__fault__error_rate": 0.5}),
        ("redirect", "recovery_time <= 1s", {}),
    ],
)
def test_with_a_lost_worker_nothing_fails_and_nothing_passes(subject, clause, changes) -> None:
    """What it sent last was recorded by nobody, so not even an invariant can be held against it."""
    assert verdict_of(subject, clause, findings(**changes))[1].outcome == "fail"
    _, verdict = verdict_of(subject, clause, findings(**changes, load__lost=GONE))
    (judgement,) = verdict.judgements
    assert (judgement.outcome, judgement.code) == ("inconclusive", "worker_lost")
    assert verdict.outcome == "inconclusive"


def test_a_safeguard_that_tripped_when_a_worker_was_lost_is_not_held_against_the_target() -> None:
    """What it counted was a part of the load; what the engine saw is evidence all the same."""
    found = {"status": "aborted", "load__lost": GONE}
    _, verdict = verdict_of("redirect", "p95 < 200ms", findings(**found))
    assert verdict.outcome == "inconclusive"
    codes = [reason.code for reason in verdict.reasons]
    assert codes == ["safeguard_tripped", "worker_lost"]
    died = {**LEFT_BEHIND, "code": "container_died"}
    _, verdict = verdict_of("redirect", "p95 < 200ms", findings(**found, surprises=[died]))
    assert verdict.outcome == "fail"


NEVER_INJECTED = {**FAULT, "start_s": None, "effect_s": None, "healed_s": None, "proven": False,
                  "healed": False, "detail": "never injected"}  # fmt: skip
NOT_PROVEN = "kill app-2 is not proven: never injected"
LATE = "sent late"
GONE = "worker 2 of 4 (far): silent; its share of the load is missing from 12.3 s on"


@pytest.mark.parametrize(
    ("clause", "changes", "judged", "reasons"),
    [
        ("p95 < 200ms", {}, ("pass", 0.1, "100 ms over 5,000 requests", ""), []),
        ("p95 < 50ms", {}, ("fail", 0.1, "100 ms over 5,000 requests", "response_time_exceeded"),
         [("response_time_exceeded", "fault.redirect: p95 < 50ms, but 100 ms over 5,000 requests")],
        ),
        ("p95 < 50ms", {"load__problems": [LATE, "too few sent"]},
         ("inconclusive", 0.1, "the load generator was not healthy: sent late", "load_unhealthy"),
         [("load_unhealthy", LATE), ("load_unhealthy", "too few sent")]),
        ("p95 < 50ms", {"load__lost": GONE, "load__problems": [LATE]},
         ("inconclusive", 0.1, GONE, "worker_lost"),
         [("worker_lost", GONE), ("load_unhealthy", LATE)]),
        ("p95 < 200ms", {"load__lost": GONE},
         ("inconclusive", 0.1, GONE, "worker_lost"), [("worker_lost", GONE)]),
        ("p95 < 50ms", {"faults": [FAULT, NEVER_INJECTED]},
         ("inconclusive", 0.1, NOT_PROVEN, "fault_not_proven"),
         [("fault_not_proven", NOT_PROVEN)]),
        ("p95 < 50ms", {"status": "interrupted", "message": "SIGTERM"},
         ("inconclusive", 0.1, "the run did not finish", "run_interrupted"),
         [("run_interrupted", "the run ended as interrupted: SIGTERM")]),
        ("p95 < 50ms", {"status": "error", "message": "no Docker"},
         ("inconclusive", 0.1, "the run did not finish", "run_interrupted"),
         [("run_interrupted", "the run ended as error: no Docker")]),
        ("p95 < 200ms", {"status": "aborted", "message": "half of all failed"},
         ("pass", 0.1, "100 ms over 5,000 requests", ""),
         [("safeguard_tripped", "a safeguard aborted the run: half of all failed")]),
        ("p95 < 50ms", {"operations__redirect__fault__response_time_s": {}},
         ("inconclusive", None, "nothing was measured", "not_measured"),
         [("not_measured", "fault.redirect: p95 < 50ms, but nothing was measured")]),
        ("p95 < 50ms", {"load": None},
         ("fail", 0.1, "100 ms over 5,000 requests", "response_time_exceeded"),
         [("response_time_exceeded", "fault.redirect: p95 < 50ms, but 100 ms over 5,000 requests")],
        ),
        ("recovery_time <= 20.995s", {},
         ("inconclusive", 21.0, "recovered after 21.000 s (± 10 ms): the limit is within the"
          " uncertainty", "within_uncertainty"),
         [("within_uncertainty", "fault.redirect: recovery_time <= 20.995s, but recovered after"
           " 21.000 s (± 10 ms): the limit is within the uncertainty")]),
        ("recovery_time <= 20s", {"recovery__redirect__by_fault__kill-1": {"recovered": False}},
         ("fail", None, "not recovered by the end of the run",
          "not_recovered"),
         [("not_recovered", "fault.redirect: recovery_time <= 20s, but not recovered by the end"
           " of the run")]),
    ],
)  # fmt: skip
def test_a_judgement_and_the_reasons_of_the_run_in_full(clause, changes, judged, reasons):
    item = expectation("redirect", clause)
    verdict = judge(_experiment(item), findings(**changes))
    outcome, value, evidence, code = judged
    assert verdict.judgements == (
        Judgement(item.id, clause, outcome, value, item.limit, "s", evidence, code),
    )
    assert verdict.reasons == tuple(Reason(*reason) for reason in reasons)


def test_an_experiment_that_expects_nothing_proves_nothing():
    nothing = _experiment(expectation("redirect", "p95 < 1s")).model_copy(update={"hypothesis": ()})
    reason = Reason("not_measured", "the experiment has no expectations")
    assert judge(nothing, findings()) == Verdict("inconclusive", (reason,), ())
    failed = judge(nothing, findings(status="aborted", message="x"))
    assert failed.outcome == "fail"
    assert [one.code for one in failed.reasons] == ["safeguard_tripped", "not_measured"]


@pytest.mark.parametrize("changes", [
    {"status": "interrupted"}, {"status": "error"}, {"faults": [NEVER_INJECTED]},
    {"load__problems": [LATE]},
])  # fmt: skip
def test_what_says_against_the_whole_run_outweighs_a_pass(changes):
    """Also one of the target's own state, which rests on no load."""
    assert verdict_of("target", "healthy", findings(**changes))[1].outcome == "inconclusive"


def test_each_reason_stands_once_failures_first_and_the_runs_own_on_top():
    clauses = ["p95 < 200ms", "p999 < 1s", "p95 < 50ms", "failed_requests == 0", "p95 < 50ms"]
    hypothesis = tuple(parse_expectation("fault", "redirect", c, OPERATIONS) for c in clauses)
    experiment = _experiment(hypothesis[0]).model_copy(update={"hypothesis": hypothesis})
    row = {"code": "probe_gap", "at_s": 1.0, "who": "x", "text": "x stood still", "phase": "",
           "outcome": "inconclusive"}  # fmt: skip
    wrong = {"operations__redirect__fault__failed": 2,
             "operations__redirect__fault__errors": {"timeout": 2}}  # fmt: skip
    verdict = judge(experiment, findings(surprises=[row], **wrong))
    assert [(one.code, one.text) for one in verdict.reasons] == [
        ("probe_gap", "x stood still"),
        ("response_time_exceeded", "fault.redirect: p95 < 50ms, but 100 ms over 5,000 requests"
         " (2 timeout)"),
        ("requests_failed", "fault.redirect: failed_requests == 0, but 2 over 5,000 requests"
         " (2 timeout)"),
        ("too_few_samples", "fault.redirect: p999 < 1s, but not enough samples: 5,000"
         " requests, 10,000 needed"),
    ]  # fmt: skip
    assert [one.outcome for one in verdict.judgements] == [
        "pass", "inconclusive", "fail", "fail", "fail",
    ]  # fmt: skip


def test_a_disturbance_just_before_the_run_excuses_a_late_node_too():
    """The ten seconds after it belong to it; the code stays that of the node."""
    early = {"disturbed": [{**HOG, "start_s": -20.0, "end_s": -9.5}]}
    found = findings(surprises=[LEFT_BEHIND], machine=early)
    verdict = verdict_of("writes", "lost == 0", found)[1]
    assert verdict.outcome == "inconclusive"
    assert verdict.reasons[0].code == LEFT_BEHIND["code"]
    assert verdict.reasons[0].text.startswith(f"{LEFT_BEHIND['text']}; other programs used 50%")


def test_what_excuses_a_missed_limit_is_said_after_what_was_found():
    hog = {"disturbed": [{**HOG, "end_s": 105.0}]}
    never = {"recovery__redirect__by_fault__kill-1": {"recovered": False}}
    for clause, changes, words in (
        ("p95 < 50ms", {}, "100 ms over 5,000 requests; other programs used 50%"),
        ("recovery_time <= 20s", never,
         "not recovered by the end of the run; other programs used 50%"),
    ):  # fmt: skip
        [judged] = verdict_of("redirect", clause, findings(machine=hog, **changes))[1].judgements
        assert judged.evidence.startswith(words)


@pytest.mark.parametrize(
    ("clause", "recovered", "hog_s", "outcome"),
    [
        ("p95 < 50ms", True, (95.0, 99.0), "fail"),
        ("recovery_time <= 20s", True, (95.0, 99.0), "fail"),
        ("recovery_time <= 20s", True, (40.0, 45.0), "inconclusive"),
        ("recovery_time <= 20s", False, (75.0, 80.0), "inconclusive"),
        ("recovery_time <= 20s", False, (40.0, 55.0), "fail"),
    ],
)
def test_a_disturbance_excuses_a_recovery_only_where_it_can_have_made_it_late(
    clause, recovered, hog_s, outcome
):
    """The fault is of 40 s, what recovers does after 21 s, and the run ends at 90 s."""
    hog = {**HOG, "start_s": hog_s[0], "end_s": hog_s[1]}
    late = RECOVERY if recovered else {"recovered": False, "fault_start_s": 40.0}
    machine = {"disturbed": [hog]}
    found = findings(machine=machine, **{"recovery__redirect__by_fault__kill-1": late})
    [judged] = verdict_of("redirect", clause, found)[1].judgements
    assert judged.outcome == outcome


@pytest.mark.parametrize(
    ("at_s", "until_s", "outcome"),
    [(66.0, 70.0, "fail"), (64.0, 70.0, "inconclusive"), (30.0, 39.0, "fail"),
     (30.0, 41.0, "inconclusive"), (30.0, None, "inconclusive"), (66.0, None, "fail")],
)  # fmt: skip
def test_a_disturbance_excuses_no_word_that_is_contradicted_at_another_time(at_s, until_s, outcome):
    """It lasts from 40 to 55 s, and 10 s more belong to it."""
    lie = {"breaker": "redis", "server": "app-2", "at_s": at_s, "until_s": until_s,
           "what": "says OPEN", "evidence": "229 answers"}  # fmt: skip
    found = findings(breakers__contradictions=[lie], machine={"disturbed": [HOG]})
    [judged] = verdict_of("breaker.redis", "opened_on_all", found)[1].judgements
    assert judged.outcome == outcome


def test_what_rests_on_no_requests_misses_none():
    gap = {**GAP, "stream": "main"}
    [judged] = verdict_of("rotation", "leaves_rotation <= 1s", findings(coverage={"gaps": [gap]}))[
        1
    ].judgements
    assert judged.outcome == "pass"


WHY = "not steady before the fault: baseline.redirect: p95 < 200ms, but 3 s"
BUSY = {"start_s": 35.0, "end_s": 60.0, "share": 0.6, "why": "others", "who": []}


@pytest.mark.parametrize(
    ("machine", "code", "text"),
    [
        ({}, "not_steady", WHY),
        ({"disturbed": [BUSY]}, "machine_disturbed", WHY),
        ({"disturbed": [{**BUSY, "start_s": 2.0, "end_s": 5.0}]}, "not_steady", WHY),
        ({"headroom": {"no_headroom": True, "idle_share": 0.0}}, "no_headroom", WHY),
    ],
)
def test_a_run_that_ended_before_its_fault_says_why_first_and_proves_nothing(
    machine: dict[str, Any], code: str, text: str
) -> None:
    phases = {"warmup": {"start_s": 0, "end_s": 30}, "baseline": {"start_s": 30, "end_s": 90}}
    fault = {**FAULT, "proven": False, "start_s": None, "detail": "never injected"}
    found = findings(status="not_steady", message=WHY, phases=phases, machine=machine,
                     faults=[fault], operations={})  # fmt: skip
    _, verdict = verdict_of("redirect", "p95 < 200ms", found)
    assert verdict.outcome == "inconclusive"
    assert [reason.code for reason in verdict.reasons] == [code]
    assert verdict.reasons[0].text.startswith(text)
    (judgement,) = verdict.judgements
    assert (judgement.code, judgement.evidence) == ("not_steady", "the run ended before the fault")


def test_what_must_never_happen_fails_a_run_that_was_not_steady_too() -> None:
    lost = findings(status="not_steady", message=WHY, writes__lost=3)
    experiment, verdict = verdict_of("writes", "lost == 0", lost)
    assert verdict.outcome == "fail"
    assert [reason.code for reason in verdict.reasons] == ["not_steady", "writes_lost"]
    result = make_result(experiment, lost, verdict)
    end = ET.fromstring(junit_xml(result).partition("\n")[2]).findall("testcase")[0]
    error = end.find("error")
    assert error is not None
    assert (error.get("type"), error.get("message")) == ("not_steady", WHY)


REMEDY = {
    "remedy": "runbook-2", "kind": "runbook", "target": "backup", "state": "failed",
    "detail": "backup: the command exited with 3",
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "status", "is_proven", "outcome", "says"),
    [
        ("done", "completed", True, "pass", ""),
        ("failed", "completed", True, "fail", "failed: backup"),
        ("skipped", "completed", True, "fail", "was not done (skipped): backup"),
        ("not begun", "completed", True, "fail", "was not done (not begun)"),
        ("failed", "completed", False, "inconclusive", "failed: backup"),
        ("failed", "interrupted", True, "inconclusive", "failed: backup"),
        ("skipped", "interrupted", True, "inconclusive", ""),
        ("skipped", "not_steady", True, "inconclusive", ""),
    ],
)
def test_a_procedure_that_was_not_done_is_no_pass(
    state: str, status: str, is_proven: bool, outcome: str, says: str
) -> None:
    remedies, faults = [{**REMEDY, "state": state}], [{**FAULT, "proven": is_proven}]
    found = findings(remedies=remedies, status=status, faults=faults)
    _, verdict = verdict_of("redirect", "p95 < 200ms", found)
    texts = [reason.text for reason in verdict.reasons if reason.code == "remedy_failed"]
    assert verdict.outcome == outcome
    if not says:
        assert texts == []
        return
    [text] = texts
    assert text.startswith(f"remedy runbook-2 (runbook backup) {says}")
