"""The HTTP face: a bare ASGI application, because routing by hand costs the least CPU."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import cached_property
from time import monotonic, time
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from shortener.admission import Admission
from shortener.asgi import (
    NO_STORE,
    Headers,
    Receive,
    Response,
    Scope,
    Send,
    TooLarge,
    answer,
    read_body,
)
from shortener.breaker import Breaker, Transition
from shortener.database import AliasTaken, Unavailable, Url
from shortener.log import link_created, request_failed, trace_id
from shortener.metrics import Metrics
from shortener.sampled import SpanCounts, is_sampled, traceparent
from shortener.service import Expired, Found, Service
from shortener.settings import Settings
from shortener.span_outbox import SpanOutbox
from shortener.tracing import Tracing
from shortener.validation import CODE, Invalid, parse_new_url

API = "/api/v1/urls"
BELOW_API = f"{API}/"
REFUSALS: dict[type[Exception], tuple[int, str]] = {
    Invalid: (400, ""),
    AliasTaken: (409, "this alias is taken"),
    Expired: (410, "this URL has expired"),
    TooLarge: (413, ""),
}
TIME_LIMITS = (
    *("redis_timeout_s", "db_timeout_s", "db_read_timeout_s", "read_deadline_s"),
    "connect_timeout_s",
)
TOLD = {b"x-cache": "cache", b"x-db-node": "node"}
"""The headers of an answer that its span has too, under these names."""
EDGE_TTL_S = 3600  # what the edge keeps at most
NO_CONTENT = 204


class App:
    """One app server."""

    def __init__(self, settings: Settings, wall_clock: Callable[[], float] = time) -> None:
        self._settings = settings
        self._served_by = (b"x-served-by", settings.server.encode())
        self.admission = Admission(wall_clock)
        self.metrics = Metrics()
        self.tracing = make_tracing(settings)

    @cached_property
    def service(self) -> Service:
        """The parts; made when first asked for, for asyncpg's pools belong to the loop of then."""
        return Service(self._settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        started_s = monotonic()
        parent = traceparent(scope["headers"])
        if parent is not None and self.tracing is not None and is_sampled(parent[1]):
            response = await self._traced(self.tracing, parent[1], scope, receive)
        else:
            response = self._at_once(scope) or await self._respond(scope, receive)
        headers = [self._served_by, *response.headers]
        if response.status != NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(response.body)))
        if parent is not None:
            headers.append(parent)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})
        operation = operation_of(scope["method"], scope["path"])
        self.metrics.observe(operation, response.status, monotonic() - started_s)

    async def _traced(
        self, tracing: Tracing, parent: bytes, scope: Scope, receive: Receive
    ) -> Response:
        """The same with spans; without them while nobody would take them."""
        if not tracing.outbox.is_open:
            tracing.outbox.counts.untraced += 1
            return self._at_once(scope) or await self._respond(scope, receive)
        name = f"{scope['method']} {operation_of(scope['method'], scope['path'])}"
        with tracing.request(name, parent, scope["headers"]) as request:
            response = self._at_once(scope) or await self._respond(scope, receive)
            told = {TOLD[name]: value.decode() for name, value in response.headers if name in TOLD}
            request.answered(response.status, told)
        return response

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start the background tasks; at the end hand over what is in memory."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.service.start()
                if self.tracing is not None:
                    self.tracing.outbox.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.service.close()
                if self.tracing is not None:
                    self.tracing.outbox.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _at_once(self, scope: Scope) -> Response | None:
        """The answer if this server can tell by itself; pages are never refused."""
        path: str = scope["path"]
        if path == HEALTH:
            return self._health()
        if path in PAGES:
            return None
        if (refusal := self.admission.refusal(scope)) is not None:
            return refusal
        if scope["method"] != "GET" or (found := self.service.find_local(path[1:])) is None:
            return None
        self.service.clicks.add(path[1:])
        return self._found(found)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        try:
            with self.admission:
                return await self._dispatch(scope, receive)
        except Exception as error:  # noqa: BLE001 - the rim: every error becomes an answer
            return failure(error, scope["method"], scope["path"], trace_id(scope["headers"]))

    async def _dispatch(self, scope: Scope, receive: Receive) -> Response:
        path, method = scope["path"], scope["method"]
        if _is_of_api(path):
            return await self._api(scope, receive)
        if method not in ("GET", "HEAD"):
            return answer(405, {"error": "only GET"}, [(b"allow", b"GET")])
        if path in PAGES:
            return await PAGES[path](self)
        return await self._redirect(path[1:], is_click=method == "GET")

    async def _redirect(self, code: str, *, is_click: bool) -> Response:
        found = await self.service.find(code) if CODE.fullmatch(code) else None
        if found is None:
            return answer(404, {"error": "no such URL"}, [NO_STORE])
        if is_click:
            self.service.clicks.add(code)
        return self._found(found)

    def _found(self, found: Found) -> Response:
        """The redirect."""
        self.metrics.found(found.tier)
        headers = [
            (b"location", found.long_url.encode()),
            (b"x-cache", found.tier.encode()),
            (b"cache-control", _max_age(found.left_s)),
        ]
        if found.node:
            headers += _of_database(found)
        return Response(302, b"", headers)

    async def _api(self, scope: Scope, receive: Receive) -> Response:
        method, rest = scope["method"], scope["path"][len(API) + 1 :]
        if not rest and method == "POST":
            return await self._create(scope, await read_body(receive))
        code, _, part = rest.partition("/")
        if not CODE.fullmatch(code) or part not in ("", "stats"):
            return answer(404, {"error": "no such URL"}, [NO_STORE])
        if method == "GET":
            return await self._show(code, with_clicks=part == "stats")
        if method == "PUT" and not part:
            return await self._change(code, await read_body(receive))
        return await self._remove(method if not part else "", code)

    async def _remove(self, method: str, code: str) -> Response:
        if method != "DELETE":
            return answer(405, {"error": "this path does not take this method"})
        if await self.service.remove(code):
            return Response(204)
        return answer(404, {"error": "no such URL"})

    async def _change(self, code: str, body: bytes) -> Response:
        """Where the code leads from now on; nothing else of it can be changed."""
        new = parse_new_url(body, None)
        if new.alias is not None or new.ttl_s is not None:
            raise Invalid("only url can be changed")
        url = await self.service.change(code, new.url)
        if url is None:
            return answer(404, {"error": "no such URL"})
        return answer(200, {"code": url.code, "url": url.long_url})

    async def _create(self, scope: Scope, body: bytes) -> Response:
        headers = dict(scope["headers"])
        key = headers.get(b"idempotency-key")
        token = key.decode("latin-1") if key is not None else None
        url, is_new = await self.service.add(parse_new_url(body, token))
        link_created(url.code, token or "", trace_id(scope["headers"]))
        host = headers.get(b"host", b"localhost").decode("latin-1")
        value = {"code": url.code, "url": url.long_url, "short_url": f"http://{host}/{url.code}"}
        return answer(201 if is_new else 200, value, [(b"x-db-node", url.node.encode())])

    async def _show(self, code: str, *, with_clicks: bool) -> Response:
        url = await self.service.show(code)
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
        return answer(200, value, _of_database(url))

    def _health(self) -> Response:
        return answer(200, {"status": "healthy", "server": self._settings.server})

    async def _ready(self) -> Response:
        """200 only if Redis, primary and replicas all answer and all background tasks work."""
        parts = await self.service.readiness()
        breakers = {breaker.name: breaker.state for breaker in self.service.breakers}
        status = 200 if all(parts.values()) else 503
        sick = self.service.supervisor.sick()
        return answer(status, {"ready": parts, "breakers": breakers, "sick": sick}, [NO_STORE])

    async def _show_metrics(self) -> Response:
        spans = self.tracing.outbox.counts if self.tracing is not None else SpanCounts()
        text = self.metrics.text(self.service, spans)
        return Response(200, text, [(b"content-type", b"text/plain; version=0.0.4")])

    async def _show_breakers(self) -> Response:
        log = self.service.log
        value = {
            "server": self._settings.server,
            "boot": log.boot,
            "monotonic_s": monotonic(),
            "breakers": {b.name: _breaker_state(b) for b in self.service.breakers},
            "transitions": [_transition(entry) for entry in log.entries],
        }
        return answer(200, value, [(b"cache-control", b"no-store")])

    async def _show_settings(self) -> Response:
        """Every time limit in seconds; nothing that is secret."""
        limits = {k: v for k, v in asdict(self._settings).items() if k in TIME_LIMITS}
        return answer(200, limits, [NO_STORE])


def _of_database(found: Found | Url) -> list[tuple[bytes, bytes]]:
    """Which node answered, and how old that may be where it is a replica that says it."""
    headers = [(b"x-db-node", found.node.encode())]
    if found.age_s is not None:
        headers.append((b"x-data-age", b"%.1f" % found.age_s))
    return headers


HEALTH = "/health"
PAGES: dict[str, Callable[[App], Awaitable[Response]]] = {
    "/ready": App._ready,
    "/metrics": App._show_metrics,
    "/debug/breakers": App._show_breakers,
    "/debug/settings": App._show_settings,
}


def make_tracing(settings: Settings) -> Tracing | None:
    """What makes spans, None if they have nowhere to go."""
    if not settings.spans_url:
        return None
    return Tracing(settings.server, SpanOutbox(settings.spans_url, settings.server))


def _is_of_api(path: str) -> bool:
    return path == API or path.startswith(BELOW_API)


def operation_of(method: str, path: str) -> str:
    """What a request is about, for the metrics."""
    if _is_of_api(path):
        if method == "GET":
            return "stats" if path.endswith("/stats") else "show"
        return {"POST": "create", "PUT": "update", "DELETE": "delete"}.get(method, "other")
    if path == HEALTH or path in PAGES:
        return path[1:]
    return "redirect" if method in ("GET", "HEAD") else "other"


def failure(error: Exception, method: str, path: str, trace: str = "") -> Response:
    """The answer for what went wrong, by the kind of error; what is not the client's is logged."""
    if isinstance(error, tuple(REFUSALS)):
        status, message = REFUSALS[type(error)]
        return answer(status, {"error": message or str(error)}, [NO_STORE])
    if isinstance(error, Unavailable | asyncpg.PostgresError):
        request_failed(error, f"{method} {path}", trace)
    # 424 tells the load balancer that this server is well, only its database is not; it turns
    # that into a 503, and keeps the server.
    dependency_status = 424 if method in ("GET", "HEAD") else 503
    if isinstance(error, Unavailable):
        headers = [*_attempted(method, maybe=error.attempted), (b"retry-after", b"1")]
        return answer(dependency_status, {"error": str(error)}, headers)
    maybe = _attempted(method, maybe=True)
    if isinstance(error, asyncpg.PostgresError):
        message = f"database: {type(error).__name__}"
        return answer(dependency_status, {"error": message}, maybe)
    logging.error("%s %s", method, path, exc_info=error, extra={"trace_id": trace})
    return answer(500, {"error": "internal error; the server's log has more"}, maybe)


def _attempted(method: str, *, maybe: bool) -> Headers:
    """For a write that failed: whether it may have been done; nothing for a read."""
    if method in ("GET", "HEAD"):
        return [NO_STORE]
    return [(b"x-write-attempted", b"maybe" if maybe else b"no")]


def _max_age(left_s: float | None) -> bytes:
    """How long caches may keep a redirect: never beyond its expiry."""
    if left_s is None or left_s >= EDGE_TTL_S:
        return b"public, max-age=3600"
    return b"public, max-age=%d" % int(left_s) if left_s >= 1 else b"no-store"


def _transition(entry: Transition) -> dict[str, Any]:
    value = asdict(entry)
    value["from"], value["to"] = value.pop("from_state"), value.pop("to_state")
    return value


def _breaker_state(breaker: Breaker) -> dict[str, Any]:
    times = sorted(breaker.fast_fail_times_s)
    return {
        "state": breaker.state,
        "enabled": breaker.enabled,
        "failures": breaker.failures,
        "threshold": breaker.threshold,
        "cooldown_s": breaker.cooldown_s,
        "fast_fails": breaker.fast_fails,
        "fast_fail_p99_s": times[int(len(times) * 0.99)] if times else None,
    }
