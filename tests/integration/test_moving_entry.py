"""An entry whose port is another one after each start: load follows it, and the target passes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_project import OwnProject, web_compose

pytestmark = pytest.mark.docker
PROJECT = f"moving-{os.getpid()}"
COMPOSE = web_compose(PROJECT, "127.0.0.2")
EXPERIMENT = """
title: It is back soon after its start
load: {entry: web, rate: 50/s, canary_rate: 0/s, mix: {ok: 1}, operations: {ok: {path: /}}}
phases: {warmup: 1s, baseline: 3s, fault: 4s, recovery: 8s}
faults: [{kill: {service: web}, at: fault + 0s, for: 2s}]
allow_total_loss: true
expect:
  recovery: {ok: [failed_requests == 0]}
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnProject]:
    project = OwnProject(tmp_path_factory.mktemp("web"), PROJECT)
    (project.folder / "compose.yaml").write_text(COMPOSE)
    (project.folder / "x.yaml").write_text(EXPERIMENT)
    try:
        yield project
    finally:
        assert project.harness("down").returncode == 0


def test_the_load_follows_it_to_its_new_port(web: OwnProject) -> None:
    assert web.harness("validate", "x.yaml").returncode == 0
    done = web.harness("run", "x.yaml", "--output", "reports")
    assert done.returncode == 0, done.stdout + done.stderr
    run = web.folder / "reports" / "latest"
    places = [event["to"] for event in _events(run) if event["event"] == "load.entry"]
    first, *between, last = places
    assert ["nowhere"] in between
    assert all(place[0].startswith("127.0.0.2:") for place in (first, last))
    assert first != last  # the allocator of the engine goes on, and round only at the end


def _events(run: Path) -> list[dict[str, object]]:
    lines = (run / "events.jsonl").read_text().splitlines()
    return [dict(json.loads(line)) for line in lines]
