"""A server whose behaviour, and each change of it, happens at a known monotonic time.

A process of its own (`GroundTruth`), so that the load generator's work cannot delay it. Modes:

    ok             302 to https://example.com/<key>, 201 for a POST, after `delay_s`
    refuse         nobody listens: connections are refused, open ones reset
    reset          each request is answered by a TCP reset
    hang           requests are read and never answered
    status_503     answered 503; `status_503_not_tried` adds X-Write-Attempted: no
                   and X-Attempt: 1
    wrong          a redirect to the wrong place
    close_idle     answers and closes the connection in one packet, without having said so
    answer_once    answers the first request of each connection; at the next one it closes it
    garbage half_head big_body mid_body chunked   malformed or unusual answers
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import ssl
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from time import monotonic

Step = tuple[float, str, float]  # seconds after the start, mode, delay_s
MALFORMED = {
    "garbage": b"\x00\xff not HTTP at all\r\n\r\n",
    "half_head": b"HTTP/1.1 302 Found\r\nLocation: https://exam",
    "mid_body": b"HTTP/1.1 302 Found\r\nContent-Length: 100\r\n\r\nonly this",
}
BIG_BODY = 100_000_000


class GroundTruth:
    """The server: `follow` starts a list of steps and tells when each one really happened."""

    def __init__(self, port: int, pipe: Connection) -> None:
        self.port = port
        self._pipe = pipe

    def set(self, mode: str, delay_s: float = 0.0) -> float:
        """Change the mode at once; the monotonic time at which it happened."""
        return self.follow(monotonic(), [(0.0, mode, delay_s)])[0]

    def begin(self, start_s: float, steps: list[Step]) -> None:
        """Have the steps happen at their offsets from `start_s` (monotonic); `times` has when."""
        self._pipe.send(("follow", start_s, steps))

    def times(self, timeout_s: float = 30) -> list[float]:
        """Monotonic times at which the steps begun last happened."""
        if not self._pipe.poll(timeout_s):
            raise TimeoutError(f"the ground truth server did not end its steps in {timeout_s} s")
        times: list[float] = self._pipe.recv()
        return times

    def follow(self, start_s: float, steps: list[Step]) -> list[float]:
        """`begin` and wait for the last step."""
        self.begin(start_s, steps)
        return self.times()

    def received(self) -> list[tuple[float, str, str]]:
        """(monotonic time, request line, body) of each request so far."""
        self._pipe.send(("received",))
        if not self._pipe.poll(10):
            raise TimeoutError("the ground truth server does not answer")
        rows: list[tuple[float, str, str]] = self._pipe.recv()
        return rows


@contextmanager
def ground_truth(certificate: str = "") -> Iterator[GroundTruth]:
    """A running server on a free port of 127.0.0.1; gone at the end.

    With a `certificate` (PEM file, its key in it) it speaks TLS.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, certificate), daemon=True)
    child.start()
    try:
        if not ours.poll(20):
            raise TimeoutError("the ground truth server did not start")
        yield GroundTruth(ours.recv(), ours)
    finally:
        child.kill()
        child.join(5)
        ours.close()
        theirs.close()


def _serve(pipe: Connection, certificate: str) -> None:
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    asyncio.run(_Server(pipe, context).run())


class _Server:
    def __init__(self, pipe: Connection, context: ssl.SSLContext | None) -> None:
        self._pipe, self._context = pipe, context
        self._mode, self._delay_s = "ok", 0.0
        self._received: list[tuple[float, str, str]] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        await self._listen()
        self._pipe.send(self._port)
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        loop.add_reader(self._pipe.fileno(), self._read_command, ended)
        await ended

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(
            self._handle,
            "127.0.0.1",
            self._port,
            backlog=4096,
            reuse_address=True,
            ssl=self._context,
        )
        self._port = self._listener.sockets[0].getsockname()[1]

    def _read_command(self, ended: asyncio.Future[None]) -> None:
        try:
            command = self._pipe.recv()
        except EOFError:
            ended.set_result(None)
            return
        if command[0] == "received":
            self._pipe.send(self._received)
        else:
            task = asyncio.ensure_future(self._follow(*command[1:]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _follow(self, start_s: float, steps: list[Step]) -> None:
        times = []
        for after_s, mode, delay_s in steps:
            await asyncio.sleep(max(0, start_s + after_s - monotonic()))
            times.append(await self._change(mode, delay_s))
        self._pipe.send(times)

    async def _change(self, mode: str, delay_s: float) -> float:
        """The moment from which no request is answered in the mode before."""
        was, self._mode, self._delay_s = self._mode, mode, delay_s
        at_s = monotonic()
        if mode == "refuse" and self._listener:
            self._listener.close()
            self._listener = None
            for writer in list(self._writers):
                _reset(writer)
        elif was == "refuse" and mode != "refuse":
            await self._listen()
            at_s = monotonic()
        return at_s

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer):
                if self._mode == "answer_once":
                    await reader.readuntil(b"\r\n\r\n")
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line = head.partition("\r\n")[0]
        body = ""
        for header in head.split("\r\n"):
            if header.lower().startswith("content-length:"):
                body = (await reader.readexactly(int(header.split(":")[1]))).decode()
        self._received.append((monotonic(), line, body))
        mode, delay_s = self._mode, self._delay_s
        if delay_s:
            await asyncio.sleep(delay_s)
        if mode == "reset":
            _reset(writer)
            return False
        if mode == "hang":
            await asyncio.sleep(3600)
        return await _write_answer(writer, mode, line, body)


async def _write_answer(writer: asyncio.StreamWriter, mode: str, line: str, body: str) -> bool:
    if mode in MALFORMED:
        writer.write(MALFORMED[mode])
        await writer.drain()
        if mode == "half_head":
            await asyncio.sleep(0.05)
        return False
    if mode == "big_body":
        writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: %d\r\n\r\n" % BIG_BODY)
        for _ in range(100):
            writer.write(b"x" * (BIG_BODY // 100))
            await writer.drain()
        return True
    if mode == "close_idle":
        _hold_until_closed(writer)
        writer.write(_answer(mode, line, body))
        writer.write_eof()
        return False
    writer.write(_answer(mode, line, body))
    await writer.drain()
    return True


def _answer(mode: str, line: str, body: str) -> bytes:
    method, path, _ = line.split(" ")
    extra, text = "X-Served-By: truth\r\nX-Cache: db\r\nX-Db-Node: db-1\r\n", ""
    if mode.startswith("status_503"):
        status = "503 Service Unavailable"
        extra += "X-Write-Attempted: no\r\nX-Attempt: 1\r\n" if mode.endswith("not_tried") else ""
    elif method == "POST":
        status, text = "201 Created", json.dumps({"code": "x", "url": json.loads(body)["url"]})
    else:
        status = "302 Found"
        extra += f"Location: https://{'wrong' if mode == 'wrong' else 'example'}.com{path}\r\n"
    if mode == "chunked":
        middle = f"{len(text):x}\r\n{text}\r\n" if text else ""
        return (
            f"HTTP/1.1 {status}\r\n{extra}Transfer-Encoding: chunked\r\n\r\n"
            f"3\r\nabc\r\n{middle}0\r\nX-Trailer: 1\r\n\r\n"
        ).encode()
    return f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def _hold_until_closed(writer: asyncio.StreamWriter) -> None:
    """Send nothing before the end of the connection is there to go with it."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset instead of an orderly end."""
    raw = writer.get_extra_info("socket")
    if raw.fileno() >= 0:  # else the client was gone first, while the answer hung
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


if __name__ == "__main__":
    with ground_truth() as server:
        sys.stdout.write(f"127.0.0.1:{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()
