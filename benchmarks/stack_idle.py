"""CPU and memory of the stack when nobody asks it for anything, the engine's own share included.

    .venv/bin/python benchmarks/stack_idle.py [SECONDS]

CPU is in per cent of one core: of the containers as the engine counts it, of the engine's own
processes (dockerd, containerd and its shims, docker-proxy) from /proc.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import docker
from common import ROOT, Figure, show

from harness.adapters.compose_project import read_environment
from harness.model.container import COMPOSE_PROJECT

SETTLE_S, CALL_S, UP_S = 10.0, 20, 300
ENGINE = ("dockerd", "containerd", "containerd-shim", "docker-proxy")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main(seconds: float) -> int:
    """Start the stack if it is not up, let it settle, measure for `seconds`."""
    subprocess.run([ROOT / ".venv/bin/harness", "up"], check=True, timeout=UP_S, stdout=sys.stderr)
    sleep(SETTLE_S)
    client = docker.from_env(timeout=CALL_S)
    label = f"{COMPOSE_PROJECT}={read_environment(ROOT)['COMPOSE_PROJECT_NAME']}"
    containers = client.containers.list(filters={"label": label})
    started_s = monotonic()
    before = [container.stats(stream=False) for container in containers]
    engine_before_s = _engine_cpu_s()
    sleep(seconds)
    after = [container.stats(stream=False) for container in containers]
    engine_s = _engine_cpu_s() - engine_before_s
    took_s = monotonic() - started_s
    used_s = sum(_cpu_s(b, a) for b, a in zip(before, after, strict=True))
    memory_mib = sum(_memory_bytes(stats) for stats in after) / 2**20
    figures = [
        Figure("containers_cpu_percent", 100 * used_s / took_s, "%"),
        Figure("engine_cpu_percent", 100 * engine_s / took_s, "%"),
        Figure("cpu_percent", 100 * (used_s + engine_s) / took_s, "%", 25),
        Figure("memory_mib", memory_mib, "MiB", 1536),
    ]
    return show("stack_idle", figures, containers=len(containers), seconds=round(took_s, 1))


def _cpu_s(before: dict, after: dict) -> float:
    used = (stats["cpu_stats"]["cpu_usage"]["total_usage"] for stats in (after, before))
    return (next(used) - next(used)) / 1e9


def _memory_bytes(stats: dict) -> int:
    """What `docker stats` shows: without the page cache that could be dropped at once."""
    memory = stats["memory_stats"]
    facts = memory["stats"]
    return memory["usage"] - facts.get("inactive_file", facts.get("total_inactive_file", 0))


def _engine_cpu_s() -> float:
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(") ")
        except OSError:
            continue  # it ended meanwhile
        if name.startswith(ENGINE):
            ticks += sum(map(int, rest.split()[11:13]))
    return ticks / TICKS_PER_S


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
