"""The lines of the charts, second by second, in a run of three and a half seconds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from harness.analysis import series
from harness.analysis.rounding import rounded
from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.record.run import Record

EXPERIMENT = b"""\
title: A claim
load: {rate: 4000/s, mix: {redirect: 0.5, create: 0.5}}
phases: {warmup: 1s, baseline: 1s, fault: 1500ms}
expect: {fault: {redirect: [p95 < 250ms, p99 < 1s]}}
"""
COLUMNS = ("op", "intended_s", "sent_s", "done_s", "ok", "cache", "served_by", "db_node", "write")


def row(
    due_s: float, took_s: float = 0.125, op: str = "redirect", *, ok: bool = True,
    late_s: float = 0.0, **names: str,
) -> dict[str, Any]:  # fmt: skip
    by = {"cache": "", "served_by": "", "db_node": "", "write": "", **names}
    sent_s = due_s + late_s
    return {
        "op": op, "intended_s": due_s, "sent_s": sent_s, "done_s": due_s + took_s, "ok": ok, **by,
    }  # fmt: skip


MAIN = [
    row(0.0, 0.25, served_by="edge", cache="edge"),
    row(0.5, 0.75, served_by="app-2", cache="db", db_node="db-2"),
    row(0.75, 0.5, "create", ok=False, write="failed", db_node="db-1"),
    row(1.0, 0.5, served_by="app-1", cache="redis"),
    row(1.25, math.nan, ok=False, late_s=math.nan),
    row(1.5, 0.5, "create", served_by="app-2", write="ok", cache="db"),
    row(1.75, 1.0, served_by="app-2", cache="db", db_node="db-4"),
    row(3.25, 0.25, "create", ok=False, served_by="app-1", write="unknown"),
    row(3.75, 0.25, served_by="app-1"),
]
CANARY = [
    row(0.5, 0.125, cache="db", db_node="db-2"),
    row(0.625, 0.25, cache="db", db_node="db-3"),
    row(0.75, 0.375),
    row(1.5, 2.0, ok=False, served_by="app-1", cache="db", db_node="db-3"),
    row(2.5, 0.5, "create", write="ok", db_node="db-1"),
]


def event(name: str, t_s: float, **facts: Any) -> dict[str, Any]:
    return {"event": name, "t_s": t_s, **facts}


def status(t_s: float, server: str, state: str, lb: str = "lb-2") -> dict[str, Any]:
    return event("lb.server", t_s, lb=lb, backend="read", server=server, status=state)


OPENED = {"server": "app-2", "breaker": "redis", "from": "CLOSED", "to": "OPEN"}
EVENTS = [
    status(2.5, "app-1", "DOWN"), status(-0.5, "app-1", "UP"), status(0.0, "app-2", "UP", "lb-1"),
    event("breaker.state", -0.5, server="app-2", breaker="redis", state="CLOSED"),
    event("breaker.transition", 1.5, **OPENED),
]  # fmt: skip


def made(main: list[dict[str, Any]], canary: list[dict[str, Any]], *events: Any) -> Record:
    experiment = parse_experiment(EXPERIMENT, Path("x.yaml"), KINDS, None, shortener_traffic)
    tables = [pd.DataFrame(rows, columns=[*COLUMNS]) for rows in (main, canary)]
    return Record(experiment, list(events), *tables)


def test_every_line_of_every_chart() -> None:
    found = rounded(series.figures(made(MAIN, CANARY, *EVENTS)))
    nothing = [0.0] * 4
    assert found == {
        "bucket_s": 1.0,
        "t_s": [0.0, 1.0, 2.0, 3.0],
        "offered_per_s": [3.0, 4.0, 0.0, 2.0],
        "achieved_per_s": [3.0, 3.0, 0.0, 2.0],
        "failed_per_s": {"redirect": [0.0, 1.0, 0.0, 0.0], "create": [1.0, 0.0, 0.0, 1.0]},
        "response_time_s": {
            "redirect": {
                "p50": [0.5, 0.75, None, 0.25],
                "p95": [0.725, 0.975, None, 0.25],
                "p99": [0.745, 0.995, None, 0.25],
            },
            "create": {p: [0.5, 0.5, None, 0.25] for p in ("p50", "p95", "p99")},
        },
        "canary": {
            "redirect": {
                "ok": [3.0, 0.0, 0.0, 0.0], "failed": [0.0, 1.0, 0.0, 0.0],
                "slow": [1.0, 0.0, 0.0, 0.0], "p95": [0.3625, 2.0, None, None],
            },
            "create": {
                "ok": [0.0, 0.0, 1.0, 0.0], "failed": nothing, "p95": [None, None, 0.5, None],
            },
        },
        "traffic_share": {
            "app-1": [0.0, 0.5, None, 1.0], "app-2": [1.0, 0.5, None, 0.0],
        },
        "cache_share": {
            "db": [0.5, 0.5, None, None], "edge": [0.5, 0.0, None, None],
            "redis": [0.0, 0.5, None, None],
        },
        "replica_share": {
            "db-2": [0.666667, 0.0, None, None], "db-3": [0.333333, 0.5, None, None],
            "db-4": [0.0, 0.5, None, None],
        },
        "breakers": {"app-2/redis": [[0.0, "CLOSED"], [1.5, "OPEN"]]},
        "lb": {
            "lb-1/read/app-2": [[0.0, "UP"]],
            "lb-2/read/app-1": [[0.0, "UP"], [2.5, "DOWN"]],
        },
    }  # fmt: skip
    assert [*found["lb"]] == ["lb-1/read/app-2", "lb-2/read/app-1"]
    assert [*found["cache_share"]] == ["db", "edge", "redis"]


def test_a_run_without_a_request_has_lines_of_nothing() -> None:
    empty = made([row(0.5)], [row(0.5)])
    found = series.figures(Record(empty.experiment, [], empty.main[:0], empty.canary[:0]))
    assert found.offered_per_s == found.achieved_per_s == [0.0] * 4
    assert found.traffic_share == found.cache_share == found.replica_share == {}
    assert all(math.isnan(value) for value in found.response_time_s["create"]["p99"])
    assert found.lb == found.breakers == {}
