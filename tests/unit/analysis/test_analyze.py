"""From a run folder to its findings: each section is of the whole record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.analysis import analyze
from harness.aspects import ASPECTS
from harness.aspects.findings_json import findings_from_json
from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.model.plan_json import plan_to_json
from harness.plan import make_plan
from harness.record.folder import RunFolder
from harness.record.tables import SAMPLES, write_samples

ONE_SERVER = Path("one-server.yaml")
EXPERIMENT = b"""\
title: One server may die
load: {rate: 4/s, mix: {redirect: 1}, canary_rate: 0/s}
phases: {warmup: 2s, baseline: 4s, fault: 14500ms}
faults: [{kill: {service: app-1}, at: fault + 1s}]
expect: {fault: {redirect: [p50 < 1s]}}
"""
EVENTS: list[dict[str, Any]] = [
    {"event": "run.clock", "t_s": 0.5, "wall_s": 1_795_515_790.5},
    {"event": "clock.offset", "t_s": 0.5, "service": "app-1", "offset_s": 0.5,
     "uncertainty_s": 0.1},
    {"event": "probe.gap", "t_s": 1.0, "probe": "patroni", "error": "timeout"},
    {"event": "machine.second", "t_s": 3.0, "duration_s": 1.0, "cpus": 2.0, "project_s": 0.5,
     "harness_s": 0.0, "engine_s": 0.0, "kernel_s": 0.0, "foreign_s": 0.0, "steal_s": 0.0,
     "idle_s": 1.5, "who": []},
    {"event": "fault.injecting", "t_s": 7.0, "fault": "kill-1", "kind": "kill", "target": "app-1",
     "resolved": {}},
    {"event": "container.die", "t_s": 9.0, "service": "app-2", "exit_code": 1},
    {"event": "safeguard.tripped", "t_s": 19.0, "operation": "redirect"},
    {"event": "run.finished", "t_s": 21.5, "status": "aborted", "message": "a safeguard tripped"},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run in which every section has something to say."""
    made = RunFolder(tmp_path / "20261127-run")
    made.create()
    experiment = parse_experiment(
        EXPERIMENT, Path("one-server.yaml"), KINDS, None, shortener_traffic
    )
    made.write_json("plan.json", plan_to_json(make_plan(experiment, 1), experiment))
    made.write_text("events.jsonl", "".join(json.dumps(event) + "\n" for event in EVENTS))
    facts = {"op": "redirect", "key": 1, "status": 200, "ok": True, "error": "", "bytes": 1}
    names = dict.fromkeys(("served_by", "cache", "db_node", "write"), "")
    rows = [
        {**facts, **names, "intended_s": n / 4, "sent_s": n / 4, "done_s": n / 4 + 0.125}
        for n in reversed(range(40))
    ]
    columns = {name: [row[name] for row in rows] for name in SAMPLES.names}
    write_samples(made.samples_dir, "main", 0, columns)
    return made


def test_a_run_says_what_it_was_and_how_it_ended(folder: RunFolder) -> None:
    found = analyze(folder)
    assert found["schema_version"] == 1
    assert (found["run_id"], found["experiment"]) == ("20261127-run", "one-server")
    assert found["title"] == "One server may die"
    assert (found["status"], found["message"]) == ("aborted", "a safeguard tripped")
    assert found["started_at"] == "2026-11-24T10:23:10+00:00"
    assert (found["lasted_s"], found["end_s"], found["scale"]) == (21.5, 20.5, 1.0)
    assert found["phases"] == {
        "warmup": {"start_s": 0.0, "end_s": 2.0},
        "baseline": {"start_s": 2.0, "end_s": 6.0},
        "fault": {"start_s": 6.0, "end_s": 20.5},
    }


def test_each_section_is_there_and_of_this_run(folder: RunFolder) -> None:
    found = analyze(folder)
    (fault,) = found["faults"]
    assert (fault["fault"], fault["start_s"], fault["selector"]) == (
        "kill-1", 7.0, {"service": "app-1"},
    )  # fmt: skip
    death, gap = found["surprises"]
    assert (gap["code"], gap["phase"]) == ("probe_gap", "warmup")
    assert (death["code"], death["who"], death["phase"]) == ("container_died", "app-2", "fault")
    assert (found["load"]["intended"], found["load"]["healthy"]) == (32, True)
    assert found["coverage"]["planned"] == {"main": True, "canary": True}
    assert {gap["end_s"] for gap in found["coverage"]["gaps"]} == set()
    assert found["machine"]["headroom"]["idle_share"] == 0.75
    assert found["safeguards"] == [EVENTS[-2]]
    assert found["clocks"]["containers"]["app-1"]["is_shared"] is False
    assert found["notes"] == ["patroni: timeout (1 times)"]
    assert found["series"]["offered_per_s"] == [4.0] * 10 + [0.0] * 11
    assert found["operations"]["redirect"]["run"]["requests"] == 32


def test_findings_are_plain_data_of_their_types_and_the_same_each_time(folder: RunFolder) -> None:
    found = analyze(folder)
    assert json.loads(json.dumps(found, allow_nan=False)) == found == analyze(folder)
    run = findings_from_json(found)
    assert run.run.machine.cpus == 2.0
    assert run.sections.keys() == {aspect.section for aspect in ASPECTS}


def test_a_node_that_never_caught_up_is_a_surprise_of_the_run(folder: RunFolder) -> None:
    nodes = {
        "db-1": {"role": "primary", "caught_up": True},
        "db-2": {"role": "replica", "caught_up": False, "why_not": "it lags"},
    }
    folder.write_readback(nodes, {"node": [], "stream": [], "n": [], "rows": []})
    rows = [row for row in analyze(folder)["surprises"] if row["who"] == "db-2"]
    assert [(row["code"], row["at_s"]) for row in rows] == [("replica_not_caught_up", 20.5)]


def test_a_replay_is_held_against_what_was_planned_of_it(folder: RunFolder) -> None:
    plan = folder.read_json("plan.json")
    plan["experiment"]["load"]["replay"] = "reports/earlier"
    folder.write_json("plan.json", plan)
    assert analyze(folder)["coverage"]["planned"] == {"main": False, "canary": True}
    assert [gap["end_s"] for gap in analyze(folder)["coverage"]["gaps"]] == []
