"""A project of a user's own: writes read back by SQL and HTTP, checks, and steady state.

Two servers on one PostgreSQL. `right` stores before it acknowledges; `hasty` acknowledges first,
and stores each write half a second later: killed at any moment, it loses what it took in the last
half second, and it no longer knows how much it has taken.
"""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from experiment_run import run_experiment_in
from own_project import OwnProject

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.usefixtures("no_stack")]
PROJECT = f"readback-{os.getpid()}"
READY_S = 60.0
SERVER = r"""
import asyncio, json, os, re, time, uuid
import asyncpg

NAME, IS_HASTY = os.environ["NAME"], os.environ["NAME"] == "hasty"
waiting, store, taken = [], None, 0


async def connect():
    global store
    while store is None:
        try:
            store = await asyncpg.create_pool(
                host="db", user="shop", password="s3cret", database="postgres", min_size=1
            )
            await store.execute("CREATE TABLE IF NOT EXISTS items (token text PRIMARY KEY)")
        except Exception:
            store = None
            await asyncio.sleep(0.2)


async def write_later():
    while True:
        await asyncio.sleep(0.1)
        due = time.monotonic() - 0.5
        batch = [token for taken_at, token in waiting if taken_at <= due]
        if batch:
            await insert(batch)
            del waiting[: len(batch)]


async def insert(tokens):
    statement = "INSERT INTO items VALUES ($1) ON CONFLICT DO NOTHING"
    await store.executemany(statement, [(token,) for token in tokens])


async def answer(method, path):
    global taken
    if path == "/stats":
        return 200, {"queue": {"depth": len(waiting)}}
    if store is None:
        return 503, {}
    if path == "/taken":
        known = taken if IS_HASTY else await store.fetchval("SELECT count(*) FROM items")
        return 200, {"taken": known}
    found = re.fullmatch(r"/items/([A-Za-z0-9_-]+)", path)
    if method == "GET" and found:
        is_there = await store.fetchval("SELECT true FROM items WHERE token = $1", found[1])
        return (200, {}) if is_there else (404, {})
    if method == "GET":
        return 200, {}
    token, taken = found[1] if found else uuid.uuid4().hex, taken + 1
    if IS_HASTY:
        waiting.append((time.monotonic(), token))
    else:
        await insert([token])
    return 201, {"item": {"id": token}}


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: *([0-9]+)", head, re.I)
            await reader.readexactly(int(length[1]) if length else 0)
            method, path, _ = head.split(" ", 2)
            try:
                status, value = await answer(method, path)
            except Exception:
                status, value = 500, {}
            body = json.dumps(value).encode()
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nX-Backend: {NAME}\r\n"
                "X-Cache-Status: HIT from here\r\n\r\n".encode() + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    tasks = [asyncio.create_task(connect()), asyncio.create_task(write_later())]
    server = await asyncio.start_server(serve, "0.0.0.0", 8000)
    await server.serve_forever()


asyncio.run(main())
"""
DATABASE = """
echo "$$POSTGRES_PASSWORD" > /tmp/password
initdb -D /tmp/data -U "$$POSTGRES_USER" -A scram-sha-256 --pwfile=/tmp/password > /dev/null
echo "host all all all scram-sha-256" >> /tmp/data/pg_hba.conf
exec postgres -D /tmp/data -h 0.0.0.0 -k /tmp
"""
TARGET = """
services:
  right: {entry: 8000, probes: {counter: "8000/stats#$.queue.depth"}}
  hasty: {entry: 8000, probes: {counter: "8000/stats#$.queue.depth"}}
operations:
  put:  {path: "/items/{token}", method: PUT, status: 201, writes: token}
  post: {path: /items, method: POST, status: 201, writes: $.item.id}
  look: {path: /}
headers:
  server: X-Backend
  cache: {name: X-Cache-Status, values: {"HIT*": cache, "*": origin}}
"""
BY_SQL = 'readback: {service: db, sql: "select token from items where token in ({tokens})"}\n'
BY_HTTP = 'readback: {http: "GET /items/{token}", within: 2s}\n'
EXPERIMENT = """
title: What SERVER acknowledged and knew is there after it was killed
target: TARGET.yaml
load: {entry: SERVER, rate: 120/s, mix: {put: 1, post: 1, look: 2}}
phases: {warmup: 3s, baseline: 8s, fault: 6s, recovery: 4s}
faults: [{kill: {service: SERVER}, for: 3s}]
CHECKS
expect:
  run: {writes: [EXPECTED]}
  baseline:
    look: [p95 < 2s]
    traffic_share: [SERVER >= 99%]
    cache: [cache_share >= 99%]
    counter.right: [max <= 0]
"""
CHECKS = """
checks:
  takes_some:
    http: {path: /taken}
    expect: ["$.taken >= 100"]
    when: [before]
    every: 1s
  knows_what_it_took:  # nobody who starts again at 0 gets so far
    http: {path: /taken}
    expect: ["$.taken >= 500"]
    within: 3s
    every: 1s
  answers_again:
    http: {path: /stats}
    within: 4s
    every: 500ms
  stored_once:
    sql: {service: db, query: "select count(*) - count(distinct token) from items"}
    expect: [count == 0]
    when: [before, during, after]
    every: 2s
"""
IMPATIENT = ("look: [p95 < 2s]", "look: [p95 < 1us]")
"""A limit that no target can hold, before any fault."""
BY_SQL_EXPECTED = "lost == 0, phantom == 0, duplicates == 0"
CASES = {
    "right-by-sql": ("right", "by-sql", BY_SQL_EXPECTED, CHECKS),
    "hasty-by-sql": ("hasty", "by-sql", BY_SQL_EXPECTED, CHECKS),
    "right-by-http": ("right", "by-http", "lost == 0, phantom == 0", ""),
}


def _compose(ports: dict[str, int]) -> str:
    base = {"pull_policy": "never", "init": True, "stop_grace_period": "1s"}
    servers: dict[str, Any] = {
        name: {
            **base, "image": "harness-shortener:local", "environment": {"NAME": name},
            "entrypoint": ["python", "-c", SERVER.replace("$", "$$")],
            "ports": [f"127.0.0.1:{port}:8000"],
        }
        for name, port in ports.items()
    }  # fmt: skip
    database = {
        **base, "image": "harness-patroni:local", "entrypoint": ["sh", "-ec", DATABASE],
        "environment": {
            "POSTGRES_USER": "shop", "POSTGRES_PASSWORD": "s3cret", "POSTGRES_DB": "postgres",
            "PGHOST": "/tmp",
        },
    }  # fmt: skip
    return yaml.safe_dump({"name": PROJECT, "services": {"db": database, **servers}})


def _free_ports(count: int) -> list[int]:
    """Of this machine; fixed, as the load could not follow one that changes at each start."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _status(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/items/none", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnProject]:
    made = OwnProject(tmp_path_factory.mktemp("readback"), PROJECT)
    ports = dict(zip(("right", "hasty"), _free_ports(2), strict=True))
    (made.folder / "compose.yaml").write_text(_compose(ports))
    (made.folder / "by-sql.yaml").write_text(f"{TARGET}{BY_SQL}")
    (made.folder / "by-http.yaml").write_text(f"{TARGET}{BY_HTTP}")
    for name, (server, target, expected, checks) in CASES.items():
        text = EXPERIMENT.replace("CHECKS", checks).replace("EXPECTED", expected)
        text = text.replace("SERVER", server).replace("TARGET", target)
        (made.folder / f"{name}.yaml").write_text(text)
    text = (made.folder / "right-by-sql.yaml").read_text()
    (made.folder / "right-unsteady.yaml").write_text(text.replace(*IMPATIENT))
    try:
        up = made.harness("up")
        assert up.returncode == 0, up.stdout + up.stderr
        deadline_s = time.monotonic() + READY_S
        while (seen := {name: _status(port) for name, port in ports.items()}) != dict.fromkeys(
            ports, 404
        ):
            assert time.monotonic() < deadline_s, seen
            time.sleep(0.2)
        yield made
    finally:
        made.harness("heal", "--stop")
        made.harness("down", "--volumes")


def _run(project: OwnProject, name: str, *flags: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Result and findings of one run; repeated if the machine was disturbed."""

    def harness(arguments: list[str]) -> tuple[int, str]:
        done = project.harness(*arguments)
        return done.returncode, done.stdout + done.stderr

    output = project.folder / "reports" / "".join((name, *flags))
    run = run_experiment_in(output, f"{name}.yaml", ("--no-up", *flags), harness)
    return run.result, json.loads((run.folder / "findings.json").read_text())


def test_what_is_stored_before_it_is_acknowledged_is_all_there_by_http(
    project: OwnProject,
) -> None:
    result, findings = _run(project, "right-by-http")
    assert result["verdict"] == "pass", result["reasons"]
    _assert_all_there(findings["writes"])
    assert findings["writes"]["duplicates"] is None


def test_what_is_stored_before_it_is_acknowledged_is_all_there_and_checks_hold(
    project: OwnProject,
) -> None:
    result, findings = _run(project, "right-by-sql", "--allow-exec")
    assert result["verdict"] == "pass", result["reasons"]
    _assert_all_there(findings["writes"])
    assert findings["writes"]["duplicates"] == 0
    checks = findings["checks"]
    assert checks["takes_some"]["before"]["looks"] >= 5
    assert checks["stored_once"]["during"]["looks"] >= 1
    assert 0 <= checks["answers_again"]["held_after_s"] < 4


def test_what_is_acknowledged_before_it_is_stored_is_lost_and_a_check_finds_what_it_forgot(
    project: OwnProject,
) -> None:
    result, findings = _run(project, "hasty-by-sql", "--allow-exec")
    assert result["verdict"] == "fail", result["reasons"]
    judged = result["judgements"]
    failed = {each["expectation_id"] for each in judged if each["outcome"] == "fail"}
    assert failed == {"run.check.knows_what_it_took.within", "run.writes.lost"}, judged
    assert {reason["code"] for reason in result["reasons"]} == {"check_failed", "writes_lost"}
    assert 10 <= findings["writes"]["lost"] <= 60  # 60/s: of the last half second, and a bit
    counters = findings["counters"]
    assert counters["hasty"]["hasty"]["baseline"]["max"] > 0
    assert counters["right"]["right"]["baseline"]["max"] == 0
    assert findings["checks"]["takes_some"]["before"]["holds"] is True


def _assert_all_there(writes: dict[str, Any]) -> None:
    assert (writes["checked"], writes["lost"], writes["not_read"]) == (True, 0, {})
    assert writes["read_back"] == writes["acknowledged"] > 500


def test_nothing_is_broken_where_limits_are_missed_before_the_fault(project: OwnProject) -> None:
    started = project.started()
    result, _ = _run(project, "right-unsteady", "--allow-exec")
    assert (result["verdict"], result["status"]) == ("inconclusive", "not_steady")
    assert "not_steady" in {reason["code"] for reason in result["reasons"]}
    assert project.started() == started


def test_a_limit_that_is_missed_before_the_fault_is_a_finding_if_one_asks(
    project: OwnProject,
) -> None:
    started = project.started()
    result, _ = _run(project, "right-unsteady", "--allow-exec", "--ignore-steady-state")
    assert result["verdict"] == "fail", result["reasons"]
    assert project.started() != started
