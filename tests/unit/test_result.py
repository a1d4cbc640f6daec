"""result.json: every figure that a judgement rests on is in it, where the schema says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from json_schema import at, problems

from harness.aspects import ASPECTS, METRICS, subject_kind
from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.operations import PERCENTILES
from harness.bundled.traffic import OPERATIONS
from harness.judge import judge
from harness.model.check import MOMENTS
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load
from harness.result import make_result, result_schema

SAMPLE = Path(__file__).parents[2] / "reports" / "sample" / "result.json"
Step = str | int


def _fault(number: int) -> dict[str, Any]:
    return {
        "fault": f"kill-{number}", "kind": "kill", "target": f"app-{number}", "phase": "fault",
        "start_s": 30.0 + number, "effect_s": 30.1, "healed_s": 60.0, "proven": True,
        "healed": True, "detail": "exited",
    }  # fmt: skip


def _recovery(time_s: float) -> dict[str, Any]:
    return {"recovery_time_s": time_s, "uncertainty_s": 0.01, "recovered": True}


LOOKS = {"holds": True, "looks": 9, "held": 9, "unseen": 0, "missed_s": None, "missed": "",
         "last_s": 60.0, "last": "0"}  # fmt: skip


def _server(flaps: int) -> dict[str, Any]:
    return {
        "state_at_fault": "CLOSED", "opened_s": 31.0, "opened_after_fault_s": 1.0,
        "failures_to_open": 5, "reopened": 1, "state_at_end": "CLOSED", "flaps": flaps + 10,
        "fast_fails": 2000, "phases": {"fault": {"flaps": flaps, "state_at_end": "CLOSED"}},
    }  # fmt: skip


def _rotation(server: str, leaves_s: float, returns_s: float) -> dict[str, Any]:
    return {
        "fault": "kill-1", "server": server, "lb": "lb-1", "backend": "read", "left_s": 31.0,
        "leaves_rotation_s": leaves_s, "alive_s": 60.0, "returned_s": 61.0,
        "returns_to_rotation_s": returns_s, "uncertainty_s": 0.01,
    }  # fmt: skip


def _operation(first: int) -> dict[str, Any]:
    times = {"p50": first / 1e4, "p90": first / 2e3, "p95": first / 1e3, "p99": first / 1e2,
             "p999": 0.9, "max": 1.0}  # fmt: skip
    return {
        "requests": 15_000 + first, "failed": first, "error_rate": first / 7777,
        "success_rate": 1 - first / 7777,
        "errors": {"timeout": first}, "response_time_s": times, "service_time_s": times,
    }  # fmt: skip


def _shares(*names: str) -> dict[str, Any]:
    return {name: {"fault": 0.1 + n / 8, "run": 0.2 + n / 9} for n, name in enumerate(names)}


def _alert(number: int) -> dict[str, Any]:
    return {
        "fires_within_s": 3.5 + number, "pages_within_s": 4.5 + number,
        "resolves_within_s": 6.5 + number, "flaps": 800 + number, "has_fired": True,
        "healed_s": 60.0, "uncertainty_s": {"fires_within_s": 0.5},
    }  # fmt: skip


def findings() -> dict[str, Any]:
    """Two and more of each thing, and no two figures alike."""
    recovery = {
        **_recovery(21.0), "never_failed": False, "probes": 9000, "failed_requests": 77,
        "fault_start_s": 31.0, "outages": [], "degradation_time_s": 4.0, "parts": {},
        "stream": "canary", "scattered": {"failed": 3, "last_s": 44.0},
        "by_fault": {"kill-1": _recovery(20.0), "kill-2": _recovery(21.0)},
        "degradation": {"metric": "p95", "limit_s": 0.2, "slow": 8, "by_fault": {
            "kill-1": _recovery(3.0), "kill-2": _recovery(4.0)}},
    }  # fmt: skip
    breaker: dict[str, Any] = {
        name: index + (0.5 if metric.unit == "s" else 0)
        for index, (name, metric) in enumerate(METRICS["breaker"].items(), 100)
    }
    breaker |= dict.fromkeys(("opened_on_all", "reopened_on_all", "closed_at_end"), True)
    reads = {"answered": 1000, "stale": 2, "stale_for_s": 0.25}
    return {
        "schema_version": 1, "run_id": "r", "status": "completed", "message": "said at the end",
        "started_at": "2027-01-01T10:00:00+00:00", "lasted_s": 99.5, "end_s": 100.0,
        "phases": {"fault": {"start_s": 30, "end_s": 90}},
        "faults": [_fault(1), _fault(2)],
        "load": {"problems": [], "healthy": True, "intended": 9, "sent": 9, "dropped": 0},
        "dns": {
            "places": {place: {"share": share, "answers": n, "failed": n - 1,
                               "stays": [{"at_s": float(n), "region": place}]}
                       for n, (place, share) in enumerate((("us", 0.7), ("eu", 0.3)), 31)},
            "around": {"fault": {
                "effect_s": 31.0, "healing_s": 61.0,
                "switches_within_s": 6.5, "returns_within_s": 7.5, "places": {
                    place: {"was": place, "to": "ap", "switched_s": 37.0 + n / 2,
                            "returned_s": 68.0 + n / 2, "is_silent": False,
                            "is_silent_after": False}
                    for n, place in enumerate(("us", "eu"))}}},
        },
        "regions": {
            "servers": {"app-1": "us", "app-2": "eu"},
            "phases": {"fault": {"share": {"us": 0.75, "eu": 0.25},
                                 "by_region": {"us": 900, "eu": 300}, "unplaced": {"x": 2}}},
        },
        "lag": {"eu-db": {
            "phases": {"fault": {"lag_s": 4.5, "uncertainty_s": 0.25, "at_s": 44.0, "looks": 40,
                                 "unseen_s": 0.5}},
            "caught": {"fault": {"healed_s": 60.0, "after_s": 1.5, "uncertainty_s": 0.25,
                                 "watched_s": 20.0}},
        }},
        "operations": {name: {"fault": _operation(n), "run": _operation(n + 3)}
                       for n, name in enumerate(("redirect", "create"), 11)},
        "recovery": {"redirect": recovery, "create": recovery},
        "writes": {
            "acknowledged": 4001, "unknown": 42, "lost": 43, "phantom": 44, "duplicates": 45,
            "checked": True, "acknowledged_last_second_before_fault": 100, "nodes": {},
            "examples": {"lost": ["m1", "m2"]},
        },
        "restore": {
            "faults": ["wipe-1"], "effect_s": 31.0, "commit_s": 0.0, "began_s": 32.0,
            "restored_s": 50.0, "restored_by": "outage", "recovery_point_s": 3.25,
            "uncertainty_s": 0.125, "is_beyond": False, "writes_lost": 46, "lost_after": 2,
            "writes_discarded": 47, "in_commit": 3, "holes": 1, "put_back": 0,
            "data_intact": False, "wrong_answers": 0, "recovered": True, "recovery_time_s": 19.5,
            "recovery_uncertainty_s": 0.25, "parts": {"restoring": 18.0},
            "examples": {"lost": ["m1"], "holes": ["m1"]},
        },
        "reads": {**reads, "phases": {"fault": {"answered": 500, "stale": 1, "stale_for_s": 0.125}},
                  "examples": ["one"]},
        "clicks": {**{name: 600 + n for n, name in enumerate(METRICS["clicks"])}, "in_memory": 40,
                   "dropped_share": 0.375,
                   "checked": True, "why_not": "", "examples": {}},
        "breakers": {"transitions": [], "by_breaker": {"redis": {
            **breaker, "servers": {"app-1": _server(1), "app-2": _server(2)}}}},
        "traffic_share": _shares("app-1", "app-2", "app-3"),
        "replica_share": _shares("db-1", "db-2"),
        "cache_share": _shares("edge", "local", "redis", "db"),
        "share_answers": {name: {"fault": 5000, "run": 9000}
                          for name in ("traffic_share", "replica_share", "cache_share")},
        "db_reached": _shares("redirect", "create"),
        "alerts": {
            "rules": [{"alert": "Errors", "severity": "warning", "query": "x > 1", "for_s": 2.0}],
            "alerts": [{"alert": "Errors", "labels": {"part": "app-1"}, "pending_s": 33.0,
                        "firing_s": 34.5, "uncertainty_s": {"firing_s": 0.5}}],
            "pages": [{"at_s": 35.5, "alert": "Errors", "labels": {"part": "app-1"}}],
            "unseen": [{"who": "pager", "start_s": None, "end_s": -1.0, "why": "not yet"}],
            "watched_s": {"prometheus": 101.0, "pager": 102.0}, "expected": ["Errors"],
            "by_alert": {"Errors": {"silent_before": False, "why": "it fired", "by_fault": {
                "kill-1": _alert(1), "kill-2": _alert(2)}}},
            "unexpected": {"fault": {"count": 3, "names": ["Cpu"]}},
            "blind_spots": {"by_phase": {"fault": 2}, "why": "", "spots": [
                {"who": "monitoring", "start_s": 30.0, "end_s": 40.0, "errors": 7.0}]},
            "problems": [],
            "detections": [{
                "fault": "kill-1", "alert": "Errors", "start_s": 31.0, "detected_s": 4.5,
                "marks": [{"part": "firing_s", "at_s": 34.5, "uncertainty_s": 0.5,
                           "evidence": "Prometheus"}],
                "parts": {"firing_s": 3.5},
            }],
        },
        "counters": {"depth": {"worker": {"fault": {
            "min": 701.0, "max": 703.0, "at_end": 702.0, "looks": 60, "silent_s": 1.5,
            "late_s": 0.5,
        }}}},
        "rotation": [_rotation("app-1", 0.5, 1.5), _rotation("app-2", 0.75, 1.25)],
        "checks": {"drained": {
            "kind": "redis", "expect": ["count <= 0"], "before": LOOKS,
            "during": LOOKS, "after": LOOKS, "held_after_s": 2.5,
            "uncertainty_s": 0.5, "watched_s": 30.0}},
        "restarts": {"unexpected": 2, "by_container": {"app-1": 2}, "exits": []},
        "target": {**dict.fromkeys(METRICS["target"], True), "healthy_before": True,
                   "details": {"problems": []}},
        "settings": {**dict.fromkeys(METRICS["settings"], True),
                     "problems": {name: [] for name in METRICS["settings"]},
                     "gaps": dict.fromkeys(METRICS["settings"], "")},
        "safeguards": [{"t_s": 50.0, "event": "safeguard.tripped", "operation": "redirect"}],
        "clocks": {
            "containers": {"app-1": {"offset_s": 0.0, "uncertainty_s": 0.1, "is_shared": True}},
            "wall": {"pairs": 99, "uncertainty_s": 0.001},
        },
        "notes": ["a gap"],
        "surprises": [
            {"code": "container_died", "at_s": 40.0, "who": "app-3", "text": "it died",
             "phase": "fault", "outcome": "fail"},
            {"code": "failover", "at_s": 41.0, "who": "db-2", "text": "new primary",
             "phase": "fault", "outcome": "note"},
        ],
        "coverage": {
            "planned": {"main": True, "canary": True},
            "gaps": [{"stream": "canary", "operation": "create", "start_s": 1.0, "end_s": 2.0,
                      "expected": 100.5, "seen": 3}],
        },
        "machine": {
            "cpus": 2.0, "speed": None, "steal_share": 0.0, "others_share": 0.01,
            "pressure_share": None,
            "disturbed": [{"start_s": 1.0, "end_s": 4.0, "share": 0.4, "steal_share": 0.1,
                           "why": "others", "who": [{"name": "cc1", "share": 0.3}]}],
            "headroom": {"start_s": 20.0, "end_s": 30.0, "idle_share": 0.5, "no_headroom": False,
                         "shares": {"idle": 0.5}, "rate_per_s": 500.0, "idle_cost_share": 0.1,
                         "rate_that_fits_per_s": 800.0},
            "series": {"t_s": [1.0]},
        },
        "series": {"t_s": [1.0]},
    }  # fmt: skip


RECOVERED = ("recovery", "redirect", "by_fault", "kill-2", "recovery_time_s")
REGAINED = ("recovery", "redirect", "degradation", "by_fault", "kill-2", "recovery_time_s")
OPERATION = ("operations", "redirect", "fault")
SERVER = ("breakers", "by_breaker", "redis", "servers", "app-2", "phases", "fault")
PLACES: dict[tuple[str, str], tuple[Step, ...]] = {
    **{("redirect", p): (*OPERATION, "response_time_s", p) for p in PERCENTILES},
    ("redirect", "max"): (*OPERATION, "response_time_s", "max"),
    ("redirect", "error_rate"): (*OPERATION, "error_rate"),
    ("redirect", "success_rate"): (*OPERATION, "success_rate"),
    ("redirect", "failed_requests"): (*OPERATION, "failed"),
    ("redirect", "requests"): (*OPERATION, "requests"),
    ("redirect", "recovery_time"): RECOVERED,
    ("redirect", "degradation_time"): REGAINED,
    **{
        ("cache", f"{tier}_share"): ("cache_share", tier, "fault")
        for tier in ("edge", "local", "redis", "db")
    },
    ("traffic_share", "app-2"): ("traffic_share", "app-2", "fault"),
    ("traffic_share", "min"): ("traffic_share", "app-1", "fault"),
    ("traffic_share", "max"): ("traffic_share", "app-3", "fault"),
    ("replica_share", "db-1"): ("replica_share", "db-1", "fault"),
    ("replica_share", "max"): ("replica_share", "db-2", "fault"),
    ("rotation", "leaves_rotation"): ("rotation", 1, "leaves_rotation_s"),
    ("rotation", "returns_to_rotation"): ("rotation", 0, "returns_to_rotation_s"),
    **{
        ("breaker.redis", name): ("breakers", "by_breaker", "redis", name)
        for name, metric in METRICS["breaker"].items()
        if metric.scope == "run"
    },
    ("breaker.redis", "flaps"): (*SERVER, "flaps"),
    ("breaker.redis", "closed_at_end"): (*SERVER, "state_at_end"),
    **{("writes", name): ("writes", name) for name in METRICS["writes"]},
    **{
        ("restore", name): ("restore", name + ("_s" if metric.unit == "s" else ""))
        for name, metric in METRICS["restore"].items()
    },
    ("reads", "stale"): ("reads", "phases", "fault", "stale"),
    ("reads", "stale_for"): ("reads", "phases", "fault", "stale_for_s"),
    **{("clicks", name): ("clicks", name) for name in METRICS["clicks"]},
    **{("target", name): ("target", name) for name in METRICS["target"]},
    ("restarts", "unexpected"): ("restarts", "unexpected"),
    **{("check.drained", m): ("checks", "drained", m, "holds") for m in MOMENTS},
    ("check.drained", "within"): ("checks", "drained", "held_after_s"),
    ("alert.Errors", "silent_before"): ("alerts", "by_alert", "Errors", "silent_before"),
    **{
        ("alert.Errors", name): ("alerts", "by_alert", "Errors", "by_fault", "kill-2", key)
        for name, key in (
            ("fires_within", "fires_within_s"),
            ("pages_within", "pages_within_s"),
            ("resolves_within", "resolves_within_s"),
            ("flaps", "flaps"),
        )
    },
    ("alerts", "unexpected"): ("alerts", "unexpected", "fault", "count"),
    ("alerts", "blind_spots"): ("alerts", "blind_spots", "by_phase", "fault"),
    **{
        ("counter.depth", name): ("counters", "depth", "worker", "fault", name)
        for name in METRICS["counter"]
    },
    **{("settings", name): ("settings", name) for name in METRICS["settings"]},
    **{("dns", name): ("dns", "around", "fault", f"{name}_s") for name in METRICS["dns"]},
    ("region.eu", "share"): ("regions", "phases", "fault", "share", "eu"),
    ("lag.eu-db", "max"): ("lag", "eu-db", "phases", "fault", "lag_s"),
    ("lag.eu-db", "catches_up_within"): ("lag", "eu-db", "caught", "fault", "after_s"),
}
"""Where each figure of an expectation stands in result.json."""


def _expectation(subject: str, metric: str) -> Expectation:
    aspect = subject_kind(subject, set(OPERATIONS))
    found = METRICS[aspect].get(metric) or METRICS[aspect]["*"]
    phase = "run" if found.scope == "run" else "fault"
    limit = {"flag": "", "s": " < 1h", "share": " < 100%", "count": " < 99999"}[found.unit]
    return parse_expectation(phase, subject, metric + limit, set(OPERATIONS))


def _experiment(*hypothesis: Expectation) -> Experiment:
    return Experiment(
        name="x",
        title="A claim",
        load=Load(rate_per_s=1, mix={"redirect": 1.0, "create": 1.0}),
        operations=OPERATIONS,
        phases=(Phase(name="fault", start_s=30, end_s=90),),
        faults=(),
        hypothesis=hypothesis,
    )


def _result(found: Mapping[str, Any], *hypothesis: Expectation) -> dict[str, Any]:
    experiment = _experiment(*hypothesis)
    made: dict[str, Any] = make_result(
        experiment, found, judge(experiment, findings_from_json(found))
    )
    return made


def _lookup(value: Any, path: tuple[Step, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _is_leaf(schema: dict[str, Any]) -> bool:
    types = schema.get("type", [])
    return bool(types) and "object" not in types and "array" not in types


def test_there_is_a_place_for_every_metric() -> None:
    known = {(subject.partition(".")[0], metric) for subject, metric in PLACES}
    for aspect, metrics in METRICS.items():
        subject = {"operation": "redirect"}.get(aspect, aspect)
        assert all((subject, m) in known for m in metrics if m != "*"), aspect
        assert any(where == subject for where, _ in known)


@pytest.mark.parametrize(("subject", "metric"), PLACES, ids=".".join)
def test_the_figure_that_was_judged_is_in_the_result(subject: str, metric: str) -> None:
    path = PLACES[subject, metric]
    result = _result(findings(), _expectation(subject, metric))
    [judgement] = result["judgements"]
    assert judgement["outcome"] in ("pass", "fail"), judgement
    there = _lookup(result, path)
    assert judgement["value"] == (float(there == "CLOSED") if isinstance(there, str) else there)
    assert _is_leaf(at(result_schema(), path)), f"{path} has no type of its own"


def test_all_that_an_aspect_can_be_judged_by_is_in_the_result_and_typed() -> None:
    """The judge sees an aspect's findings by their types: each field of them is in the schema."""
    result, schema = _result(findings(), _expectation("writes", "lost")), result_schema()
    read, sections = findings_from_json(findings()), 0
    for aspect in ASPECTS:
        for name, found in aspect.sections(read.of(aspect)).items():
            sections += 1
            assert result[name] == findings()[name]
            for path in _fields_of(found, (name,)):
                assert at(schema, path), f"{path} has no type"
                assert at(schema, path) != {"type": "object"}, f"{path} is any object"
    assert sections == 22


def _fields_of(value: Any, path: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """Where the fields of all dataclasses in `value` stand."""
    if is_dataclass(value):
        for field in fields(value):
            if field.name in getattr(value, "FOR_CHARTS", ()):
                continue  # it is in findings.json alone
            yield (*path, field.name)
            yield from _fields_of(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _fields_of(item, (*path, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _fields_of(item, (*path, index))


def test_what_the_verdict_used_besides_is_there_too() -> None:
    result = _result(findings(), _expectation("writes", "lost"))
    for name in ("reads", "clicks", "db_reached", "share_answers", "safeguards", "clocks",
                 "message", "started_at", "lasted_s", "notes"):  # fmt: skip
        assert result[name] == findings()[name]
        assert name in result_schema()["properties"]
    for name in ("surprises", "coverage"):
        assert result[name] == findings()[name]
    assert result["machine"]["disturbed"] == findings()["machine"]["disturbed"]
    assert "series" not in result
    assert "series" not in result["machine"]  # it grows with each second of the run


def test_a_section_that_the_schema_does_not_know_is_kept() -> None:
    found = {**findings(), "weather": {"rain": 0.5}}
    result = _result(found, _expectation("writes", "lost"))
    assert result["weather"] == {"rain": 0.5}
    assert not list(problems(result, result_schema()))


def test_a_result_is_what_its_schema_says() -> None:
    result = json.loads(json.dumps(_result(findings(), *[_expectation(*p) for p in PLACES])))
    assert list(problems(result, result_schema())) == []


def test_a_wrong_result_is_not_what_its_schema_says() -> None:
    schema = result_schema()
    result = _result(findings(), _expectation("writes", "lost"))
    for path in (
        ("clicks", "lost"),
        ("reads", "stale_for_s"),
        ("operations", "create", "run", "p"),
    ):
        wrong = json.loads(json.dumps(result))
        _lookup(wrong, path[:-1])[path[-1]] = "many"
        is_typed = path[-1] != "p"
        assert bool(list(problems(wrong, schema))) == is_typed
    del result["writes"]
    assert list(problems(result, schema)) == ["$: no writes"]


def test_the_result_of_an_older_version_is_valid() -> None:
    sample = json.loads(SAMPLE.read_text(encoding="utf-8"))
    assert "clicks" not in sample
    assert list(problems(sample, result_schema())) == []


def test_findings_of_an_older_version_can_be_judged() -> None:
    found = findings()
    for name in ("reads", "clicks", "share_answers", "db_reached", "started_at", "lasted_s"):
        del found[name]
    result = _result(found, _expectation("clicks", "lost"))
    assert "clicks" not in result
    assert list(problems(result, result_schema())) == []
