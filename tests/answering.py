"""A small HTTP server on a loopback port: it answers as a test says, and keeps what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

Reply = Callable[[str, str, bytes], tuple[int, bytes, dict[str, str]]]
"""From method, path and body to status, body and headers."""


class Answering:
    """`seen` are `METHOD path`, in the order in which they came; `bodies` by the same."""

    def __init__(self, reply: Reply) -> None:
        self.reply, self.seen, self.bodies = reply, list[str](), dict[str, bytes]()
        self.address: tuple[str, int] = ("127.0.0.1", 0)


@contextmanager
def answering(reply: Reply) -> Iterator[Answering]:
    """A server that runs in a thread of its own."""
    made = Answering(reply)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            line = f"{self.command} {self.path}"
            made.seen.append(line)
            made.bodies[line] = body
            status, answer, headers = made.reply(self.command, self.path, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815  # its names

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.address = ("127.0.0.1", server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
