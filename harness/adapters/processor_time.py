"""Who uses the CPU: the project, the harness, the engine, the kernel, or others.

    machine  |#### project ####|## harness|# engine|# kernel|#### others ####|steal|     idle     |
              cgroups           our tree   by name  threads,  what is left,            /proc/stat
                                                    interrupts  named from /proc

Whatever is not known to be ours is others'. So processes that begin and end between two looks -
compilers - are not missed: their time is in what is left, and in their parent's when it waited.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.adapters.proc_files import (
    Cgroup,
    CpuTimes,
    Process,
    container_ids,
    find_container,
    find_services,
    of_container,
    read_allowed_cpus,
    read_cgroup,
    read_cgroup_s,
    read_cpus,
    read_pressure_s,
    read_processes,
    read_quota,
)
from harness.model.clock import Clock
from harness.model.machine import WHO_MAX, Look

ENGINE_NAMES = (
    *("dockerd", "containerd", "containerd-shim", "docker-proxy", "docker-init", "runc"),
    *("rootlesskit", "slirp4netns", "vpnkit"),
)
"""It carries the project's traffic and starts its health checks, so its time is not others'. It
has no cgroup of its own on every machine, but the kernel keeps 15 letters of every name."""
ENGINE_SERVICES = ("docker", "containerd")
_COUNTED_AS_INTERRUPTS = "ksoftirqd"
_ANCESTORS_MAX = 64
_WORTH_NAMING_S = 0.005


@dataclass(frozen=True)
class _Reading:
    """All counters at one moment."""

    at_s: float
    cpus: Mapping[int, CpuTimes]
    processes: Mapping[int, Process]
    cgroups_s: Mapping[str, float]  # by container id
    services_s: Mapping[str, float]  # of the engine, where its processes are hidden
    pressure_s: float | None


@dataclass
class ProcessorTime:
    """Processor time between two looks; the first look begins it, and returns None.

    `containers` are the ids of the project's; all processes below `own_pid` are the harness'.
    Where nothing of the project can be seen (from inside a container, say) every look is None: its
    time could not be told from that of others.
    """

    containers: Collection[str]
    clock: Clock
    own_pid: int = field(default_factory=os.getpid)
    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")
    _last: _Reading | None = None
    _classes: dict[tuple[int, int, str], str] = field(default_factory=dict)
    _accounts: dict[str, Cgroup] = field(default_factory=dict)
    _allowed: dict[str, frozenset[int]] = field(default_factory=dict)
    _services: list[Cgroup] = field(default_factory=list)

    def look(self) -> Look | None:
        """What was used since the last look."""
        before, now = self._last, self._read()
        self._last = now
        if before is None or now.at_s <= before.at_s or self._is_blind():
            return None
        usable = self._usable(now)
        used = _used(before, now)
        by_class, by_name = self._by_class(now, used, usable)
        spent = [_difference(before, now, cpu) for cpu in usable if cpu in before.cpus]
        return Look(
            duration_s=now.at_s - before.at_s,
            cpus=self._capacity(len(usable)),
            project_s=self._project_s(before, now, by_class.get("project", 0.0)),
            harness_s=by_class.get("harness", 0.0),
            engine_s=by_class.get("engine", 0.0) or _gained(before.services_s, now.services_s),
            kernel_s=by_class.get("kernel", 0.0) + sum(one.interrupt_s for one in spent),
            foreign_s=by_class.get("foreign", 0.0),
            steal_s=sum(one.steal_s for one in spent),
            idle_s=sum(one.idle_s for one in spent),
            pressure_s=_pressure(before, now),
            who=_busiest(by_name),
        )

    def _is_blind(self) -> bool:
        is_seen = self._accounts or "project" in self._classes.values()
        return bool(self.containers) and not is_seen

    def _read(self) -> _Reading:
        processes = {process.pid: process for process in read_processes(self.proc)}
        self._classify(processes)
        if not self._last:
            self._look_for_hidden()
        found = {c: read_cgroup_s(self.cgroups, group) for c, group in self._accounts.items()}
        return _Reading(
            self.clock.now_s(),
            read_cpus(self.proc),
            processes,
            {container: used_s for container, used_s in found.items() if used_s is not None},
            {each.path: read_cgroup_s(self.cgroups, each) or 0.0 for each in self._services},
            read_pressure_s(self.proc),
        )

    def _look_for_hidden(self) -> None:
        """/proc may be mounted so that each user sees only his own processes."""
        for container in set(self.containers) - self._accounts.keys():
            if cgroup := find_container(self.cgroups, container):
                self._accounts[container] = cgroup
        if "engine" not in self._classes.values():
            self._services = find_services(self.cgroups, ENGINE_SERVICES)

    def _classify(self, processes: Mapping[int, Process]) -> None:
        """Each process once, as long as it keeps its name: runc becomes what it starts."""
        known, self._classes = self._classes, {}
        for process in processes.values():
            key = _key(process)
            self._classes[key] = known.get(key) or self._class_of(process, processes, known)

    def _class_of(
        self,
        process: Process,
        processes: Mapping[int, Process],
        known: Mapping[tuple[int, int, str], str],
    ) -> str:
        if process.is_kernel:
            return "kernel"
        if self._is_ours(process, processes, known):
            return "harness"
        if process.name.startswith(ENGINE_NAMES):
            return "engine"
        cgroup = read_cgroup(self.proc, process.pid)
        for container in container_ids(cgroup.path) if cgroup else ():
            if cgroup and container in self.containers:
                self._meet(container, cgroup, process.pid)
                return "project"
        return "foreign"

    def _is_ours(
        self,
        process: Process,
        processes: Mapping[int, Process],
        known: Mapping[tuple[int, int, str], str],
    ) -> bool:
        """Below the runner, or below a child of it whose parent is gone (the watchdog)."""
        one: Process | None = process
        for _ in range(_ANCESTORS_MAX):
            if one is None:
                return False
            if one.pid == self.own_pid or known.get(_key(one)) == "harness":
                return True
            one = processes.get(one.parent)
        return False

    def _meet(self, container: str, cgroup: Cgroup, pid: int) -> None:
        """Where a container's time is accounted, and where it may run, as its process shows."""
        self._accounts[container] = of_container(cgroup, container)
        self._allowed[container] = read_allowed_cpus(self.proc, pid)

    def _usable(self, now: _Reading) -> frozenset[int]:
        """The CPUs on which the harness or the project may run."""
        allowed = read_allowed_cpus(self.proc, self.own_pid).union(*self._allowed.values())
        return frozenset(now.cpus) & allowed or frozenset(now.cpus)

    def _capacity(self, cpus: int) -> float:
        """At most the quota, where one binds harness and project alike."""
        quota = read_quota(self.proc, self.cgroups, self.own_pid)
        if quota is None:
            return float(cpus)
        below = [
            group.path == quota[0] or group.path.startswith(quota[0].rstrip("/") + "/")
            for group in self._accounts.values()
        ]
        return min(float(cpus), quota[1]) if all(below) else float(cpus)

    def _by_class(
        self, now: _Reading, used: Mapping[int, float], usable: frozenset[int]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """CPU seconds of each class, and of each name among the foreign, on the usable CPUs."""
        by_class: dict[str, float] = {}
        by_name: dict[str, float] = {}
        for pid, used_s in used.items():
            process = now.processes[pid]
            which = self._classes[_key(process)]
            if process.cpu not in usable and which not in ("project", "harness"):
                continue
            if process.name.startswith(_COUNTED_AS_INTERRUPTS):
                continue
            by_class[which] = by_class.get(which, 0.0) + used_s
            if which == "foreign":
                by_name[process.name] = by_name.get(process.name, 0.0) + used_s
        return by_class, by_name

    def _project_s(self, before: _Reading, now: _Reading, by_processes_s: float) -> float:
        """By the cgroups, which miss no process that has ended; else by what was seen."""
        if not now.cgroups_s and not before.cgroups_s:
            return by_processes_s
        return _gained(before.cgroups_s, now.cgroups_s)


def _gained(before_s: Mapping[str, float], now_s: Mapping[str, float]) -> float:
    """What accounts have gained; one that is lower than before was made anew."""
    return sum(
        used_s - (earlier_s if (earlier_s := before_s.get(name, 0.0)) <= used_s else 0.0)
        for name, used_s in now_s.items()
    )


def _key(process: Process) -> tuple[int, int, str]:
    return process.pid, process.started, process.name


def _used(before: _Reading, now: _Reading) -> dict[int, float]:
    """CPU seconds of each process since `before`, with those of its children that ended.

    A parent that waits for a child gets all of the child's time; what was counted already while
    the child ran is taken off again.
    """
    counted = _counted_before(before, now)
    used = {}
    for process in now.processes.values():
        earlier = before.processes.get(process.pid)
        earlier_s = earlier.used_s if earlier and _is_same(earlier, process) else 0.0
        gained_s = process.used_s - earlier_s
        used[process.pid] = max(0.0, gained_s - counted.get(process.pid, 0.0))
    return used


def _counted_before(before: _Reading, now: _Reading) -> dict[int, float]:
    """Of each process that has descendants which ended since `before`: what they had used then."""
    counted: dict[int, float] = {}
    for ended in before.processes.values():
        if _is_same(ended, now.processes.get(ended.pid)):
            continue
        heir: Process | None = ended
        while heir is not None and not _is_same(heir, now.processes.get(heir.pid)):
            heir = before.processes.get(heir.parent)
        if heir is not None:
            counted[heir.pid] = counted.get(heir.pid, 0.0) + ended.used_s
    return counted


def _is_same(process: Process, later: Process | None) -> bool:
    return later is not None and later.started == process.started


def _difference(before: _Reading, now: _Reading, cpu: int) -> CpuTimes:
    first, last = before.cpus[cpu], now.cpus[cpu]
    return CpuTimes(  # the kernel's idle time may step back by a tick
        max(0.0, last.idle_s - first.idle_s),
        max(0.0, last.steal_s - first.steal_s),
        max(0.0, last.interrupt_s - first.interrupt_s),
    )


def _pressure(before: _Reading, now: _Reading) -> float | None:
    if before.pressure_s is None or now.pressure_s is None:
        return None
    return max(0.0, now.pressure_s - before.pressure_s)


def _busiest(by_name: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    named = [(name, used_s) for name, used_s in by_name.items() if used_s >= _WORTH_NAMING_S]
    return tuple(sorted(named, key=lambda one: (-one[1], one[0]))[:WHO_MAX])
