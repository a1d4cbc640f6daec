"""Arrivals a second that one core makes, everything recorded, beside what its peers make of it.

`python benchmarks/arrivals.py [ROUNDS [SECONDS]]`; without arguments 3 rounds of 5 s. Each client
runs alone on core 0 over the same number of kept-alive connections, nginx on core 1; a round has
every client once. Rate and CPU are those of a window that begins when the client is up to speed,
counted by nginx and by the kernel, the same way for all. The harness is told a rate just over what
it can answer; its figure is the smaller one of successes recorded on disk, over the time from the
first arrival until the last file is written. `harness_held_per_s` is the highest rate, searched
with no bound on connections, of which 99.9 % are sent within 10 ms of their time and succeed.
`harness_redirects` asks for a key each time and checks the place that it is sent to: no answer is
like the one before, as with the bundled target.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import common
import pandas as pd
import psutil
from load_tools import peers
from load_tools.engine import READ, engine, make_config, read_samples
from load_tools.nginx import Nginx, nginx

from harness.analysis.load_health import ON_TIME_S
from harness.bundled.traffic import OPERATIONS
from harness.model.load import Operation

CLIENT_CORE, SERVER_CORE, CONNECTIONS = 0, 1, 64
SETTLE_S, START_MAX_S, PROBE_S = 1.0, 30.0, 2.0
PROBE_PER_S, OVERLOAD = 90_000.0, 1.1
SEARCH_STEPS, SEARCH_TRIES = 6, 2
ON_TIME_SHARE = RECORDED_SHARE = 0.999
AT_LEAST = {"vegeta": 1.3, "k6": 3.0, "locust_fast": 4.0}
HARNESS, REDIRECTS = "harness", "harness_redirects"
REDIRECT = {"redirect": OPERATIONS["redirect"]}


@dataclass(frozen=True, slots=True)
class Window:
    """What one client did in one round."""

    rate_per_s: float
    cpu_us: float  # user and system time of its processes for each request
    connections: int


def main(rounds: int, window_s: float) -> int:
    """Measure every client in every round, print the medians, hold their ratios to the limits."""
    os.sched_setaffinity(0, {SERVER_CORE})
    windows: dict[str, list[Window]] = {}
    with TemporaryDirectory() as temporary, nginx(SERVER_CORE) as server:
        bench = _Bench(server, Path(temporary), window_s)
        rate_per_s = OVERLOAD * bench.answered_per_s(PROBE_PER_S)
        for _ in range(rounds):
            windows.setdefault(HARNESS, []).append(bench.harness(rate_per_s))
            windows.setdefault(REDIRECTS, []).append(bench.harness(rate_per_s, REDIRECT))
            folder = bench.new_folder()
            commands = peers.as_fast_as_possible(server.url, CONNECTIONS, folder)
            for tool, command in commands.items():
                windows.setdefault(tool, []).append(bench.peer(tool, command))
        held_per_s = bench.held_per_s(median(w.rate_per_s for w in windows[HARNESS]))
    medians = {tool: _median(each) for tool, each in windows.items()}
    _print_table(windows, medians)
    return common.show(
        "arrivals",
        _figures(medians, held_per_s, min(bench.recorded_shares)),
        rounds=rounds,
        window_s=window_s,
        connections={tool: window.connections for tool, window in medians.items()},
        cpu_us_per_request={tool: round(w.cpu_us, 2) for tool, w in medians.items()},
        rates_per_s={t: [round(w.rate_per_s) for w in each] for t, each in windows.items()},
    )


class _Bench:
    def __init__(self, server: Nginx, folder: Path, window_s: float) -> None:
        self._server, self._folder, self._window_s = server, folder, window_s
        self._runs = 0
        self.recorded_shares: list[float] = []  # of what nginx answered

    def new_folder(self) -> Path:
        self._runs += 1
        folder = self._folder / str(self._runs)
        folder.mkdir()
        return folder

    def peer(self, tool: str, command: list[str]) -> Window:
        """One window of a client that is killed afterwards."""
        pinned = ["taskset", "-c", str(CLIENT_CORE), *command]
        log = self._folder / f"{tool}.log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                pinned,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
                env={**os.environ, **peers.ENVIRONMENT},
            )
        try:
            return self._window(child, log)
        finally:
            child.kill()
            child.wait(10)

    def harness(self, rate_per_s: float, operations: Mapping[str, Operation] = READ) -> Window:
        """One window of the engine, its rate taken from what it wrote."""
        folder = self.new_folder()
        config = make_config(
            folder,
            self._server.port,
            rate_per_s,
            in_flight_max=CONNECTIONS,
            operations=operations,
        )
        before = self._server.counters().requests
        with engine(config, CLIENT_CORE) as process:
            start_s = process.begin()
            window = self._window(process.child)
            took_s = process.stop() - start_s
        recorded = int(read_samples(folder)["ok"].sum())
        self.recorded_shares.append(recorded / (self._server.counters().requests - before))
        return Window(recorded / took_s, window.cpu_us, window.connections)

    def answered_per_s(self, rate_per_s: float) -> float:
        """Successes a second that the engine records in a short run at this rate."""
        samples, took_s = self._record(rate_per_s, in_flight_max=CONNECTIONS)
        return int(samples["ok"].sum()) / took_s

    def held_per_s(self, high_per_s: float) -> float:
        """The highest rate up to `high_per_s` of which 99.9 % are sent within 10 ms and succeed."""
        low_per_s = 0.0
        for _ in range(SEARCH_STEPS):
            middle_per_s = (low_per_s + high_per_s) / 2
            if any(self._holds(middle_per_s) for _ in range(SEARCH_TRIES)):
                low_per_s = middle_per_s
            else:
                high_per_s = middle_per_s
        return low_per_s

    def _holds(self, rate_per_s: float) -> bool:
        samples, _ = self._record(rate_per_s)
        on_time = samples["ok"] & (samples["sent_s"] - samples["intended_s"] <= ON_TIME_S)
        return bool(on_time.sum() >= ON_TIME_SHARE * max(len(samples), rate_per_s * PROBE_S))

    def _record(self, rate_per_s: float, in_flight_max: int = 0) -> tuple[pd.DataFrame, float]:
        """What the engine recorded, and how long it took until all was written."""
        folder = self.new_folder()
        config = make_config(folder, self._server.port, rate_per_s, in_flight_max=in_flight_max)
        with engine(config, CLIENT_CORE) as process:
            start_s = process.begin()
            sleep(max(0.0, start_s + PROBE_S - monotonic()))
            took_s = process.stop() - start_s
        return read_samples(folder), took_s

    def _window(self, child: subprocess.Popen[bytes], log: Path | None = None) -> Window:
        self._wait_for_requests(child, log)
        sleep(SETTLE_S)
        process = psutil.Process(child.pid)
        before, before_cpu_s = self._server.counters(), _cpu_s(process)
        sleep(self._window_s)
        after, after_cpu_s = self._server.counters(), _cpu_s(process)
        requests = after.requests - before.requests
        return Window(
            rate_per_s=requests / (after.at_s - before.at_s),
            cpu_us=(after_cpu_s - before_cpu_s) / requests * 1e6,
            connections=after.connections,
        )

    def _wait_for_requests(self, child: subprocess.Popen[bytes], log: Path | None) -> None:
        before = self._server.counters().requests
        deadline_s = monotonic() + START_MAX_S
        while self._server.counters().requests <= before + CONNECTIONS:
            if child.poll() is not None or monotonic() > deadline_s:
                said = log.read_text()[-500:] if log else ""
                raise RuntimeError(f"{child.args!r} sent nothing: {said}")
            sleep(0.05)


def _cpu_s(process: psutil.Process) -> float:
    tree = [process, *process.children(recursive=True)]
    times = [each.cpu_times() for each in tree]
    return float(sum(each.user + each.system for each in times))


def _median(windows: list[Window]) -> Window:
    return Window(
        median(window.rate_per_s for window in windows),
        median(window.cpu_us for window in windows),
        round(median(window.connections for window in windows)),
    )


def _print_table(windows: dict[str, list[Window]], medians: dict[str, Window]) -> None:
    sys.stdout.write(f"{'client':<18}{'req/s':>9}{'spread':>16}{'CPU us':>9}{'conn.':>7}{'x':>7}\n")
    for tool, window in sorted(medians.items(), key=lambda item: -item[1].rate_per_s):
        rates = [each.rate_per_s for each in windows[tool]]
        spread = f"{min(rates):.0f}..{max(rates):.0f}"
        ratio = medians[HARNESS].rate_per_s / window.rate_per_s
        row = f"{tool:<18}{window.rate_per_s:>9.0f}{spread:>16}{window.cpu_us:>9.1f}"
        sys.stdout.write(f"{row}{window.connections:>7}{ratio:>7.2f}\n")


def _figures(
    medians: dict[str, Window], held_per_s: float, recorded_share: float
) -> list[common.Figure]:
    ours = medians[HARNESS].rate_per_s
    rates = [common.Figure(f"{t}_per_s", w.rate_per_s, "1/s") for t, w in medians.items()]
    ratios = [
        common.Figure(f"ratio_{t}", ours / w.rate_per_s, "x", AT_LEAST.get(t), at_least=True)
        for t, w in medians.items()
        if t not in (HARNESS, REDIRECTS)
    ]
    return [
        *rates,
        common.Figure("harness_held_per_s", held_per_s, "1/s"),
        common.Figure("harness_recorded_share", recorded_share, "", RECORDED_SHARE, at_least=True),
        *ratios,
    ]


if __name__ == "__main__":
    sys.exit(
        main(
            int(sys.argv[1]) if len(sys.argv) > 1 else 3,
            float(sys.argv[2]) if len(sys.argv) > 2 else 5.0,
        )
    )
