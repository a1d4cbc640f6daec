"""What tracing costs an app server: processor time of requests plain, unsampled and sampled.

`python benchmarks/tracing_cost.py [ROUNDS [REQUESTS]]`; needs no Docker; without arguments 5 rounds
of 4,000 requests a kind. The bundled app answers redirects out of its own cache, in one process,
with its real outbox: every batch of spans goes by HTTP to a server in another process, which takes
and drops it. All processor time of the app's process counts, the sending thread's too. A round has
every kind once; figures are medians of rounds. From them comes what the limit is about: the share
of a core for 1,752 requests/s of which each hundredth is sampled, with 40 canaries/s that all are.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from time import process_time, sleep, time_ns
from typing import Any

import common

sys.path.insert(0, str(common.ROOT / "target" / "shortener"))

from shortener.app import App
from shortener.link import Link
from shortener.settings import read_settings

RATE_PER_S, SAMPLED_SHARE, CANARIES_PER_S = 1752.0, 0.01, 40.0
CORE_SHARE_MAX = 0.07
FLUSH_S = 0.8
"""More than the outbox waits between two batches."""
BATCH = 500
"""Requests between two such pauses: three spans each, and the queue has room for 2,000."""
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
KINDS = {"plain": None, "unsampled": TRACE + b"00", "sampled": TRACE + b"01"}
SINK = """
import http.server
class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


def main(rounds: int, requests: int) -> int:
    """Measure each kind in each round, print the medians, hold the share of a core to its limit."""
    with subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) as sink:
        try:
            assert sink.stdout is not None
            app = _app(int(sink.stdout.readline()))
            cost_us, lost = asyncio.run(_rounds(app, rounds, requests))
        finally:
            sink.terminate()
    unsampled_us = cost_us["unsampled"] - cost_us["plain"]
    sampled_us = cost_us["sampled"] - cost_us["plain"]
    of_load = RATE_PER_S * ((1 - SAMPLED_SHARE) * unsampled_us + SAMPLED_SHARE * sampled_us)
    share = (of_load + CANARIES_PER_S * sampled_us) / 1e6
    figures = [
        *(common.Figure(f"{kind}_us", value, "us") for kind, value in cost_us.items()),
        common.Figure("lost_spans", lost, "spans", 0),
        common.Figure("core_share", share, "", CORE_SHARE_MAX),
    ]
    return common.show("tracing_cost", figures, rounds=rounds, requests=requests)


def _app(port: int) -> App:
    """An app that knows one link, and has nothing but the sink behind it."""
    nowhere = {
        "SERVER_NAME": "app-1",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DB_RW_DSN": "postgresql://app@127.0.0.1:1/app",
        "DB_RO_DSN": "postgresql://app@127.0.0.1:1/app",
        "SPANS_URL": f"http://127.0.0.1:{port}/api/v2/spans",
    }
    return App(read_settings(nowhere))


async def _rounds(app: App, rounds: int, requests: int) -> tuple[dict[str, float], float]:
    """Processor time for a request of each kind in microseconds, and how many spans were lost."""
    assert app.tracing is not None
    app.service.local.put("abc", Link("https://example.com/abc"))
    app.tracing.outbox.start()
    while not app.tracing.outbox.is_open:
        await asyncio.sleep(0.05)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, value in KINDS.items():
            found[kind].append(await _one_round(app, value, requests))
    counts = app.tracing.outbox.counts
    app.tracing.outbox.close()
    lost = counts.dropped + 3 * counts.untraced + abs(3 * rounds * requests - counts.exported)
    return {kind: median(each) for kind, each in found.items()}, lost


async def _one_round(app: App, value: bytes | None, requests: int) -> float:
    started_s = process_time()
    for number in range(requests):
        await _ask(app, value)
        if value == KINDS["sampled"] and number % BATCH == BATCH - 1:
            sleep(FLUSH_S)
    return (process_time() - started_s) / requests * 1e6


async def _ask(app: App, value: bytes | None) -> None:
    """One redirect, as the load balancer passes it on."""
    stamp = b"%d %d" % divmod(time_ns() // 1000 - 500, 10**6)
    headers = [(b"host", b"example.com"), (b"x-edge-start", stamp), (b"x-lb-start", stamp)]
    if value is not None:
        headers.append((b"traceparent", value))
    scope = {"type": "http", "method": "GET", "path": "/abc", "headers": headers}
    await app(scope, _nothing, _take)


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _take(message: dict[str, Any]) -> None:
    assert message.get("status", 302) == 302, message


def _arguments(given: Sequence[str]) -> tuple[int, int]:
    rounds, requests = [*map(int, given), *(5, 4000)[len(given) :]]
    return rounds, requests


if __name__ == "__main__":
    sys.exit(main(*_arguments(sys.argv[1:])))
