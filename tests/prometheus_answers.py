"""Answers as Prometheus 2.53 and the pager give them."""

from __future__ import annotations

from typing import Any

WALL_S = 1_795_875_600.0  # 2026-11-28T14:20:00Z

RULES = """
{"status":"success","data":{"groups":[{"name":"alerts","file":"/etc/monitoring/rules/alerts.yml",
"rules":[
{"state":"firing","name":"ErrorRateHigh","query":"job:error_ratio > 0.05","duration":3,
 "keepFiringFor":0,"labels":{"severity":"critical"},
 "annotations":{"action":"Page on-call engineer","runbook":"docs/RUNBOOK.md#errorratehigh",
  "signal":"job:error_ratio","summary":"{{ $value | humanizePercentage }} of requests fail"},
 "alerts":[{"labels":{"alertname":"ErrorRateHigh","part":"app-1","severity":"critical"},
  "annotations":{"action":"Page on-call engineer","summary":"12.3% of requests fail"},
  "state":"firing","activeAt":"2026-11-28T14:20:30.5Z","value":"1.23e-01"}],
 "health":"ok","evaluationTime":0.000314,"lastEvaluation":"2026-11-28T14:20:34.123456789Z",
 "type":"alerting"},
{"state":"inactive","name":"RequestLatencyHigh","query":"job:latency_p95:seconds > 0.2",
 "duration":5,"keepFiringFor":0,"labels":{"severity":"warning"},"annotations":{},"alerts":[],
 "health":"err","lastError":"found duplicate series","evaluationTime":0.0001,
 "lastEvaluation":"2026-11-28T15:20:34.123789+01:00","type":"alerting"},
{"state":"unknown","name":"Fresh","query":"vector(1)","duration":0,"keepFiringFor":0,"labels":{},
 "annotations":{},"alerts":[],"health":"unknown","evaluationTime":0,
 "lastEvaluation":"0001-01-01T00:00:00Z","type":"alerting"}],
"interval":1,"limit":0,"evaluationTime":0.0009,"lastEvaluation":"2026-11-28T14:20:34.123Z"}]}}
"""


def rule(
    name: str = "ErrorRateHigh",
    severity: str = "critical",
    *alerts: dict[str, Any],
    evaluated: str,
    for_s: float = 3.0,
    **facts: Any,
) -> dict[str, Any]:
    """One alerting rule."""
    return {
        "name": name, "query": f"{name.lower()} > 1", "duration": for_s, "type": "alerting",
        "labels": {"severity": severity}, "annotations": {"signal": name.lower()}, "health": "ok",
        "alerts": list(alerts), "lastEvaluation": evaluated, **facts,
    }  # fmt: skip


def active(
    state: str, since: str, name: str = "ErrorRateHigh", severity: str = "critical", **labels: str
) -> dict[str, Any]:
    """One instance that is pending or firing."""
    return {
        "labels": {"alertname": name, "severity": severity, **labels}, "state": state,
        "annotations": {"summary": f"{name} of {labels.get('part', 'all')}"}, "activeAt": since,
        "value": "1e+00",
    }  # fmt: skip


def answer(*rules: dict[str, Any], interval_s: float = 1.0) -> dict[str, Any]:
    """All rules, in one group."""
    group = {"name": "alerts", "interval": interval_s, "rules": list(rules)}
    return {"status": "success", "data": {"groups": [group]}}


def notification(
    at_s: float, name: str, severity: str = "critical", status: str = "firing", **labels: str
) -> dict[str, Any]:
    """One that arrived at the pager, with one alert."""
    alert = {
        "status": status, "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": "what it says"}, "startsAt": "", "endsAt": "",
        "fingerprint": f"{name}{severity}",
    }  # fmt: skip
    return {"number": 1, "monotonic_s": at_s, "wall_s": at_s, "status": status, "alerts": [alert]}


def pager_answer(now_s: float, *notifications: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """What the pager answers at a time of its clock."""
    return {
        "monotonic_s": now_s, "heartbeat_age_s": 0.5, "received": len(notifications),
        "notifications": list(notifications), **facts,
    }  # fmt: skip
