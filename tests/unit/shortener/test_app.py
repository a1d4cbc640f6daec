"""An app server as a whole, with nothing behind it: what it answers by itself."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from shortener.admission import REQUESTS_MAX
from shortener.app import App
from shortener.asgi import BODY_MAX
from shortener.database import Url
from shortener.link import Link
from shortener.settings import read_settings
from shortener.supervisor import Supervisor

NOW_S = 1000.0
API = "/api/v1/urls"


async def ask(app, path, method="GET", headers=(), body=(b"",)):
    """Status, headers and body of the answer; `body` comes in these pieces."""
    pieces, sent = list(body), []

    async def receive():
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        more = bool(pieces) or piece is LEAVES
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": list(headers)}
    await app(scope, receive, send)
    start, end = sent
    return SimpleNamespace(status=start["status"], headers=dict(start["headers"]), body=end["body"])


LEAVES = b'{"url": '
"""The last piece of a client that leaves in the middle of its body."""


def run(check):
    """Run `check` with an app that was made before there is a loop, as serve.py makes it."""
    nowhere = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DB_RW_DSN": "postgresql://app@127.0.0.1:1/app",
        "DB_RO_DSN": "postgresql://app@127.0.0.1:1/app",
    }
    asyncio.run(check(App(read_settings(nowhere), wall_clock=lambda: NOW_S)))


def test_a_link_that_it_remembers_is_answered_without_waiting_and_counted():
    async def check(app):
        app.service.local.put("abc", Link("https://example.com/abc"))
        with pytest.raises(StopIteration):  # nothing in it waits for anything
            ask(app, "/abc").send(None)
        response = await ask(app, "/abc", headers=[(b"traceparent", b"t")])
        headers = response.headers
        assert (response.status, headers[b"location"]) == (302, b"https://example.com/abc")
        assert (headers[b"x-cache"], headers[b"traceparent"]) == (b"local", b"t")
        assert (headers[b"x-served-by"], headers[b"content-length"]) == (b"app", b"0")
        assert app.service.clicks.waiting == 2

    run(check)


def test_a_head_request_is_answered_without_a_body_and_not_counted():
    async def check(app):
        app.service.local.put("abc", Link("https://example.com/abc"))
        response = await ask(app, "/abc", method="HEAD")
        assert (response.status, app.service.clicks.waiting) == (302, 0)
        health = await ask(app, "/health", method="HEAD")
        assert health.body == b""
        assert int(health.headers[b"content-length"]) > 0

    run(check)


def test_the_health_check_waits_for_nobody():
    async def check(app):
        with pytest.raises(StopIteration) as answered:
            ask(app, "/health").send(None)
        assert answered.value.value.status == 200

    run(check)


def test_a_link_that_was_created_is_in_the_audit_trail_before_its_answer(monkeypatch):
    """With the token of the client, also if the request was repeated: another may have no line."""
    lines, added = [], []

    async def add(new):
        added.append(new)
        return Url("abc", new.url, datetime.now(UTC), None, "db-1"), len(added) == 1

    monkeypatch.setattr("shortener.app.link_created", lambda *line: lines.append(line))

    async def check(app):
        monkeypatch.setattr(app.service, "add", add)
        body = [b'{"url": "https://example.com/new"}']
        trace = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
        key = (b"idempotency-key", b"run-m1")
        assert (await ask(app, API, "POST", [key, trace], body)).status == 201
        assert (await ask(app, API, "POST", [key], body)).status == 200
        assert (await ask(app, API, "POST", [], body)).status == 200

    run(check)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    assert lines == [("abc", "run-m1", trace_id), ("abc", "run-m1", ""), ("abc", "", "")]


def test_a_create_that_failed_is_not_in_the_audit_trail(monkeypatch):
    lines = []
    monkeypatch.setattr("shortener.app.link_created", lambda *line: lines.append(line))

    async def check(app):
        answer = await ask(app, API, "POST", body=[b'{"url": "https://example.com/new"}'])
        assert answer.status == 503

    run(check)
    assert lines == []


@pytest.mark.parametrize(("path", "method", "status"), [("/x", "GET", 404), ("/abc", "PUT", 405)])
def test_what_it_refuses_by_itself(path, method, status):
    async def check(app):
        assert (await ask(app, path, method)).status == status

    run(check)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"x" * 10, b"x" * (BODY_MAX - 10)], 400),
        ([b"x" * 10, b"x" * (BODY_MAX - 9)], 413),
        ([b"", LEAVES], 400),
    ],
)
def test_a_body_that_is_too_large_or_not_whole_is_refused(pieces, status):
    async def check(app):
        response = await ask(app, API, "POST", body=pieces)
        assert response.status == status

    run(check)


@pytest.mark.parametrize("path", ["/abc", API])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_more_than_it_can_do_is_refused_at_once(path, method):
    async def check(app):
        for _ in range(REQUESTS_MAX):
            app.admission.__enter__()
        app.service.local.put("abc", Link("https://example.com/abc"))
        response = await ask(app, path, method)
        assert (response.status, response.headers[b"retry-after"]) == (429, b"1")
        not_attempted = response.headers.get(b"x-write-attempted")
        assert not_attempted == (None if method == "GET" else b"no")
        assert (await ask(app, "/health")).status == 200
        assert (await ask(app, "/metrics")).status == 200
        assert app.admission.under_way == REQUESTS_MAX
        app.admission.__exit__()
        assert (await ask(app, "/abc")).status == 302

    run(check)


def test_a_request_is_under_way_until_its_answer_is_there_or_it_failed(monkeypatch):
    async def check(app):
        seen = []

        async def find(code):
            seen.append(app.admission.under_way)
            raise RuntimeError

        monkeypatch.setattr(app.service, "find", find)
        monkeypatch.setattr("shortener.app.logging.error", lambda *_, **__: None)
        assert (await ask(app, "/abc")).status == 500
        assert (seen, app.admission.under_way) == ([1], 0)

    run(check)


@pytest.mark.parametrize(
    ("deadline", "status"), [(b"1000001", 302), (b"1000000", 429), (b"1", 429), (b"soon", 302)]
)
def test_a_request_that_nobody_waits_for_any_more_is_no_work(deadline, status):
    async def check(app):
        app.service.local.put("abc", Link("https://example.com/abc"))
        headers = [(b"x-deadline", deadline)]
        assert (await ask(app, "/abc", headers=headers)).status == status
        assert app.service.clicks.waiting == (1 if status == 302 else 0)
        assert (await ask(app, "/health", headers=headers)).status == 200

    run(check)


def test_its_pools_belong_to_the_loop_that_serves():
    async def check(app):
        database = app.service.database
        loops = {pool._pool._loop for pool in (database.primary, database.replicas)}
        assert loops == {asyncio.get_running_loop()}

    run(check)


def test_background_tasks_live_as_long_as_the_server():
    async def check(app):
        messages = asyncio.Queue()
        sent = []

        async def send(message):
            sent.append(message["type"].removeprefix("lifespan."))

        living = asyncio.create_task(app({"type": "lifespan"}, messages.get, send))
        messages.put_nowait({"type": "lifespan.startup"})
        while not sent:
            await asyncio.sleep(0)
        tasks = app.service.supervisor.restarts
        assert {"lag meter", "clicks"} <= tasks.keys()
        assert not app.service.supervisor.sick()
        messages.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait_for(living, 5)
        assert sent == ["startup.complete", "shutdown.complete"]
        assert app.service.supervisor.sick().keys() == tasks.keys()

    run(check)


@pytest.mark.parametrize(("still_s", "status"), [(1.0, 200), (60.0, 503)])
def test_ready_says_503_while_a_background_task_hangs(monkeypatch, still_s, status):
    async def check(app):
        now = [100.0]
        app.service.supervisor = Supervisor(lambda: now[0])

        async def hangs(turned):
            turned()
            await asyncio.Event().wait()

        async def answers(*_):
            return None

        app.service.supervisor.start("clicks", hangs, 5.0)
        await asyncio.sleep(0)
        now[0] += still_s
        monkeypatch.setattr(app.service.redis, "ping", answers)
        for pool in (app.service.database.primary, app.service.database.replicas):
            monkeypatch.setattr(pool, "run", answers)
        response = await ask(app, "/ready")
        said = json.loads(response.body)
        assert (response.status, said["ready"]["tasks"]) == (status, status == 200)
        assert bool(said["sick"]) == (status == 503)
        await app.service.supervisor.stop()

    run(check)


@pytest.mark.parametrize(("age_s", "told"), [(None, None), (0.04, b"0.0"), (12.34, b"12.3")])
def test_a_row_of_a_replica_says_how_old_it_may_be_where_that_is_known(monkeypatch, age_s, told):
    """Whether it leads there or is shown."""
    row = Url("abc", "https://example.com", datetime.now(UTC), None, "eu-db", age_s)

    async def found(*_):
        return row

    async def check(app):
        monkeypatch.setattr(app.service.database, "find", found)
        for path, status in (("/abc", 302), (f"{API}/abc", 200)):
            headers = (await ask(app, path)).headers
            assert headers[b"x-db-node"] == b"eu-db"
            assert headers.get(b"x-data-age") == told, path
            assert status == (await ask(app, path)).status
            app.service.local.drop("abc")

    run(check)
