"""What one request costs in processor time, by part: LB, Toxiproxy, app servers, database ...

`python benchmarks/stack_cost.py [RATE [SECONDS]]`; needs Docker and built images, and leaves the
stack running. The load is that of the shipped experiments: at the load balancers, a main load in
their mix and canaries of 100/s for each operation that ask for cold keys. After a warm-up of 20 s
every counter is read, and again SECONDS later: microseconds of processor time for each request
sent in between. Containers are counted by their cgroups, docker-proxy, the engine and the
generator by their processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import common
import numpy as np
from stack_idle import Container, containers, engine_processes, process_cpu_s

from harness.adapters.clock import SystemClock
from harness.bundled.traffic import OPERATIONS, TRAFFIC
from harness.load.driver import LoadConfig, LoadDriver
from harness.lock import run_lock
from harness.model.load import Load
from harness.record.folder import RunFolder
from harness.session.project import Project

RATE_PER_S, SECONDS, WARMUP_S, LEAD_S = 400.0, 30.0, 20.0, 0.5
CANARY_RATE_PER_S = 100.0
COLD_KEYS = 300_000
PARTS = {
    "lb-": "lb",
    "app-": "app",
    "db-lb": "db-lb",
    "db-": "db",
    "etcd-": "etcd",
}
"""By how the service begins, the first that fits; other services are parts of their own."""


@dataclass(frozen=True)
class Costs:
    """What was sent, and the seconds of processor time that each part took meanwhile."""

    requests: int
    failed: int
    p95_ms: float
    cpu_s: dict[str, float]
    elapsed_s: float


def measure(project: Project, rate_per_s: float, seconds: float) -> Costs:
    """Send for the warm-up and `seconds` more; the costs of the latter."""
    with TemporaryDirectory() as temporary:
        now = datetime.now().astimezone()
        folder = RunFolder(Path(temporary) / f"{now:%Y%m%d-%H%M%S}-cost")
        folder.create()
        load = Load(
            entry="lb",
            rate_per_s=rate_per_s,
            mix={"redirect": 0.96, "create": 0.04},
            keys=TRAFFIC.keys,
            canary_rate_per_s=CANARY_RATE_PER_S,
        )
        config = LoadConfig(
            load=load,
            operations=OPERATIONS,
            endpoints=project.endpoints(load),
            seed=int(now.timestamp()),
            run_id=folder.run_id,
            duration_s=WARMUP_S + seconds,
            # Keys of each run's own, as good as always: a cold key that Redis has is not cold.
            canary_key_offset=int(now.timestamp()) * 7919 % (COLD_KEYS - 20_000),
            samples_dir=folder.samples_dir,
        )
        counters = _counters(project.name)
        return _send(LoadDriver(config, folder), folder, counters, seconds)


def _send(
    driver: LoadDriver, folder: RunFolder, read: Callable[[], dict[str, float]], seconds: float
) -> Costs:
    clock = SystemClock()
    try:
        driver.start()
        began_s = clock.now_s() + LEAD_S
        driver.begin(began_s)
        before, before_s = _read_at(clock, began_s + WARMUP_S, read)
        after, after_s = _read_at(clock, began_s + WARMUP_S + seconds - 0.2, read)
        driver.check()
        driver.stop()
    except BaseException:
        driver.kill()
        raise
    requests, failed, p95_ms = _sent(folder, before_s - began_s, after_s - began_s)
    used = {part: cpu_s - before.get(part, 0.0) for part, cpu_s in after.items()}
    return Costs(requests, failed, p95_ms, used, after_s - before_s)


def _read_at(
    clock: SystemClock, at_s: float, read: Callable[[], dict[str, float]]
) -> tuple[dict[str, float], float]:
    while (now_s := clock.now_s()) < at_s:
        clock.sleep_until_s(min(now_s + 1, at_s))
    return read(), clock.now_s()


def _sent(folder: RunFolder, from_s: float, to_s: float) -> tuple[int, int, float]:
    """Requests of both streams sent in a window, how many failed, and the p95 of their times."""
    requests, failed, took_s = 0, 0, []
    for stream in ("main", "canary"):
        samples = folder.read_samples(stream, ["intended_s", "sent_s", "done_s", "ok"]).to_pandas()
        chosen = samples[samples["sent_s"].between(from_s, to_s)]
        requests += len(chosen)
        failed += int((~chosen["ok"]).sum())
        took_s.append((chosen["done_s"] - chosen["intended_s"]).to_numpy())
    return requests, failed, float(np.percentile(np.concatenate(took_s), 95)) * 1e3


def _counters(project: str) -> Callable[[], dict[str, float]]:
    """Reads the processor seconds that each part has taken so far."""
    running, engine = containers(project), engine_processes()

    def read() -> dict[str, float]:
        found: dict[str, float] = {}
        for part, cpu_s in (*_of_containers(running), *_of_processes(engine), _of_interrupts()):
            found[part] = found.get(part, 0.0) + cpu_s
        return found

    return read


def _of_containers(running: list[Container]) -> Iterator[tuple[str, float]]:
    for container in running:
        part = next((p for start, p in PARTS.items() if container.name.startswith(start)), None)
        yield part or container.name, container.cpu_s()


def _of_processes(engine: list[int]) -> Iterator[tuple[str, float]]:
    for pid in engine:
        name = ""
        with suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        yield ("docker-proxy" if name == "docker-proxy" else "engine"), process_cpu_s(pid)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes()
            if b"harness/load" in command or b"harness.load" in command:
                yield "generator", process_cpu_s(int(path.parent.name))


def _of_interrupts() -> tuple[str, float]:
    """Soft interrupts of the whole machine: packets between the containers, timers."""
    ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return "soft interrupts", int(ticks[7]) / os.sysconf("SC_CLK_TCK")


def main(rate_per_s: float, seconds: float) -> int:
    """Measure once and show the microseconds by part, the dearest first."""
    project = Project()
    project.check_journal()
    with run_lock(project.lock_path, "benchmarks/stack_cost.py"):
        project.compose.up()
        project.wait_healthy()
        started_s = monotonic()
        costs = measure(project, rate_per_s, seconds)
    each_us = {part: 1e6 * cpu_s / costs.requests for part, cpu_s in costs.cpu_s.items()}
    stack_us = sum(us for part, us in each_us.items() if part not in NOT_THE_STACK)
    figures = [
        *(
            common.Figure(f"{part}_us", us, "us")
            for part, us in sorted(each_us.items(), key=lambda item: -item[1])
        ),
        common.Figure("stack_us", stack_us, "us"),
        common.Figure("requests_per_s", costs.requests / costs.elapsed_s, "/s"),
        common.Figure("failed", costs.failed),
        common.Figure("p95_ms", costs.p95_ms, "ms"),
        common.Figure("took_s", monotonic() - started_s, "s"),
    ]
    return common.show("stack_cost", figures)


NOT_THE_STACK = ("generator", "engine", "soft interrupts")
"""Measured beside it; docker-proxy is on the way of every request, and is counted."""


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:3]]
    sys.exit(main(*(given + [RATE_PER_S, SECONDS][len(given) :])))
