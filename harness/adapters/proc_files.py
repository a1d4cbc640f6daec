"""The kernel's own account of processor time: /proc and the cgroup files, parsed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KERNEL_THREAD = 0x0020_0000  # PF_KTHREAD
_READ_BYTES = 4096
CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


class Process(NamedTuple):
    """One line of /proc/PID/stat. `used_s` counts children that ended and were waited for, too."""

    pid: int
    name: str
    parent: int
    is_kernel: bool
    used_s: float
    started: int  # in ticks since boot: tells a process from a later one with its pid
    cpu: int  # where it ran last


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds since boot on one CPU; `interrupt_s` is hard and soft interrupts together."""

    idle_s: float
    steal_s: float
    interrupt_s: float


def read_cpus(proc: Path) -> dict[int, CpuTimes]:
    """Each CPU that is on-line, by its number; waiting for a disk counts as idle."""
    found = {}
    with (proc / "stat").open("rb") as file:
        for line in file:
            if not line.startswith(b"cpu"):
                break  # the lines of the CPUs come first
            name, *fields = line.split()
            if name == b"cpu":
                continue
            ticks = [int(field) for field in fields[:8]] + [0] * (8 - len(fields))
            idle, interrupts, steal = ticks[3] + ticks[4], ticks[5] + ticks[6], ticks[7]
            found[int(name[3:])] = CpuTimes(
                idle / _TICKS_PER_S, steal / _TICKS_PER_S, interrupts / _TICKS_PER_S
            )
    return found


def read_processes(proc: Path) -> Iterator[Process]:
    """All that this user may see; one that ends meanwhile is left out."""
    for name in os.listdir(proc):  # noqa: PTH208  # every process, every second: 3 x as fast
        if name.isdecimal() and (process := _read_process(f"{proc}/{name}/stat")):
            yield process


def _read_process(path: str) -> Process | None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        line = os.read(handle, _READ_BYTES)
    except OSError:
        return None
    finally:
        os.close(handle)
    # The name stands in brackets and may hold any character, so fields count from the last one.
    head, _, tail = line.rpartition(b")")
    pid, _, name = head.partition(b" (")
    fields = tail.split()
    if len(fields) < 37:
        return None
    used = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    return Process(
        int(pid),
        printable(name.decode("utf-8", "replace")),
        int(fields[1]),
        bool(int(fields[6]) & _KERNEL_THREAD),
        used / _TICKS_PER_S,
        int(fields[19]),
        int(fields[36]),
    )


def printable(name: str) -> str:
    """A process chooses its own name: what is written down holds nothing that steers a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def read_pressure_s(proc: Path) -> float | None:
    """Seconds since boot in which some task waited for a CPU; None where the kernel has no PSI."""
    with suppress(OSError, ValueError):
        for line in (proc / "pressure" / "cpu").read_text().splitlines():
            if line.startswith("some"):
                return int(line.rpartition("total=")[2]) / 1e6
    return None


def read_allowed_cpus(proc: Path, pid: int) -> frozenset[int]:
    """The CPUs that a process may run on; empty if it is gone."""
    with suppress(OSError, ValueError):
        for line in (proc / str(pid) / "status").read_text().splitlines():
            if line.startswith("Cpus_allowed_list:"):
                return frozenset(_numbers(line.partition(":")[2]))
    return frozenset()


def _numbers(text: str) -> Iterator[int]:
    """0-2,5 -> 0 1 2 5."""
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


class Cgroup(NamedTuple):
    """Where a process is in one hierarchy; `controllers` is its folder, "" in version 2."""

    controllers: str
    path: str


def read_cgroup(proc: Path, pid: int, controller: str = "cpuacct") -> Cgroup | None:
    """The cgroup that accounts for a process (`cpu`: that limits it); None if it is gone."""
    unified = None
    with suppress(OSError, ValueError):
        for line in (proc / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return Cgroup(controllers, path)
            if not controllers:
                unified = Cgroup("", path)
    return unified


def container_ids(path: str) -> list[str]:
    """Ids of all containers that a process with this path is in, the outermost first."""
    return CONTAINER_ID.findall(path)


def of_container(cgroup: Cgroup, container_id: str) -> Cgroup:
    """The container's own cgroup, for a process in it or in one below it."""
    head, found, tail = cgroup.path.partition(container_id)
    return Cgroup(cgroup.controllers, head + found + tail.partition("/")[0])


def find_container(root: Path, container_id: str) -> Cgroup | None:
    """Where an engine usually puts a container, for one whose processes are hidden from us."""
    for controllers in ("cpuacct", "cpu,cpuacct", ""):
        for path in (f"/docker/{container_id}", f"/system.slice/docker-{container_id}.scope"):
            cgroup = Cgroup(controllers, path)
            if read_cgroup_s(root, cgroup) is not None:
                return cgroup
    return None


def find_services(root: Path, names: Sequence[str]) -> list[Cgroup]:
    """The cgroups of those services that systemd runs."""
    places = [
        Cgroup(controllers, f"/system.slice/{name}.service")
        for controllers in ("cpuacct", "")
        for name in names
    ]
    return [cgroup for cgroup in places if read_cgroup_s(root, cgroup) is not None]


def read_cgroup_s(root: Path, cgroup: Cgroup) -> float | None:
    """CPU seconds that a cgroup used since it was made; None if it cannot be read."""
    folder = _folder(root, cgroup)
    with suppress(OSError, ValueError):
        return int((folder / "cpuacct.usage").read_text()) / 1e9
    with suppress(OSError, ValueError):
        for line in (folder / "cpu.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "usage_usec":
                return int(value) / 1e6
    return None


def read_quota(proc: Path, root: Path, pid: int) -> tuple[str, float] | None:
    """The tightest limit of processor time on a process: the path that sets it, and its CPUs."""
    cgroup = read_cgroup(proc, pid, "cpu")
    if cgroup is None:
        return None
    place = PurePosixPath(cgroup.path)
    places = [str(path) for path in (place, *place.parents)]
    limits = [(_limit(_folder(root, Cgroup(cgroup.controllers, path))), path) for path in places]
    found = [(cpus, path) for cpus, path in limits if cpus is not None]
    return (min(found)[1], min(found)[0]) if found else None


def _folder(root: Path, cgroup: Cgroup) -> Path:
    return root / cgroup.controllers / cgroup.path.lstrip("/")


def _limit(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        limit = int((folder / "cpu.cfs_quota_us").read_text())
        return limit / int((folder / "cpu.cfs_period_us").read_text()) if limit > 0 else None
    return None
