"""What the whole idle stack costs in 60 s: CPU in per cent of one core, and memory.

`python benchmarks/stack_idle.py [SECONDS [PART]]`; needs Docker. PART is one of common.PARTS.
CPU is that of the containers' cgroups (health checks included) and of the engine's own processes
with the children they waited for. Memory is counted as `docker stats` does: the cgroup's usage
without its inactive file pages; of the engine's processes it is the proportional set size (root
sees it, other users read 0).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import common
import docker

from harness.session.project import Project
from harness.session.targets import find_target

SECONDS = 60.0
ENGINE = ("dockerd", "containerd", "containerd-shim", "docker-proxy")
CGROUPS = Path("/sys/fs/cgroup")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Container:
    """A running container and the folders of its cgroup that count CPU and memory."""

    name: str
    cpu: Path
    memory: Path

    def cpu_s(self) -> float:
        """CPU seconds so far, of all processes that were ever in it."""
        with suppress(FileNotFoundError):
            return int((self.cpu / "cpuacct.usage").read_text()) / 1e9
        return _fields(self.cpu / "cpu.stat")["usage_usec"] / 1e6

    def memory_mib(self) -> float:
        """Memory in use now."""
        facts = _fields(self.memory / "memory.stat")
        with suppress(FileNotFoundError):
            used = int((self.memory / "memory.usage_in_bytes").read_text())
            return (used - facts["total_inactive_file"]) / 2**20
        used = int((self.memory / "memory.current").read_text())
        return (used - facts["inactive_file"]) / 2**20


def _fields(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {name: int(value) for name, value in rows}


def containers(project: str) -> list[Container]:
    """The running containers of the Compose project."""
    api = docker.from_env().api
    label = {"label": f"com.docker.compose.project={project}"}
    found = [api.inspect_container(item["Id"]) for item in api.containers(filters=label)]
    return [
        _container(facts["Config"]["Labels"]["com.docker.compose.service"], facts["State"]["Pid"])
        for facts in found
    ]


def _container(name: str, pid: int) -> Container:
    paths = dict(_cgroup_paths(pid))
    cpu = paths.get("cpuacct") or paths[""]
    return Container(name, cpu, paths.get("memory") or paths[""])


def _cgroup_paths(pid: int) -> Iterator[tuple[str, Path]]:
    """The folder of each controller (version 1), and of the one hierarchy ("", version 2)."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            folder = CGROUPS / controllers if controller else CGROUPS
            yield controller, folder / path.lstrip("/")


def engine_processes() -> list[int]:
    """The processes of the engine itself."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            name = path.read_text().strip()
            if name.startswith(ENGINE):
                found.append(int(path.parent.name))
    return found


def process_cpu_s(pid: int) -> float:
    """CPU seconds so far, its own and those of children it waited for; 0 if it is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_S
    return 0.0


def process_memory_mib(pid: int) -> float:
    """Its own memory and its part of what it shares, now; 0 if it is gone or another user's."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
    return 0.0


def main(seconds: float, part: common.Part) -> int:
    """Read all counters twice, and show who used how much in between."""
    project = Project(find_target(part.choice))
    project.compose.up()
    project.wait_healthy()
    running, engine = containers(project.name), engine_processes()
    before = {c.name: c.cpu_s() for c in running}
    engine_before_s = sum(process_cpu_s(pid) for pid in engine)
    started_s = monotonic()
    sleep(seconds)
    elapsed_s = monotonic() - started_s
    used_s = {c.name: c.cpu_s() - before[c.name] for c in running}
    engine_s = sum(process_cpu_s(pid) for pid in engine) - engine_before_s
    figures = [
        *(
            common.Figure(f"{name}_percent", 100 * cpu_s / elapsed_s, "%")
            for name, cpu_s in sorted(used_s.items(), key=lambda item: -item[1])
        ),
        common.Figure("containers", len(running)),
        common.Figure("seconds", elapsed_s, "s"),
        common.Figure("containers_percent", 100 * sum(used_s.values()) / elapsed_s, "%"),
        common.Figure("engine_percent", 100 * engine_s / elapsed_s, "%"),
        common.Figure(
            "cpu_percent",
            100 * (sum(used_s.values()) + engine_s) / elapsed_s,
            "%",
            part.idle_percent,
        ),
        *_memory(running, engine, part),
    ]
    return common.show("stack_idle", figures)


def _memory(running: list[Container], engine: list[int], part: common.Part) -> list[common.Figure]:
    containers_mib = sum(container.memory_mib() for container in running)
    engine_mib = sum(process_memory_mib(pid) for pid in engine)
    return [
        common.Figure("containers_mib", containers_mib, "MiB"),
        common.Figure("engine_mib", engine_mib, "MiB"),
        common.Figure("memory_mib", containers_mib + engine_mib, "MiB", part.idle_mib),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the idle stack costs.")
    parser.add_argument("seconds", type=float, nargs="?", default=SECONDS)
    parser.add_argument("part", choices=common.PARTS, nargs="?", default="core")
    options = parser.parse_args()
    sys.exit(main(options.seconds, common.PARTS[options.part]))
