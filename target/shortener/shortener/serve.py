"""Runs one app server: one process, one event loop."""

from __future__ import annotations

import uvicorn

from shortener.app import App
from shortener.log import log_as_json
from shortener.settings import read_settings


def main() -> None:
    """Serve on port 8000 until SIGTERM; then hand over what is in memory."""
    settings = read_settings()
    log_as_json(settings.server)
    uvicorn.run(
        App(settings),
        host="0.0.0.0",
        port=8000,
        loop="uvloop",
        http="httptools",
        ws="none",
        interface="asgi3",
        lifespan="on",  # a start that fails ends the process
        proxy_headers=False,  # nobody asks for the client's address
        access_log=False,
        log_config=None,  # its loggers write as all others do
        log_level="warning",
        server_header=False,
        timeout_keep_alive=90,  # longer than the load balancer keeps a connection idle
        timeout_graceful_shutdown=1,
        backlog=512,
    )


if __name__ == "__main__":
    main()
