"""Shipped experiments pass on the healthy stack, and their results hold what they claim.

Each family is represented, and what has not passed on this version of the stack yet is run too, by
the committed table docs/results/experiments.csv. `make experiments` runs them all.
"""

from __future__ import annotations

import json
import subprocess

import pytest
from experiment_run import Run, RunExperiment
from own_project import docker

from campaigns.catalogue import representatives, shipped
from campaigns.harness_command import HARNESS, ROOT
from campaigns.results import experiments, not_passed
from harness.compose_files import read_environment

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

LOOKED_INTO = {"app-server-crash", "redis-freeze", "db-primary-failover"}
WANTED = {*representatives(), *not_passed(experiments())} - LOOKED_INTO
OTHERS = [name for name in shipped() if name in WANTED]
"""By family: each has parts of its own, and what starts and stops them takes time."""


def _assert_pass(run: Run) -> None:
    assert run.result["verdict"] == "pass", run.explain()
    assert run.result["status"] == "completed"
    assert run.exit_code == 0
    assert all(fault["proven"] and fault["healed"] for fault in run.result["faults"])
    for name in ("index.html", "junit.xml", "summary.md", "findings.json"):
        assert (run.folder / name).stat().st_size > 0, name


def test_the_stack_is_healthy_after_all_its_containers_were_started_again(stack: None) -> None:
    """What a restart of the engine or of the machine does to it: to all at once."""
    subprocess.run([HARNESS, "up"], cwd=ROOT, timeout=300, check=True)
    project = read_environment(ROOT)["COMPOSE_PROJECT_NAME"]
    label = f"label=com.docker.compose.project={project}"
    ids = docker("ps", "--quiet", "--filter", label).split()
    assert len(ids) >= 16
    restart = ["docker", "restart", "--time", "2"]
    restarts = [subprocess.Popen([*restart, each], stdout=subprocess.DEVNULL) for each in ids]
    assert [each.wait(timeout=100) for each in restarts] == [0] * len(ids)
    subprocess.run([HARNESS, "up"], cwd=ROOT, timeout=300, check=True)


def test_a_killed_app_server_costs_no_request(run_experiment: RunExperiment) -> None:
    run = run_experiment("app-server-crash")
    _assert_pass(run)
    kinds = [fault["kind"] for fault in run.result["faults"]]
    assert kinds == ["kill", "crash"]
    assert run.result["traffic_share"]["app-2"]["fault"] < 0.02


def test_breakers_open_while_redis_is_frozen(run_experiment: RunExperiment) -> None:
    run = run_experiment("redis-freeze")
    _assert_pass(run)
    opened = {t["server"] for t in run.result["breakers"]["transitions"] if t["to"] == "OPEN"}
    assert opened >= {"app-1", "app-2", "app-3"}


def test_a_killed_primary_loses_no_acknowledged_write(run_experiment: RunExperiment) -> None:
    run = run_experiment("db-primary-failover")
    _assert_pass(run)
    recovery = run.result["recovery"]["create"]
    assert 1 < recovery["recovery_time_s"] <= 30
    parts = recovery["parts"]
    assert sum(parts.values()) == pytest.approx(recovery["recovery_time_s"], abs=0.1)
    assert run.result["writes"]["acknowledged"] > 3000
    assert run.result["writes"]["lost"] == 0
    active = [
        json.loads(line)
        for line in (run.folder / "events.jsonl").read_text().splitlines()
        if '"fault.active"' in line
    ]
    assert len(active) == 1


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_experiments_pass(run_experiment: RunExperiment, name: str) -> None:
    _assert_pass(run_experiment(name))
