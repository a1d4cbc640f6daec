"""An app server as a whole, with nothing behind it: what it answers by itself."""

from __future__ import annotations

import asyncio
import json

import pytest
from shortener.app import App
from shortener.http_server import Request, Response
from shortener.link import Link
from shortener.settings import read_settings
from shortener.supervisor import Supervisor


def request(path, method="GET", headers=()):
    made = Request()
    made.method, made.path, made.headers = method, path, list(headers)
    return made


def run(check):
    async def inside():
        app = App(read_settings({"LINKS_HOST": "127.0.0.1"}))
        await check(app)

    asyncio.run(inside())


def test_a_link_that_it_remembers_is_answered_at_once_and_counted():
    async def check(app):
        app.service.local.put("abc", Link("https://example.com/abc"))
        response = app.handle(request("/abc", headers=[(b"traceparent", b"t")]))
        assert isinstance(response, Response)
        headers = dict(response.headers)
        assert (response.status, headers[b"location"]) == (302, b"https://example.com/abc")
        assert (headers[b"x-cache"], headers[b"traceparent"]) == (b"local", b"t")
        assert app.service.clicks.waiting == 1

    run(check)


def test_a_head_request_is_answered_and_not_counted():
    async def check(app):
        app.service.local.put("abc", Link("https://example.com/abc"))
        response = await app.handle(request("/abc", method="HEAD"))
        assert (response.status, app.service.clicks.waiting) == (302, 0)

    run(check)


def test_the_health_check_waits_for_nobody():
    async def check(app):
        response = app.handle(request("/health"))
        assert isinstance(response, Response)
        assert response.status == 200

    run(check)


@pytest.mark.parametrize(("path", "method", "status"), [("/x", "GET", 404), ("/abc", "PUT", 405)])
def test_what_it_refuses_by_itself(path, method, status):
    async def check(app):
        assert (await app.handle(request(path, method))).status == status

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
        response = await app.handle(request("/ready"))
        said = json.loads(response.body)
        assert (response.status, said["ready"]["tasks"]) == (status, status == 200)
        assert bool(said["sick"]) == (status == 503)
        await app.service.supervisor.stop()

    run(check)
