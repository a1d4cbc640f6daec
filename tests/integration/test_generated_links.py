"""Links without rewiring, on a real project: its app connects to `db:8000` and knows of nothing.

The app asks the database for each request, as a client of one does; both are Python's own server.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from own_project import OwnProject, docker, eventually

from harness.adapters.clock import SystemClock
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.http_client import HttpClient
from harness.adapters.tools import tools_of
from harness.faults import make_fault
from harness.faults.base import Tools
from harness.model.container import Container
from harness.model.experiment import FaultSpec
from harness.model.http import authority
from harness.undo import heal_fault

pytestmark = pytest.mark.docker
PROJECT = f"genlinks-{os.getpid()}"
APP = """
import http.client, http.server


class Front(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        db = http.client.HTTPConnection("db", 8000, timeout=2)
        try:
            db.request("GET", "/")
            status = db.getresponse().status
        except OSError:
            status = 503
        finally:
            db.close()
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("", 8080), Front).serve_forever()
"""
COMPOSE = f"""
name: {PROJECT}
x-python: &python
  image: harness-shortener:local
  pull_policy: never
  init: true
  stop_grace_period: 1s
services:
  web:
    <<: *python
    entrypoint: [python, /app/app.py]
    volumes: ["./app:/app:ro"]
    ports: ["127.0.0.1::8080"]
    depends_on: [db]
    networks: [back]
  db:
    <<: *python
    entrypoint: [python, -m, http.server, "8000", --protocol, HTTP/1.1]
    working_dir: /usr/share
    networks: [back]
networks: {{back: {{internal: false}}}}
"""
TARGET = """
services: {web: {role: app, entry: 8080}, db: {role: db}}
operations: {home: {path: /}}
links: {db: 8000}
"""
EXPERIMENT = """
title: Without its database the app says so
load: {entry: web, rate: 20/s}
phases: {warmup: 1s, baseline: 3s, fault: 3s, recovery: 3s}
faults: [{timeout: {link: db}}]
expect: {fault: {home: [error_rate <= 100%]}}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnProject]:
    project = OwnProject(tmp_path_factory.mktemp("shop"), PROJECT)
    (project.folder / "app").mkdir()
    files = {"compose.yaml": COMPOSE, "target.yaml": TARGET, "x.yaml": EXPERIMENT}
    for name, text in {"app/app.py": APP, **files}.items():
        (project.folder / name).write_text(text)
    done = project.harness("up", "--allow-host-access")
    assert done.returncode == 0, done.stderr
    try:
        yield project
    finally:
        done = project.harness("down")
        assert done.returncode == 0, done.stderr


def _tools() -> Tools:
    return tools_of(DockerEngine(PROJECT), SystemClock(), HttpClient())


def _member(service: str) -> Container:
    return next(c for c in DockerEngine(PROJECT).containers() if c.service == service)


def _ask(timeout_s: float = 5.0) -> tuple[int, float]:
    """The status that a user of the app gets, and how long it takes."""
    address = _member("web").address("8080")
    assert address is not None
    began_s = time.monotonic()
    answer = HttpClient().ask(f"http://{authority(address)}/", timeout_s)
    return answer.status, time.monotonic() - began_s


def _fault(kind: str, **parameters: Any) -> FaultSpec:
    return FaultSpec(
        id=f"{kind}-1", kind=kind, selector={"link": "db"}, parameters=parameters,
        phase="fault", start_s=0, end_s=1,
    )  # fmt: skip


def test_the_app_passes_the_link_without_a_line_changed(shop: OwnProject) -> None:
    assert eventually(lambda: _ask()[0] == 200)
    tools = _tools()
    assert tools.links.names() == ["db"]
    tools.links.set_enabled("db", enabled=False)
    try:
        assert _ask()[0] == 503
    finally:
        tools.links.set_enabled("db", enabled=True)
    assert eventually(lambda: _ask()[0] == 200)


@pytest.mark.parametrize(
    ("kind", "parameters", "status", "least_s"),
    [("latency", {"latency": 700}, 200, 0.7), ("timeout", {}, 503, 2.0), ("down", {}, 503, 0.0)],
)
def test_a_fault_is_felt_by_the_apps_own_users_and_is_over_once_it_is_healed(
    shop: OwnProject, kind: str, parameters: dict[str, Any], status: int, least_s: float
) -> None:
    assert eventually(lambda: _ask()[0] == 200)
    tools = _tools()
    fault = make_fault(_fault(kind, **parameters), tools)
    undo = fault.prepare()
    try:
        fault.inject()
        proof = fault.is_active()
        assert proof.proven, proof.detail
        assert proof.facts["evidence"] == "client", proof.detail
        got, took_s = _ask()
        assert got == status
        assert took_s >= least_s
    finally:
        heal_fault(fault, undo, tools.clock)
    assert eventually(lambda: _ask()[0] == 200 and _ask()[1] < 0.5)


def test_the_database_itself_was_never_touched(shop: OwnProject) -> None:
    """It runs under its own name on its own network; the app alone has a link."""
    db, web = _member("db"), _member("web")
    assert list(db.networks) == [f"{PROJECT}_back"]
    assert "db" in db.networks[f"{PROJECT}_back"].aliases
    assert db.networks[f"{PROJECT}_back"].links == ()
    assert f"{PROJECT}-harness-links-1:db" in web.networks[f"{PROJECT}_back"].links


def test_a_whole_experiment_on_a_generated_link(shop: OwnProject) -> None:
    flags = ("--allow-host-access", "--output", "reports")
    wrong = shop.folder / "wrong.yaml"
    wrong.write_text(EXPERIMENT.replace("link: db", "link: dbb"))
    refused = shop.harness("validate", "wrong.yaml")
    assert refused.returncode == 2
    assert "no link named dbb; did you mean db?" in refused.stderr
    done = shop.harness("run", "x.yaml", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    events = [
        json.loads(line)
        for line in (shop.folder / "reports" / "latest" / "events.jsonl").read_text().splitlines()
    ]
    found = {e["event"]: e for e in events}
    assert found["target.links"]["links"] == {"db": "db"}
    assert found["fault.active"]["evidence"] == "client"
    assert found["fault.healed"]["verified"]
    assert shop.broken() == []


def test_down_leaves_a_network_that_somebody_elses_container_is_on(shop: OwnProject) -> None:
    engine, network, guest = DockerEngine(PROJECT), f"{PROJECT}_back", f"{PROJECT}-guest"
    run = ["run", "--detach", "--name", guest, "--network", network, "--entrypoint", "sleep"]
    docker(*run, "harness-shortener:local", "60")
    try:
        assert engine.network_users() == {network: 4, f"{PROJECT}_harness-links": 1}
        assert shop.harness("down").returncode == 0
        assert (engine.containers(), engine.network_users()) == ([], {network: 1})
    finally:
        docker("rm", "--force", guest)
    assert engine.network_users() == {network: 0}


def test_after_down_nothing_is_left_and_the_users_own_project_is_as_it_was(
    shop: OwnProject,
) -> None:
    files = {path: _digest(path) for path in shop.folder.glob("*.yaml")}
    assert shop.harness("down").returncode == 0
    assert _left("ps", "--all", "--format", "{{.Names}}") == []
    assert _left("network", "ls", "--format", "{{.Name}}") == []
    assert {path: _digest(path) for path in shop.folder.glob("*.yaml")} == files
    (shop.folder / "target.yaml").write_text(TARGET.replace("links: {db: 8000}", ""))
    assert shop.harness("up", "--allow-host-access").returncode == 0
    assert {c.service for c in DockerEngine(PROJECT).containers()} == {"web", "db"}
    assert _member("web").networks[f"{PROJECT}_back"].links == ()
    before = _member("db").id, _member("web").id
    (shop.folder / "target.yaml").write_text(TARGET)
    refused = shop.harness("up", "--allow-host-access")
    assert refused.returncode == 4
    assert f"would recreate or remove existing containers of {PROJECT}: {PROJECT}-web-1;" in (
        refused.stderr
    )
    assert (_member("db").id, _member("web").id) == before
    allowed = shop.harness("up", "--allow-host-access", "--recreate")
    assert allowed.returncode == 0, allowed.stderr
    assert _member("db").id == before[0]  # only its client was made anew
    assert eventually(lambda: _ask()[0] == 200)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _left(*command: str) -> list[str]:
    return [name for name in docker(*command).split() if name.startswith(PROJECT)]
