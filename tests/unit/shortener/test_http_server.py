"""The HTTP server against a transport in memory: what it answers, refuses and bounds."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from shortener import http_server
from shortener.http_server import (
    BODY_MAX,
    HEADER_BYTES_MAX,
    REQUESTS_MAX,
    HttpConnection,
    HttpServer,
    Response,
)


class Transport:
    """Keeps what is written."""

    def __init__(self):
        self.written, self.is_closed, self.reads = b"", False, True

    def write(self, data):
        self.written += data

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        self.reads = True

    @property
    def statuses(self):
        heads = self.written.split(b"HTTP/1.1 ")[1:]
        return [int(head[:3]) for head in heads]


def connect(server):
    connection, transport = HttpConnection(server), Transport()
    connection.connection_made(transport)
    return connection, transport


def make(handler=None, now_s=1000.0):
    clock = SimpleNamespace(now_s=now_s)
    seen = []

    def at_once(request):
        seen.append(request)
        return Response(200, b"hello")

    server = HttpServer(handler or at_once, "app-1", {"/health"}, lambda: clock.now_s)
    return server, *connect(server), seen


def get(path="/abc", *headers, method="GET"):
    lines = [f"{method} {path} HTTP/1.1", "Host: h", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_a_request_in_any_pieces_is_answered_once():
    raw = get("/abc?x=1", "X-Y: z")
    for size in range(1, len(raw)):
        _, connection, transport, seen = make()
        for start in range(0, len(raw), size):
            connection.data_received(raw[start : start + size])
        assert [(r.method, r.path) for r in seen] == [("GET", "/abc")]
        assert (b"x-y", b"z") in seen[0].headers
        assert transport.statuses == [200]
        assert transport.written.endswith(b"\r\n\r\nhello")
        assert b"x-served-by: app-1\r\n" in transport.written
        assert not transport.is_closed


@pytest.mark.parametrize(
    ("target", "path"),
    [("/a%2Fb", "/a/b"), ("/a?b=/c", "/a"), ("http://h:1/abc?d", "/abc"), ("/", "/")],
)
def test_the_path_is_decoded_and_without_its_query(target, path):
    _, connection, _, seen = make()
    connection.data_received(get(target))
    assert seen[0].path == path


def test_head_has_the_length_and_no_body():
    _, connection, transport, _ = make()
    connection.data_received(get(method="HEAD"))
    assert b"content-length: 5\r\n" in transport.written
    assert transport.written.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("raw", [get("/abc", "Connection: close"), b"GET /abc HTTP/1.0\r\n\r\n"])
def test_it_closes_when_the_client_wants_no_more(raw):
    _, connection, transport, _ = make()
    connection.data_received(raw)
    assert transport.statuses == [200]
    assert transport.is_closed


def test_a_body_comes_whole_and_too_large_a_one_is_refused():
    _, connection, transport, seen = make()
    head = f"POST /api HTTP/1.1\r\nContent-Length: {BODY_MAX}\r\n\r\n".encode()
    connection.data_received(head + b"x" * 10)
    connection.data_received(b"x" * (BODY_MAX - 10))
    assert seen[0].body == b"x" * BODY_MAX
    connection.data_received(
        f"POST /api HTTP/1.1\r\nContent-Length: {BODY_MAX + 1}\r\n\r\n".encode()
    )
    connection.data_received(b"x" * (BODY_MAX + 1))
    assert transport.statuses == [200, 413]
    assert len(seen) == 1


@pytest.mark.parametrize(
    "raw", [b"no http at all\r\n\r\n", get("/abc", "X: " + "y" * HEADER_BYTES_MAX)]
)
def test_what_is_no_request_is_refused_and_the_connection_closed(raw):
    _, connection, transport, seen = make()
    connection.data_received(raw)
    assert (transport.statuses, transport.is_closed, seen) == ([400], True, [])


def test_who_asks_before_sending_a_body_is_told_to_go_on():
    _, connection, transport, _ = make()
    connection.data_received(
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    )
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.data_received(b"x")
    assert transport.statuses == [100, 200]


def test_answers_keep_the_order_of_their_requests():
    async def run():
        gates = {"/1": asyncio.Event(), "/2": asyncio.Event()}

        async def later(request):
            await gates[request.path].wait()
            return Response(200, request.path.encode())

        server, connection, transport, _ = make(later)
        connection.data_received(get("/1") + get("/2"))
        gates["/2"].set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert transport.statuses == []
        gates["/1"].set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert transport.written.index(b"/1") < transport.written.index(b"/2")
        assert server.under_way == 0

    asyncio.run(run())


def test_what_is_more_than_it_can_do_is_refused_at_once_but_not_the_health_check():
    async def run():
        gate = asyncio.Event()

        async def later(request):
            await gate.wait()
            return Response(200)

        server = HttpServer(
            lambda r: Response(200) if r.path == "/health" else later(r), "app-1", {"/health"}
        )
        for _ in range(REQUESTS_MAX):
            connect(server)[0].data_received(get())
        connection, transport = connect(server)
        connection.data_received(get())
        connection.data_received(get(method="POST"))
        connection.data_received(get("/health"))
        assert transport.statuses == [429, 429, 200]
        assert transport.written.count(b"retry-after: 1\r\n") == 2
        assert transport.written.count(b"x-write-attempted: no\r\n") == 1
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        connection.data_received(get())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert transport.statuses[-1] == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("deadline", "status"),
    [("1000001", 200), ("1000000", 429), ("1", 429), ("soon", 200)],
)
def test_a_request_that_nobody_waits_for_any_more_is_no_work(deadline, status):
    _, connection, transport, seen = make(now_s=1000.0)
    connection.data_received(get("/abc", f"X-Deadline: {deadline}"))
    assert (transport.statuses, len(seen)) == ([status], status == 200)


def test_a_handler_that_fails_later_is_one_500_and_frees_its_place():
    async def run():
        async def broken(request):
            raise RuntimeError

        server, connection, transport, _ = make(broken)
        http_server.logging.disable(http_server.logging.CRITICAL)
        try:
            connection.data_received(get())
            for _ in range(3):
                await asyncio.sleep(0)
        finally:
            http_server.logging.disable(http_server.logging.NOTSET)
        assert (transport.statuses, server.under_way) == ([500], 0)

    asyncio.run(run())


def test_a_client_that_is_gone_is_written_nothing():
    async def run():
        gate = asyncio.Event()

        async def later(request):
            await gate.wait()
            return Response(200)

        server, connection, transport, _ = make(later)
        connection.data_received(get())
        connection.connection_lost(None)
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert (transport.written, server.connections, server.under_way) == (b"", 0, 0)

    asyncio.run(run())


def test_a_client_that_does_not_read_is_read_no_more():
    _, connection, transport, _ = make()
    connection.pause_writing()
    assert not transport.reads
    connection.resume_writing()
    assert transport.reads
