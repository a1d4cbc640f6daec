"""The HTTP face: a bare ASGI application, because routing by hand costs the least CPU."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict
from time import monotonic
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shortener.database import AliasTaken, Unavailable
from shortener.redis_cache import REDIS_ERRORS
from shortener.service import Service
from shortener.settings import Settings
from shortener.validation import CODE, Invalid, parse_new_url

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
BODY_MAX = 16_384
API = "/api/v1/urls"
JSON = (b"content-type", b"application/json")


class Response:
    """Status, headers and body of one answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or []


def answer(status: int, value: Any, headers: Headers | None = None) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps(value).encode(), [JSON, *(headers or [])])


class App:
    """One app server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._served_by = (b"x-served-by", settings.server.encode())
        self._service: Service | None = None
        self._metrics = Metrics()

    @property
    def service(self) -> Service:
        """The parts; made at startup, inside the event loop."""
        if self._service is None:
            self._service = Service(self._settings)
        return self._service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        started_s = monotonic()
        operation, response = await self._respond(scope, receive)
        headers = [self._served_by, (b"content-length", str(len(response.body)).encode())]
        headers += response.headers
        headers += [header for header in scope["headers"] if header[0] == b"traceparent"]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})
        self._metrics.observe(operation, response.status, monotonic() - started_s)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        flusher: asyncio.Task[None] | None = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                flusher = asyncio.create_task(self.service.clicks.run())
                await send({"type": "lifespan.startup.complete"})
            else:
                if flusher:
                    flusher.cancel()
                await self.service.clicks.flush()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[str, Response]:
        """The name of the operation, for the metrics, and the answer."""
        path, method = scope["path"], scope["method"]
        try:
            if path.startswith(API):
                return "api", await self._api(method, path[len(API) :], scope, receive)
            if method not in ("GET", "HEAD"):
                return "other", answer(405, {"error": "only GET"}, [(b"allow", b"GET")])
            if path in PAGES:
                return path[1:], await PAGES[path](self)
            return "redirect", await self._redirect(path[1:])
        except Unavailable as error:
            attempted = b"maybe" if error.attempted else b"no"
            headers = [(b"x-write-attempted", attempted), (b"retry-after", b"1")]
            return "unavailable", answer(503, {"error": str(error)}, headers)
        except Invalid as error:
            return "invalid", answer(400, {"error": str(error)})
        except AliasTaken:
            return "conflict", answer(409, {"error": "this alias is taken"})
        except asyncpg.PostgresError as error:
            message = {"error": f"database: {type(error).__name__}"}
            return "error", answer(503, message, [(b"x-write-attempted", b"maybe")])

    async def _redirect(self, code: str) -> Response:
        found = await self.service.find(code) if CODE.fullmatch(code) else None
        if found is None:
            return answer(404, {"error": "no such URL"}, [(b"cache-control", b"no-store")])
        self.service.clicks.add(code)
        headers = [
            (b"location", found.long_url.encode()),
            (b"x-cache", found.tier.encode()),
            (b"cache-control", b"public, max-age=3600"),
        ]
        if found.node:
            headers.append((b"x-db-node", found.node.encode()))
        return Response(302, b"", headers)

    async def _api(self, method: str, rest: str, scope: Scope, receive: Receive) -> Response:
        code, _, part = rest[1:].partition("/")
        if not code and method == "POST":
            return await self._create(scope, await read_body(receive))
        if not CODE.fullmatch(code) or part not in ("", "stats"):
            return answer(404, {"error": "no such URL"})
        if method == "GET":
            return await self._show(code, with_clicks=part == "stats")
        if method == "DELETE" and not part:
            was_there = await self.service.remove(code)
            return Response(204) if was_there else answer(404, {"error": "no such URL"})
        return answer(405, {"error": f"{method} is not for this path"})

    async def _create(self, scope: Scope, body: bytes) -> Response:
        headers = dict(scope["headers"])
        key = headers.get(b"idempotency-key")
        new = parse_new_url(body, key.decode("latin-1") if key is not None else None)
        url, is_new = await self.service.add(new)
        host = headers.get(b"host", b"localhost").decode("latin-1")
        value = {"code": url.code, "url": url.long_url, "short_url": f"http://{host}/{url.code}"}
        return answer(201 if is_new else 200, value, [(b"x-db-node", url.node.encode())])

    async def _show(self, code: str, *, with_clicks: bool) -> Response:
        url = await self.service.database.find(code)
        if url is None:
            return answer(404, {"error": "no such URL"})
        value: dict[str, Any] = {
            "code": url.code,
            "url": url.long_url,
            "created_at": url.created_at.isoformat(),
            "expires_at": url.expires_at.isoformat() if url.expires_at else None,
        }
        if with_clicks:
            value["clicks"] = await self.service.database.clicks(code)
        return answer(200, value, [(b"x-db-node", url.node.encode())])

    async def _health(self) -> Response:
        return answer(200, {"status": "healthy", "server": self._settings.server})

    async def _ready(self) -> Response:
        """Asks every dependency once: 200 only if Redis, primary and replicas all answer."""

        async def ping(connection: Any) -> None:
            await connection.execute("SELECT 1")

        service, parts = self.service, {}
        for pool in (service.database.primary, service.database.replicas):
            try:
                await pool.run(ping)
                parts[pool.breaker.name] = True
            except Unavailable:
                parts[pool.breaker.name] = False
        try:
            await service.redis.ping()
            parts["redis"] = True
        except REDIS_ERRORS:
            parts["redis"] = False
        return answer(200 if all(parts.values()) else 503, {"ready": parts})

    async def _show_metrics(self) -> Response:
        text = self._metrics.text(self.service)
        return Response(200, text, [(b"content-type", b"text/plain; version=0.0.4")])

    async def _show_breakers(self) -> Response:
        log = self.service.log
        entries = [
            {**asdict(entry), "from": entry.from_state, "to": entry.to_state}
            for entry in log.entries
        ]
        value = {
            "server": self._settings.server,
            "boot": log.boot,
            "monotonic_s": monotonic(),
            "breakers": {b.name: _breaker_state(b) for b in self.service.breakers},
            "transitions": entries,
        }
        return answer(200, value, [(b"cache-control", b"no-store")])


PAGES: dict[str, Callable[[App], Awaitable[Response]]] = {
    "/health": App._health,
    "/ready": App._ready,
    "/metrics": App._show_metrics,
    "/debug/breakers": App._show_breakers,
}


class Metrics:
    """What Prometheus reads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "shortener_request_seconds",
            "Time to answer",
            ["operation", "status"],
            registry=self._registry,
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5),
        )
        self._dropped = Counter("shortener_clicks_dropped", "Lost clicks", registry=self._registry)
        self._open = Gauge("shortener_breaker_open", "1: open", ["name"], registry=self._registry)
        self._pool = Gauge("shortener_pool_used", "In use", ["name"], registry=self._registry)
        self._dropped_seen = 0

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._seconds.labels(operation, str(status)).observe(seconds)

    def text(self, service: Service) -> bytes:
        """All metrics as text."""
        self._dropped.inc(service.clicks.dropped - self._dropped_seen)
        self._dropped_seen = service.clicks.dropped
        for breaker in service.breakers:
            self._open.labels(breaker.name).set(0 if breaker.is_closed else 1)
        for pool in (service.database.primary, service.database.replicas):
            self._pool.labels(pool.breaker.name).set(pool.usage()[0])
        return generate_latest(self._registry)


async def read_body(receive: Receive) -> bytes:
    """The whole body; Invalid if it is larger than a request may be."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise Invalid(f"the body has more than {BODY_MAX} bytes")
        if not message.get("more_body"):
            return body


def _breaker_state(breaker: Any) -> dict[str, Any]:
    times = sorted(breaker.fast_fail_times_s)
    return {
        "state": breaker.state,
        "failures": breaker.failures,
        "threshold": breaker.threshold,
        "cooldown_s": breaker.cooldown_s,
        "fast_fails": breaker.fast_fails,
        "fast_fail_p99_s": times[int(len(times) * 0.99)] if times else None,
    }
