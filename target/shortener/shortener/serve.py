"""Runs one app server: one process, one event loop."""

from __future__ import annotations

import asyncio
import logging
import signal

import uvloop

from shortener.app import HEALTH, PAGES, App
from shortener.http_server import HttpServer
from shortener.settings import read_settings

PORT = 8000


async def serve() -> None:
    """Serve until SIGTERM; then hand over what is in memory."""
    settings = read_settings()
    app = App(settings)
    server = HttpServer(app.handle, settings.server, {HEALTH, *PAGES})
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    app.service.start()
    await server.start("0.0.0.0", PORT)
    await told.wait()
    await server.stop()
    await app.service.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    uvloop.run(serve())
