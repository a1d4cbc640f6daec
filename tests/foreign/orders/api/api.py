"""POST /orders/TOKEN takes an order, GET /orders/TOKEN shows it, GET /orders counts them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import psycopg
import redis.asyncio
import redis.exceptions
from aiohttp import web
from database import Database

UNAVAILABLE = (psycopg.Error, redis.exceptions.RedisError, OSError, TimeoutError)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def say_unavailable(request: web.Request, handler: Handler) -> web.StreamResponse:
    """503 for what will work again later."""
    try:
        async with asyncio.timeout(2):
            return await handler(request)
    except UNAVAILABLE as error:
        return web.json_response({"error": type(error).__name__}, status=503)


async def take(request: web.Request) -> web.Response:
    token = request.match_info["token"]
    async with request.app["lock"]:
        await request.app["database"].execute("insert into orders (token) values (%s)", (token,))
    await request.app["queue"].rpush("orders", token)
    return web.json_response({"token": token}, status=201)


async def show(request: web.Request) -> web.Response:
    async with request.app["lock"]:
        rows = await request.app["database"].execute(
            "select token, shipped from orders where token = %s", (request.match_info["token"],)
        )
    if not rows:
        return web.json_response({"error": "no such order"}, status=404)
    return web.json_response({"token": rows[0][0], "shipped": rows[0][1]})


async def count(request: web.Request) -> web.Response:
    async with request.app["lock"]:
        [row] = await request.app["database"].execute("select count(*) from orders", ())
    queued = await request.app["queue"].llen("orders")
    return web.json_response({"orders": row[0], "queued": queued})


def make_app() -> web.Application:
    app = web.Application(middlewares=[say_unavailable])
    app["lock"], app["database"] = asyncio.Lock(), Database()
    app["queue"] = redis.asyncio.from_url(
        os.environ["REDIS_URL"], socket_timeout=1, socket_connect_timeout=1
    )
    app.add_routes(
        [
            web.post("/orders/{token}", take),
            web.get("/orders/{token}", show),
            web.get("/orders", count),
        ]
    )
    return app


if __name__ == "__main__":
    web.run_app(make_app(), port=8000, access_log=None)
