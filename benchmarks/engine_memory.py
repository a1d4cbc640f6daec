"""Resident memory of the arrival engine while it makes many requests: flat, below 150 MiB.

`python benchmarks/engine_memory.py [REQUESTS [RATE]]`; without arguments 10,000,000 at 22,000 a
second, 8 minutes. The server, a process of its own, gives every request the same answer. Memory is
read twice a second; growth is from the largest value of the second tenth of the time to that of the
last.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic, sleep

import common
from typing_extensions import override

from harness.bundled.traffic import OPERATIONS
from harness.load.engine.config import EngineConfig
from harness.model.load import Keys, Load, Operation

LIMIT_MIB, GROWTH_MAX_MIB, STEP_S, END_MAX_S = 150.0, 10.0, 0.5, 60.0
ANSWER = (
    b"HTTP/1.1 302 Found\r\nLocation: https://example.com/one\r\nX-Served-By: app-1\r\n"
    b"X-Cache: local\r\nContent-Length: 0\r\n\r\n"
)


class _Redirect(asyncio.Protocol):
    """Answers each request head, however they are cut or joined."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._rest = transport, b""

    @override
    def data_received(self, data: bytes) -> None:
        """One answer for each head that is complete."""
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(heads))


def serve(pipe: Connection) -> None:
    """Tell the port, then serve until killed."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Redirect, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def server() -> Iterator[int]:
    """The port of a running server."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=serve, args=(theirs,), daemon=True)
    child.start()
    try:
        if not ours.poll(20):
            raise TimeoutError("the server did not start within 20 s")
        yield ours.recv()
    finally:
        child.kill()
        child.join(5)


class EngineProcess:
    """The engine as a run starts it; its reports are read in a thread."""

    def __init__(self, config: Path) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "harness.load.engine", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=common.ROOT,
        )
        self.requests = self.failures = self.dropped = 0
        self.cpu_s = 0.0
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def say(self, command: str) -> None:
        """Send one command."""
        assert self.child.stdin
        self.child.stdin.write(f"{command}\n".encode())
        self.child.stdin.flush()

    def resident_mib(self) -> float:
        """VmRSS now; RuntimeError if the engine is gone."""
        if self.child.poll() is not None:
            raise RuntimeError(f"the engine ended with exit code {self.child.returncode}")
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def end(self) -> None:
        """Stop it and read its last report."""
        self.say("stop 6")
        self.child.wait(END_MAX_S)
        self._reader.join(5)

    def _read(self) -> None:
        assert self.child.stdout
        for line in self.child.stdout:
            report = json.loads(line)
            for op in report.get("ops", ()):
                self.requests += op["num_requests"] - op["num_none_requests"]
                self.failures += op["num_failures"]
                self.dropped += op["num_none_requests"]
            self.cpu_s = report.get("cpu_s", self.cpu_s)


def write_config(folder: Path, port: int, rate_per_s: float) -> Path:
    """The engine's configuration: every key redirects to the same place."""
    redirect = OPERATIONS["redirect"].model_dump(mode="json")
    redirect["location"] = "https://example.com/one"
    load = Load(rate_per_s=rate_per_s, mix={"redirect": 1.0}, keys=Keys(population=100_000))
    config = EngineConfig(
        stream="main",
        run_id="memory",
        seed=1,
        endpoints=[("127.0.0.1", port)],
        load=load.model_dump(mode="json"),
        operations={"redirect": Operation(**redirect).model_dump(mode="json")},
        mix={"redirect": 1.0},
        samples=str(folder),
        rate_per_s=rate_per_s,
        max_duration_s=36_000,
    )
    path = folder / "engine.json"
    path.write_text(config.to_json())
    return path


def measure(requests: int, rate_per_s: float) -> tuple[EngineProcess, list[float]]:
    """The ended engine, and its memory at each step while it made the requests."""
    memory_mib = []
    with TemporaryDirectory() as temporary, server() as port:
        engine = EngineProcess(write_config(Path(temporary), port, rate_per_s))
        try:
            started_s = monotonic() + 1.0
            engine.say(f"begin {started_s!r}")
            duration_s = requests / rate_per_s
            while monotonic() < started_s + duration_s:
                sleep(STEP_S)
                memory_mib.append(engine.resident_mib())
            engine.end()
        finally:
            engine.child.kill()
    return engine, memory_mib


def main(requests: int, rate_per_s: float) -> int:
    """Measure, and hold against the limits."""
    engine, memory_mib = measure(requests, rate_per_s)
    tenth = max(1, len(memory_mib) // 10)
    early, late = max(memory_mib[tenth : 2 * tenth] or memory_mib), max(memory_mib[-tenth:])
    figures = [
        common.Figure("requests", engine.requests, limit=0.99 * requests, at_least=True),
        common.Figure("failures", engine.failures, limit=0.001 * requests),
        common.Figure("dropped", engine.dropped, limit=0.001 * requests),
        common.Figure("rate_per_s", rate_per_s, "1/s"),
        common.Figure("cpu_s", engine.cpu_s, "s"),
        common.Figure("first_mib", memory_mib[0], "MiB"),
        common.Figure("early_mib", early, "MiB"),
        common.Figure("late_mib", late, "MiB"),
        common.Figure("growth_mib", late - early, "MiB", GROWTH_MAX_MIB),
        common.Figure("peak_mib", max(memory_mib), "MiB", LIMIT_MIB),
    ]
    return common.show("engine_memory", figures)


if __name__ == "__main__":
    sys.exit(
        main(
            int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000,
            float(sys.argv[2]) if len(sys.argv) > 2 else 22_000.0,
        )
    )
