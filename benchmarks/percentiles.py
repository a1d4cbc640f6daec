"""Response times reported for a server that stalls 1 s every 10 s, against the true ones.

`python benchmarks/percentiles.py [SECONDS]`; without an argument 20 s for each tool, 500 arrivals
a second. The server answers after 20 ms, but withholds all answers while it stalls. What a user on
an open schedule waits follows from the schedule, the stalls and the usual delay that the server
recorded; its percentiles are the truth. The harness' are those of its findings; only its error has
a limit. A tool whose workers wait for an answer before they send again does not see most of them.
Clients run on core 0, the server on core 1.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import common
import numpy as np
from load_tools import peers
from load_tools.engine import READ, engine, make_config, read_samples
from load_tools.stalling_server import StallingServer, Truth, stalling_server

from harness.analysis import analyze
from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.model.plan_json import plan_to_json
from harness.plan import make_plan
from harness.record.event_log import EventLog
from harness.record.folder import RunFolder

CLIENT_CORE, SERVER_CORE = 0, 1
RATE_PER_S, DELAY_S, STALL_S, PERIOD_S = 500, 0.020, 1.0, 10.0
WORKERS = 50  # of the tools whose workers wait for an answer before they send again
IN_FLIGHT = 600  # k6: enough for all that are due during a stall
SHARES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
JUDGED = ("p50", "p99", "p99.9")
K6_NAMES = ("med", "p(95)", "p(99)", "p(99.9)")
ERROR_MAX, END_MAX_S = 0.02, 30.0
EXPERIMENT = """\
title: A server that stalls 1 s every 10 s
load: {{entry: lb, rate: {rate}/s, mix: {{redirect: 1}}}}
phases: {{baseline: {duration_s}s}}
expect:
  baseline: {{redirect: [p99 < 2s]}}
"""
Percentiles = dict[str, float]
Tool = Callable[[StallingServer, Path, int], Percentiles]


def main(duration_s: int) -> int:
    """Ask every tool for its percentiles, print them beside the true ones."""
    os.sched_setaffinity(0, {SERVER_CORE})
    rows: dict[str, tuple[Percentiles, Percentiles]] = {}
    for name, tool in TOOLS.items():
        with (
            TemporaryDirectory() as temporary,
            stalling_server(SERVER_CORE, DELAY_S, STALL_S, PERIOD_S) as server,
        ):
            reported = tool(server, Path(temporary), duration_s)
            rows[name] = _true(server.truth(), duration_s), reported
    _print_table(rows)
    figures = [
        common.Figure(
            f"{name}_{share}_error",
            abs(reported[share] / true[share] - 1),
            limit=ERROR_MAX if name == "harness" and share in JUDGED else None,
        )
        for name, (true, reported) in rows.items()
        for share in SHARES
    ]
    facts = {name: {"true_s": true, "reported_s": found} for name, (true, found) in rows.items()}
    return common.show(
        "percentiles", figures, rate_per_s=RATE_PER_S, duration_s=duration_s, tools=facts
    )


def _true(truth: Truth, duration_s: int) -> Percentiles:
    due_s = truth.first_request_s + np.arange(RATE_PER_S * duration_s) / RATE_PER_S
    return _percentiles(truth.response_times_s(due_s))


def _percentiles(times_s: np.ndarray) -> Percentiles:
    found = np.percentile(times_s, list(SHARES.values()))
    return dict(zip(SHARES, (float(value) for value in found), strict=True))


def of_harness(server: StallingServer, path: Path, duration_s: int) -> Percentiles:
    """As in findings.json; p99.9, which is not there, by the same definition."""
    folder = RunFolder(path / "run")
    config = make_config(
        folder.path, server.port, RATE_PER_S, operations={"redirect": READ["read"]}
    )
    with engine(config, CLIENT_CORE) as process:
        start_s = process.begin()
        sleep(max(0.0, start_s + duration_s - monotonic()))
        process.stop()
    text = EXPERIMENT.format(rate=RATE_PER_S, duration_s=duration_s)
    experiment = parse_experiment(
        text.encode(), Path("stalls.yaml"), KINDS, None, shortener_traffic
    )
    folder.write_json("plan.json", plan_to_json(make_plan(experiment, 1), experiment))
    events = EventLog(folder)
    events.write(duration_s, "run.finished", status="completed")
    events.close()
    times = analyze(folder)["operations"]["redirect"]["baseline"]["response_time_s"]
    samples = read_samples(folder.path)
    samples = samples[samples["intended_s"] < duration_s]
    by_hand = _percentiles((samples["done_s"] - samples["intended_s"]).to_numpy())
    return {**by_hand, **{share: times[share] for share in ("p50", "p95", "p99")}}


def of_vegeta(server: StallingServer, folder: Path, duration_s: int) -> Percentiles:
    """Those of its report; p99.9, which is not there, of its HDR plot."""
    _run(peers.vegeta_at(server.url, RATE_PER_S, duration_s, folder), duration_s)
    file = str(folder / "vegeta.bin")
    report = json.loads(_run([peers.program("vegeta"), "report", "-type=json", file]))
    plot = _run([peers.program("vegeta"), "report", "-type=hdrplot", file]).splitlines()[1:]
    points = [tuple(float(word) for word in line.split()[:2]) for line in plot if line.strip()]
    values_ms, shares = zip(*points, strict=True)
    return {
        **{f"p{share}": report["latencies"][f"{share}th"] / 1e9 for share in (50, 95, 99)},
        "p99.9": float(np.interp(0.999, shares, values_ms)) / 1e3,
    }


def of_k6(server: StallingServer, folder: Path, duration_s: int) -> Percentiles:
    """Its `http_req_duration` under a constant arrival rate, with users enough."""
    facts = {"RATE": str(RATE_PER_S), "CONNECTIONS": str(IN_FLIGHT), "DURATION": f"{duration_s}s"}
    _run(peers.k6(server.url, folder, **facts), duration_s)
    found = json.loads((folder / "k6.json").read_text())["http_req_duration"]["values"]
    return {share: found[name] / 1e3 for share, name in zip(SHARES, K6_NAMES, strict=True)}


def of_hey(server: StallingServer, _: Path, duration_s: int) -> Percentiles:
    """Of the response times that it writes, its workers each held to their share of the rate."""
    text = _run(peers.hey_at(server.url, RATE_PER_S, duration_s, WORKERS), duration_s)
    rows = csv.DictReader(text.splitlines())
    return _percentiles(np.array([float(row["response-time"]) for row in rows]))


def of_locust(server: StallingServer, folder: Path, duration_s: int) -> Percentiles:
    """Its own, of users paced by `constant_throughput`."""
    path = folder / "locust.json"
    facts = {"PERCENTILES": str(path), "PER_USER_PER_S": str(RATE_PER_S / WORKERS)}
    command = peers.locust("Paced", server.url, WORKERS, "--run-time", f"{duration_s}s")
    _run(command, duration_s, **facts)
    found = json.loads(path.read_text())
    return {share: found[share] for share in SHARES}


TOOLS: dict[str, Tool] = {
    "harness": of_harness,
    "vegeta": of_vegeta,
    "k6": of_k6,
    "hey": of_hey,
    "locust": of_locust,
}


def _run(command: list[str], duration_s: float = 0.0, **environment: str) -> str:
    """What a tool says; RuntimeError with its words if it fails."""
    done = subprocess.run(
        ["taskset", "-c", str(CLIENT_CORE), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=duration_s + END_MAX_S,
        env={**os.environ, **peers.ENVIRONMENT, **environment},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _print_table(rows: dict[str, tuple[Percentiles, Percentiles]]) -> None:
    head = "".join(f"{share + ' true':>12}{'reported':>12}{'error':>9}" for share in SHARES)
    sys.stdout.write(f"{'ms':<9}{head}\n")
    for name, (true, reported) in rows.items():
        cells = (
            f"{true[s] * 1e3:>12.2f}{reported[s] * 1e3:>12.2f}{reported[s] / true[s] - 1:>9.1%}"
            for s in SHARES
        )
        sys.stdout.write(f"{name:<9}{''.join(cells)}\n")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
