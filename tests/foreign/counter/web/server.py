"""Counts visits in Redis; without Redis the page is served without a count."""

from __future__ import annotations

import os

import redis.asyncio
import redis.exceptions
from aiohttp import web

TIMEOUT_S = float(os.environ["REDIS_TIMEOUT_S"])
"""How long a visitor waits for the count; 0: until Redis answers."""


async def count(request: web.Request) -> str:
    """The number of visits, "?" if Redis does not answer in time."""
    try:
        return str(await request.app["counts"].incr("visits"))
    except (redis.exceptions.RedisError, OSError):
        return "?"


async def home(request: web.Request) -> web.Response:
    return web.Response(text=f"Welcome. You are visitor {await count(request)}.\n")


async def health(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def make_app() -> web.Application:
    app = web.Application()
    app["counts"] = redis.asyncio.from_url(
        os.environ["REDIS_URL"],
        socket_timeout=TIMEOUT_S or None,
        socket_connect_timeout=TIMEOUT_S or None,
    )
    app.add_routes([web.get("/", home), web.get("/health", health)])
    return app


if __name__ == "__main__":
    web.run_app(make_app(), port=3000, access_log=None)
