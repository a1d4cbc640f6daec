"""A run folder made by hand, as analysis and judge would write it; nothing was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.record.folder import RunFolder

PHASES = {
    "warmup": {"start_s": 0.0, "end_s": 10.0},
    "baseline": {"start_s": 10.0, "end_s": 30.0},
    "fault": {"start_s": 30.0, "end_s": 90.0},
    "recovery": {"start_s": 90.0, "end_s": 110.0},
}
TITLE = "Killing the database primary stops writes for at most 30 s and loses no acknowledged write"


def make_run(
    reports: Path, *, verdict: str = "pass", status: str = "completed", **changes: Any
) -> RunFolder:
    """A folder with findings and result of a failover, ready to be rendered.

    `changes` replace parts of the findings. Without series it renders ten times as fast.
    """
    folder = RunFolder(reports / f"20260102-030405-{verdict}-{status}")
    folder.create()
    folder.write_text("events.jsonl", "")
    found = {**findings(folder.run_id, status), **changes}
    write(folder, found, result(folder.run_id, verdict, status))
    folder.write_json("plan.json", {"plan": {"seed": 7}})
    folder.write_json("environment.json", {"cpu_count": 2, "kernel": "6.1", "password": "hunter2"})
    return folder


def write(folder: RunFolder, found: dict[str, Any], judged: dict[str, Any]) -> None:
    """Write (or overwrite) findings.json and result.json."""
    folder.write_json("findings.json", json.loads(json.dumps(found)))
    folder.write_json("result.json", json.loads(json.dumps(judged)))


def result(run_id: str, verdict: str, status: str) -> dict[str, Any]:
    reasons = {
        "pass": [],
        "fail": [
            _reason("recovery_time_exceeded", "create recovered after 41.3 s; expected <= 30s")
        ],
        "inconclusive": [_reason("load_unhealthy", "1.2 % of the arrivals were dropped")],
    }
    return {
        "schema_version": 1,
        "run_id": run_id,
        "experiment": "db-primary-failover",
        "title": TITLE,
        "status": status,
        "verdict": verdict,
        "reasons": reasons[verdict],
        "phases": PHASES,
        "judgements": _judgements(verdict),
        "recovery": _recovery(),
    }


def _reason(code: str, text: str) -> dict[str, str]:
    return {"code": code, "text": text}


def _judgements(verdict: str) -> list[dict[str, Any]]:
    rows = [
        ("baseline.redirect.p95", "p95 < 200ms", "pass", 0.0124, 0.2, "s"),
        ("baseline.cache.redis_share", "redis_share >= 20%", "pass", 0.312, 0.2, "share"),
        ("fault.create.recovery_time", "recovery_time <= 30s", verdict, 21.43, 30.0, "s"),
        ("fault.redirect.error_rate", "error_rate < 0.1%", "pass", 0.0, 0.001, "share"),
        ("run.writes.lost", "lost == 0", "pass", 0, 0, "count"),
        ("run.target.healthy", "healthy", "pass", 1.0, 1.0, "flag"),
    ]
    keys = ("expectation_id", "text", "outcome", "value", "limit", "unit")
    evidence = "7,680 requests, fault proven by the engine: container exited with 137"
    return [{**dict(zip(keys, row, strict=True)), "evidence": evidence} for row in rows]


def findings(run_id: str, status: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "run_id": run_id,
        "experiment": "db-primary-failover",
        "title": TITLE,
        "status": status,
        "end_s": 110.0,
        "phases": PHASES,
        "faults": [
            {
                "fault": "kill-1", "kind": "kill", "target": "db-2", "phase": "fault",
                "start_s": 30.0, "effect_s": 30.18, "healed_s": 88.2, "proven": True,
                "healed": True, "detail": "container exited with 137",
            }
        ],
        "load": {
            "intended": 44000, "sent": 44000, "dropped": 0, "healthy": True, "problems": [],
            "send_lateness_s": {"p50": 0.00012, "p99": 0.0021, "max": 0.0089},
            "on_schedule_share": 0.9999, "cpu_share": 0.21,
        },
        "operations": {"redirect": _by_phase(7680, 0), "create": _by_phase(3200, 348)},
        "recovery": _recovery(),
        "writes": {
            "acknowledged": 8123, "failed": 12, "unknown": 336, "lost": 0, "phantom": 0,
            "duplicates": 0, "checked": True, "acknowledged_last_second_before_fault": 116,
            "nodes": {
                "db-1": {"role": "primary", "caught_up": True},
                "db-3": {"role": "replica", "caught_up": True},
            },
            "examples": {"lost": []},
        },
        "breakers": {"transitions": [], "by_breaker": {"redis": {"servers": _breakers()}}},
        "traffic_share": {f"app-{n}": dict.fromkeys(PHASES, 1 / 3) for n in (1, 2, 3)},
        "replica_share": {},
        "cache_share": {"local": {"baseline": 0.41}, "redis": {"baseline": 0.31}},
        "rotation": [
            {
                "fault": "kill-1", "server": "app-2", "lb": "lb-1", "left_s": 31.0,
                "leaves_rotation_s": 0.9, "alive_s": 60.0, "returned_s": 66.1,
                "returns_to_rotation_s": 6.1,
            }
        ],
        "target": {"healthy": True, "details": {"problems": []}, "old_primary_rejoined": True},
        "message": "" if status == "completed" else "Ctrl-C in phase fault",
        "notes": ["The edge was not part of this run."],
        "series": _series(),
    }  # fmt: skip


def _breakers() -> dict[str, Any]:
    row = {
        "opened_s": 31.2, "opened_after_fault_s": 1.2, "failures_to_open": 5, "reopened": 0,
        "closed_after_heal_s": 2.2, "state_at_end": "CLOSED", "flaps": 0, "fast_fail_p99_s": 0.0002,
    }  # fmt: skip
    return {f"app-{n}": row for n in (1, 2, 3)}


def _by_phase(requests: int, failed: int) -> dict[str, Any]:
    times = {"p50": 0.0042, "p95": 0.0124, "p99": 0.0311, "max": 0.21}
    return {
        phase: {
            "requests": requests, "failed": failed if phase in ("fault", "run") else 0,
            "error_rate": 0.0, "errors": {"timeout": failed} if failed else {},
            "response_time_s": times, "service_time_s": times,
        }
        for phase in ("baseline", "fault", "recovery", "run")
    }  # fmt: skip


def _recovery() -> dict[str, Any]:
    parts = {"detected_s": 17.9, "promoted_s": 2.1, "routed_s": 1.0, "first_success_s": 0.43}
    outage = {"start_s": 30.0, "end_s": 51.43, "uncertainty_s": 0.005, "failed": 348}
    create = {
        "recovery_time_s": 21.43, "uncertainty_s": 0.005, "recovered": True,
        "never_failed": False, "failed_requests": 348, "outages": [outage], "parts": parts,
        "degradation_time_s": 21.6, "stream": "canary",
    }  # fmt: skip
    redirect = {
        "recovery_time_s": 0.0, "uncertainty_s": 0.0, "recovered": True, "never_failed": True,
        "failed_requests": 0, "outages": [], "stream": "canary",
    }  # fmt: skip
    return {"redirect": redirect, "create": create}


def _series() -> dict[str, Any]:
    times = [float(second) for second in range(110)]
    broken = [30 <= t < 51 for t in times]
    wave = [0.9 + 0.2 * ((int(t) * 7919) % 13) / 13 for t in times]
    slow = [1.0 if b else 0.012 * w for b, w in zip(broken, wave, strict=True)]
    return {
        "bucket_s": 1.0,
        "t_s": times,
        "offered_per_s": [400.0] * 110,
        "achieved_per_s": [400.0 - (16 if b else 0) for b in broken],
        "failed_per_s": {
            "redirect": [0.0] * 110,
            "create": [16.0 if b else 0.0 for b in broken],
        },
        "response_time_s": {
            "redirect": {p: [f * w for w in wave] for p, f in _FACTORS.items()},
            "create": {"p50": slow, "p95": [2 * s for s in slow], "p99": [3 * s for s in slow]},
        },
        "canary": {
            "redirect": {"ok": [100.0] * 110, "failed": [0.0] * 110, "p95": [0.01] * 110},
            "create": {
                "ok": [0.0 if b else 100.0 for b in broken],
                "failed": [100.0 if b else 0.0 for b in broken],
            },
        },
        "traffic_share": {f"app-{n}": [1 / 3] * 110 for n in (1, 2, 3)},
        "cache_share": {
            "local": [0.41] * 110, "redis": [0.31] * 109 + [None], "db": [0.28] * 110,
        },
        "replica_share": {"db-1": [0.5] * 110, "db-3": [0.5] * 110},
        "breakers": {
            f"app-{n}/db-rw": [
                [0.0, "CLOSED"], [31.2, "OPEN"], [45.0, "HALF_OPEN"], [45.01, "OPEN"],
                [50.0, "HALF_OPEN"], [50.2, "CLOSED"],
            ]
            for n in (1, 2, 3)
        }
        | {"app-1/redis": [[0.0, "CLOSED"]]},
        "lb": {
            f"lb-{lb}/{backend}/app-{n}": [[0.0, "UP" if n < 4 else "DOWN"]]
            for lb in (1, 2) for backend in ("read", "write") for n in (1, 2, 3, 4)
        } | {"lb-1/last_resort/any-1": [[0.0, "no"]]},
    }  # fmt: skip


_FACTORS = {"p50": 0.004, "p95": 0.012, "p99": 0.03}


def machine() -> dict[str, Any]:
    """Others took a third of the processor from second 40 to 60, and there was no headroom."""
    seconds = [float(second) for second in range(110)]
    others = [0.33 if 40 <= second < 60 else 0.01 for second in seconds]
    shares = {
        "project": [0.5] * 110, "harness": [0.1] * 110, "engine": [0.05] * 110,
        "kernel": [0.06] * 110, "others": others, "steal": [0.0] * 110,
        "idle": [0.29 - other for other in others],
    }  # fmt: skip
    who = [{"name": "clang", "share": 0.3}, {"name": "<b>ld</b>", "share": 0.03}]
    return {
        "disturbed": [
            {"start_s": 40.0, "end_s": 60.0, "share": 0.33, "why": "others", "who": who},
        ],
        "headroom": {
            "no_headroom": True, "idle_share": 0.29, "rate_per_s": 300.0,
            "rate_that_fits_per_s": 290.0,
        },
        "series": {"bucket_s": 1.0, "t_s": seconds, "shares": shares},
    }  # fmt: skip
