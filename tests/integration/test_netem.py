"""`delay` and `loss` on this machine: the effect is there, or one clear refusal before anything."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_project import OwnProject, web_compose

from harness.adapters.clock import SystemClock
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.http_client import HttpClient
from harness.adapters.packet_queues import TcPacketQueues
from harness.adapters.tools import tools_of
from harness.faults import make_fault
from harness.model.experiment import FaultSpec
from harness.model.http import authority
from harness.undo import heal_fault

PROJECT = f"netem-{os.getpid()}"
LACK = TcPacketQueues().lacks()
COMPOSE = web_compose(PROJECT, "127.0.0.1")
EXPERIMENT = """
title: Slow packets
load: {entry: web, rate: 20/s, mix: {ok: 1}, operations: {ok: {path: /}}}
phases: {warmup: 1s, baseline: 3s, fault: 3s, recovery: 3s}
faults: [{delay: {service: web, delay: 300ms}}, {loss: {service: web, percent: 5}}]
expect: {run: {ok: [error_rate <= 5%]}}
"""


@pytest.fixture
def web(tmp_path: Path) -> OwnProject:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    return OwnProject(tmp_path, PROJECT)


@pytest.mark.skipif(not LACK, reason="this machine can delay packets")
def test_a_machine_that_cannot_is_refused_in_one_sentence_before_anything_starts(
    web: OwnProject,
) -> None:
    """No engine is needed for it: the Compose file and the kernel say enough."""
    for command in ("validate", "run"):
        done = web.harness(command, "x.yaml")
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stderr.count(f"faults[0].delay: {LACK}") == 1
        assert done.stderr.count(f"faults[1].loss: {LACK}") == 1
        assert "Traceback" not in done.stderr
    assert not (web.folder / "reports").exists()


@pytest.mark.docker
@pytest.mark.skipif(bool(LACK), reason=LACK or "-")
@pytest.mark.usefixtures("running")
def test_packets_wait_and_are_on_time_again_after_healing() -> None:
    tools = tools_of(DockerEngine(PROJECT), SystemClock(), HttpClient())
    spec = FaultSpec(
        id="delay-1", kind="delay", selector={"service": "web"}, parameters={"delay": 300},
        phase="fault", start_s=0, end_s=1,
    )  # fmt: skip
    assert _took_s() < 0.25
    fault = make_fault(spec, tools)
    undo = fault.prepare()
    try:
        fault.inject()
        assert fault.is_active().proven
        assert _took_s() >= 0.3
    finally:
        heal_fault(fault, undo, tools.clock)
    assert _took_s() < 0.25


@pytest.fixture
def running(web: OwnProject) -> Iterator[None]:
    done = web.harness("up")
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        assert web.harness("down").returncode == 0


def _took_s() -> float:
    [web] = DockerEngine(PROJECT).containers()
    address = web.address("8000")
    assert address is not None
    began_s = time.monotonic()
    assert HttpClient().ask(f"http://{authority(address)}/", 5.0).status == 200
    return time.monotonic() - began_s
