"""The JSON Schema of result.json.

What is `required` was there in the first version that promised this schema; what came later is
typed, and may be missing. So a result of an older version is valid too.
"""

from __future__ import annotations

from typing import Any, get_args

from harness.model.aspect import ASPECTS
from harness.model.surprise import SURPRISES, Weight
from harness.model.verdict import Judgement
from harness.result.contract import SCHEMA_VERSION

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
MAYBE: Schema = {"type": ["boolean", "null"]}
COUNT: Schema = {"type": "integer"}
MAYBE_COUNT: Schema = {"type": ["integer", "null"]}
NUMBER: Schema = {"type": ["number", "null"]}
OF_UNIT = {"s": NUMBER, "share": NUMBER, "count": MAYBE_COUNT, "flag": MAYBE}


def result_schema() -> Schema:
    """A JSON Schema of result.json."""
    outcome = {"enum": ["pass", "fail", "inconclusive"]}
    judgement: Schema = dict.fromkeys(Judgement.__dataclass_fields__, TEXT)
    judgement |= {"outcome": outcome, "value": NUMBER, "limit": NUMBER}
    properties: Schema = {
        "schema_version": {"const": SCHEMA_VERSION},
        **dict.fromkeys(("experiment", "title", "run_id"), TEXT),
        "tags": _list(TEXT),
        "status": {"enum": ["completed", "aborted", "interrupted", "error"]},
        "verdict": outcome,
        "reasons": _list(_object({"code": TEXT, "text": TEXT})),
        "judgements": _list(_object(judgement)),
        "faults": _list(_fault()),
        "phases": _by_name(_open({"start_s": NUMBER, "end_s": NUMBER})),
        "recovery": _by_name(_recovery()),
        "operations": _by_name(_by_name(_operation())),
        "writes": _writes(),
        "breakers": _breakers(),
        "load": _load(),
        **dict.fromkeys(("traffic_share", "replica_share", "cache_share"), _shares()),
        "target": _target(),
        "rotation": _list(_rotation()),
    }
    schema = _object(properties)
    schema["properties"] |= _later()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "harness result",
        **schema,
    }


def _later() -> Schema:
    """What results of earlier versions do not have."""
    container = {"offset_s": NUMBER, "uncertainty_s": NUMBER, "is_shared": FLAG}
    wall = {"pairs": COUNT, "uncertainty_s": NUMBER}
    return {
        "description": TEXT,
        "command": TEXT,
        "message": TEXT,
        "started_at": {"type": ["string", "null"]},
        "lasted_s": NUMBER,
        "end_s": NUMBER,
        "reads": _reads(),
        "clicks": _clicks(),
        "share_answers": _by_name(_by_name(COUNT)),
        "db_reached": _shares(),
        "settings": _settings(),
        "safeguards": _list(_open({"t_s": NUMBER, "event": TEXT})),
        "surprises": _list(_object(_surprise())),
        "coverage": _open({"planned": _by_name(FLAG), "gaps": _list(_open(_gap()))}),
        "machine": _machine(),
        "clocks": _open({"containers": _by_name(_open(container)), "wall": _open(wall)}),
        "notes": _list(TEXT),
    }


def _surprise() -> Schema:
    words = dict.fromkeys(("who", "text", "phase"), TEXT)
    code, outcome = {"enum": [*SURPRISES]}, {"enum": list(get_args(Weight))}
    return {**words, "code": code, "at_s": NUMBER, "outcome": outcome}


def _gap() -> Schema:
    times = dict.fromkeys(("start_s", "end_s", "expected"), NUMBER)
    return {**times, "stream": TEXT, "operation": TEXT, "seen": COUNT}


def _machine() -> Schema:
    """Null for a run of a version that did not record it."""
    busiest = _list(_open({"name": TEXT, "share": NUMBER}))
    stretch = dict.fromkeys(("start_s", "end_s", "share", "steal_share"), NUMBER)
    headroom = dict.fromkeys(
        (
            *("start_s", "end_s", "idle_share", "idle_cost_share"),
            *("rate_per_s", "rate_that_fits_per_s"),
        ),
        NUMBER,
    )
    found = _open(
        {
            **dict.fromkeys(("cpus", "steal_share", "others_share", "pressure_share"), NUMBER),
            "disturbed": _list(_open({**stretch, "why": TEXT, "who": busiest})),
            "headroom": _open({**headroom, "no_headroom": MAYBE, "shares": _by_name(NUMBER)}),
        }
    )
    return {**found, "type": ["object", "null"]}


def _fault() -> Schema:
    texts = dict.fromkeys(("fault", "kind", "target", "phase", "detail"), TEXT)
    times = dict.fromkeys(("start_s", "effect_s", "healed_s"), NUMBER)
    fault = _object({**texts, **times, "proven": FLAG, "healed": FLAG})
    fault["properties"] |= {
        **dict.fromkeys(("planned_s", "held_s", "lost_s"), NUMBER),
        "evidence": {"type": ["string", "null"]},
    }
    return fault


def _operation() -> Schema:
    times = _open(dict.fromkeys(("p50", "p95", "p99", "max"), NUMBER))
    return _open(
        {
            "requests": COUNT,
            "failed": COUNT,
            "error_rate": NUMBER,
            "errors": _by_name(COUNT),
            "response_time_s": times,
            "service_time_s": times,
        }
    )


def _writes() -> Schema:
    node = {"role": TEXT, "caught_up": FLAG, "found": COUNT, "lsn": {"type": ["string", "null"]}}
    counts = (*ASPECTS["writes"], "failed", "acknowledged_last_second_before_fault")
    return _open(
        {
            **dict.fromkeys(counts, MAYBE_COUNT),
            "checked": FLAG,
            "nodes": _by_name(_open(node)),
            "examples": _by_name(_list(TEXT)),
        }
    )


def _reads() -> Schema:
    counts = {"answered": MAYBE_COUNT, "stale": MAYBE_COUNT, "stale_for_s": NUMBER}
    counts["uncertainty_s"] = NUMBER
    return _open({**counts, "phases": _by_name(_open(counts)), "examples": _list(TEXT)})


def _clicks() -> Schema:
    metrics = {name: OF_UNIT[metric.unit] for name, metric in ASPECTS["clicks"].items()}
    counts = ("unknown", "missing", "in_memory", "double_by_retries")
    missing = {"server": TEXT, "missing": COUNT, "first_s": NUMBER, "last_s": NUMBER}
    return _open(
        {
            **metrics,
            **dict.fromkeys(counts, MAYBE_COUNT),
            "missing_of": _list(_open(missing)),
            "explanations": _list(TEXT),
            "checked": FLAG,
            "why_not": TEXT,
            "examples": _by_name(_list(TEXT)),
        }
    )


def _breakers() -> Schema:
    metrics = {name: OF_UNIT[metric.unit] for name, metric in ASPECTS["breaker"].items()}
    phase = {"flaps": MAYBE_COUNT, "state_at_end": {"type": ["string", "null"]}}
    times = ("opened_s", "opened_after_fault_s", "closed_s", "closed_after_heal_s")
    counts = ("failures_to_open", "failures_to_reopen", "probes_per_cooldown", "reopened", "flaps")
    server = {
        **dict.fromkeys((*times, "shortest_cooldown_s", "fast_fail_p99_s"), NUMBER),
        **dict.fromkeys((*counts, "fast_fails"), MAYBE_COUNT),
        "state_at_fault": {"type": ["string", "null"]},
        "state_at_end": {"type": ["string", "null"]},
        "phases": _by_name(_open(phase)),
    }
    servers = {"servers": _by_name(_open(server)), "missing_servers": _list(TEXT)}
    servers["expected_servers"] = _list(TEXT)
    transition = {**dict.fromkeys(("server", "breaker", "from", "to"), TEXT), "t_s": NUMBER}
    contradiction = dict.fromkeys(("server", "breaker", "what", "evidence"), TEXT)
    return _open(
        {
            "by_breaker": _by_name(_open({**metrics, **servers})),
            "transitions": _list(_open(transition)),
            "contradictions": _list(_open({**contradiction, "at_s": NUMBER})),
        }
    )


def _target() -> Schema:
    flags = dict.fromkeys((*ASPECTS["target"], "healthy_before"), MAYBE)
    return _open({**flags, "details": _open({"problems": _list(TEXT)})})


def _settings() -> Schema:
    words = {"problems": _by_name(_list(TEXT)), "gaps": _by_name(TEXT)}
    return _open({**dict.fromkeys(ASPECTS["settings"], MAYBE), **words})


def _load() -> Schema:
    return _open(
        {
            **dict.fromkeys(("intended", "sent", "dropped"), COUNT),
            "stalls": MAYBE_COUNT,
            **dict.fromkeys(("on_schedule_share", "cpu_share", "stall_max_s"), NUMBER),
            "send_lateness_s": _open(dict.fromkeys(("p50", "p99", "max"), NUMBER)),
            "healthy": FLAG,
            "problems": _list(TEXT),
        }
    )


def _rotation() -> Schema:
    judged = [f"{metric}_s" for metric in ASPECTS["rotation"]]
    times = (*judged, "left_s", "alive_s", "returned_s", "uncertainty_s")
    names = dict.fromkeys(("fault", "server", "lb", "backend"), TEXT)
    return _open({**names, **dict.fromkeys(times, NUMBER)})


def _shares() -> Schema:
    """By part (a server, a tier, an operation) and phase."""
    return _by_name(_by_name(NUMBER))


def _recovery() -> Schema:
    """One operation's recovery; what is not required is missing in results of older versions."""
    one = _open({"recovery_time_s": NUMBER, "uncertainty_s": NUMBER, "recovered": MAYBE})
    times = dict.fromkeys(("start_s", "end_s", "uncertainty_s"), NUMBER)
    outage = _object({**times, "failed": COUNT})
    outage["properties"] |= {
        "kind": {"enum": ["total", "partial"]},
        "error_rate": NUMBER,
        "probes": COUNT,
    }
    recovery = _object(
        {
            **dict.fromkeys(("recovery_time_s", "uncertainty_s", "fault_start_s"), NUMBER),
            **dict.fromkeys(("failed_requests", "probes"), COUNT),
            "recovered": MAYBE,
            "never_failed": FLAG,
            "outages": _list(outage),
            "degradation_time_s": NUMBER,
            "parts": _by_name(NUMBER),
            "by_fault": _by_name(one),
            "stream": {"enum": ["canary", "main"]},
        }
    )
    mark = {"part": TEXT, "at_s": NUMBER, "uncertainty_s": NUMBER, "evidence": TEXT}
    scattered = dict.fromkeys(("error_rate", "first_s", "last_s"), NUMBER)
    recovery["properties"] |= {
        "error_budget": NUMBER,
        "cold_share": NUMBER,
        "scattered": _open({**scattered, "failed": COUNT}),
        "degradation": _degradation(one),
        "marks": _list(_object(mark)),
    }
    return recovery


def _degradation(one: Schema) -> Schema:
    found = {"metric": TEXT, "limit_s": NUMBER, "slow": COUNT, "by_fault": _by_name(one)}
    return {**_open(found), "type": ["object", "null"]}


def _object(properties: Schema) -> Schema:
    """An object with all of these properties, and perhaps more."""
    return {"type": "object", "required": sorted(properties), "properties": properties}


def _open(properties: Schema) -> Schema:
    """An object with perhaps these properties, and perhaps more."""
    return {"type": "object", "properties": properties}


def _by_name(value: Schema) -> Schema:
    return {"type": "object", "additionalProperties": value}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}
