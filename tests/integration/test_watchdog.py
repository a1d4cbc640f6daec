"""A real run that is killed, or stands still, while its faults are active: healed by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from own_project import OwnProject
from typing_extensions import override

from harness.adapters.docker_engine import DockerEngine
from harness.lock import lock_holder
from harness.undo import Journal
from harness.watchdog import STILL_S

pytestmark = pytest.mark.docker
HEALED_WITHIN_S = 10.0  # of the moment when the runner is gone
PROJECT = f"watchdogtest-{os.getpid()}"
SERVE = '[python, -m, http.server, "8000"]'
DEAF = '[python, -c, "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"]'
WEB = f"""
    image: harness-shortener:local
    pull_policy: never
    entrypoint: {SERVE}
    working_dir: /usr/share
    init: true
    stop_grace_period: 1s"""
COMPOSE = f"""
name: {PROJECT}
services:
  web-1:{WEB}
    labels: {{harness.role: app, harness.entry: "web:8000"}}
    ports: ["127.0.0.1::8000"]
  web-2:{WEB}
    labels: {{harness.role: app}}
  web-3:{WEB.replace(SERVE, DEAF)}
    labels: {{harness.role: app}}
  toxiproxy:
    image: harness-toxiproxy:local
    pull_policy: never
    entrypoint: [toxiproxy, -host, 0.0.0.0]
    labels: {{harness.role: toxiproxy, harness.toxiproxy: "8474"}}
    ports: ["127.0.0.1::8474"]
"""
EXPERIMENT = """
title: Three faults of different kinds that overlap
load: {entry: web, rate: 20/s, canary_rate: 5/s, mix: {ok: 1}, operations: {ok: {path: /}}}
phases: {warmup: 1s, baseline: 1s, fault: 60s, recovery: 1s}
faults: [{pause: {service: web-2}}, {kill: {service: web-3}}, {down: {link: web-1.web-2}}]
expect: {run: {ok: [requests > 1]}}
"""


class Target(OwnProject):
    """With a link whose Toxiproxy is a part of it."""

    def start(self) -> subprocess.Popen[bytes]:
        """A run in a process group of its own."""
        command = [sys.executable, "-m", "harness", "run", "x.yaml", "--no-up"]
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log,
                process_group=0,  # not a session: Ctrl-Z stops no orphaned group
            )  # fmt: skip

    def events(self, name: str) -> list[dict[str, Any]]:
        found = list(self.folder.glob("reports/2*/events.jsonl"))
        lines = found[0].read_text().splitlines() if found else []
        return [e for e in map(json.loads, lines) if e["event"] == name]

    @override
    def broken(self) -> list[str]:
        link = _ask(f"{self.api}/web-1.web-2")
        return super().broken() + ["web-1.web-2"] * (not link["enabled"])

    @property
    def api(self) -> str:
        toxiproxy = next(c for c in DockerEngine(PROJECT).containers() if c.role == "toxiproxy")
        return f"{(toxiproxy.probe_url('harness.toxiproxy') or '').rstrip('/')}/proxies"

    def saw(self, action: str, service: str, since_s: float) -> bool:
        """Whether the engine did so to a container since that second of the epoch."""
        events = DockerEngine(PROJECT).events(since_s, time.time())
        return any((event.action, event.service) == (action, service) for event in events)

    def generators(self) -> list[str]:
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        return [line for line in listed.stdout.splitlines() if str(self.folder) in line]

    def log(self) -> str:
        return (self.folder / "log").read_text()


def _ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(url, data, timeout=10) as answer:
        value: dict[str, Any] = json.load(answer)
    return value


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("watchdog"), PROJECT)
    (made.folder / "docker-compose.yml").write_text(COMPOSE)
    (made.folder / "x.yaml").write_text(EXPERIMENT)
    try:
        up = made.harness("up")
        assert up.returncode == 0, up.stderr
        _ask(
            made.api,
            {"name": "web-1.web-2", "listen": "127.0.0.1:9000", "upstream": "127.0.0.1:8474"},
        )
        yield made
    finally:
        made.harness("heal", "--stop")
        made.harness("down", "--volumes")


@pytest.fixture
def target(project: Target, hears_of_its_terminal: None) -> Iterator[Target]:
    assert project.broken() == []
    yield project
    for folder in project.folder.glob("reports/2*"):
        folder.rename(folder.with_name(f"old-{folder.name}"))


def _wait(seen: Callable[[], bool], within_s: float, what: Callable[[], object]) -> float:
    """The seconds until it was so."""
    started_s = time.monotonic()
    while not seen():
        assert time.monotonic() - started_s < within_s, what()
        time.sleep(0.1)
    return time.monotonic() - started_s


def _break_everything(target: Target) -> subprocess.Popen[bytes]:
    runner = target.start()
    _wait(lambda: len(target.events("fault.active")) == 3, 60, target.log)
    assert len(target.broken()) == 3
    return runner


@pytest.mark.parametrize("whole_group", [False, True], ids=["the runner", "its whole group"])
def test_a_run_that_is_killed_is_healed_without_a_person(target: Target, whole_group: bool) -> None:
    runner = _break_everything(target)
    (os.killpg if whole_group else os.kill)(runner.pid, signal.SIGKILL)
    runner.wait(10)
    _wait(lambda: not target.broken(), HEALED_WITHIN_S, target.broken)
    _wait(lambda: lock_holder(target.state / "lock") is None, 20, target.generators)
    assert Journal(target.state / "journal.jsonl").is_empty()
    healed = {e["fault"]: e["by"] for e in target.events("fault.healed")}
    assert healed == dict.fromkeys(("pause-1", "kill-2", "down-3"), "watchdog")
    [finished] = target.events("run.finished")
    assert finished["status"] == "interrupted"
    assert finished["message"].startswith("the harness was killed; its watchdog healed")
    _assert_analyzed_as_interrupted(target)
    assert "its watchdog healed" in target.harness("heal").stdout
    _wait(lambda: not target.generators(), 5, target.generators)


def _assert_analyzed_as_interrupted(target: Target) -> None:
    [folder] = target.folder.glob("reports/2*")
    for stage in ("analyze", "judge", "report"):
        done = target.harness(stage, str(folder))
        assert done.returncode == 0, done.stderr
    findings = json.loads((folder / "findings.json").read_text())
    assert findings["status"] == "interrupted"
    assert json.loads((folder / "result.json").read_text())["verdict"] == "inconclusive"


def test_a_run_that_stands_still_is_healed_and_ends_when_it_goes_on(target: Target) -> None:
    runner = _break_everything(target)
    runner.send_signal(signal.SIGTSTP)  # Ctrl-Z
    _wait(lambda: not target.broken(), STILL_S + HEALED_WITHIN_S, target.broken)
    assert lock_holder(target.state / "lock") is not None  # the run may still go on
    runner.send_signal(signal.SIGCONT)
    assert runner.wait(60) == 130, target.log()
    assert target.broken() == []
    assert Journal(target.state / "journal.jsonl").is_empty()
    assert lock_holder(target.state / "lock") is None
    assert "its watchdog healed the faults" in target.log()
    _assert_analyzed_as_interrupted(target)


def test_a_closed_terminal_is_healed_by_the_run_itself(target: Target) -> None:
    runner = _break_everything(target)
    runner.send_signal(signal.SIGHUP)
    assert runner.wait(60) == 130, target.log()
    assert target.broken() == []
    _assert_analyzed_as_interrupted(target)


def test_a_stop_that_was_in_flight_is_healed_when_it_takes_effect(target: Target) -> None:
    """The engine ends the server 8 s after its caller was killed."""
    file = target.folder / "x.yaml"
    file.write_text(
        EXPERIMENT.replace("faults: [", "faults: [{stop: {service: web-3, grace_s: 8}}]\n# ")
    )
    began_s = time.time()
    try:
        runner = target.start()
        _wait(lambda: target.saw("kill", "web-3", began_s), 60, target.log)  # it has the call
        runner.kill()
        runner.wait(10)
        _wait(lambda: target.saw("die", "web-3", began_s), 12, target.broken)
        _wait(lambda: target.saw("start", "web-3", began_s), HEALED_WITHIN_S, target.broken)
        assert target.broken() == []
        _wait(lambda: lock_holder(target.state / "lock") is None, 20, target.generators)
        assert Journal(target.state / "journal.jsonl").is_empty()
    finally:
        file.write_text(EXPERIMENT)
