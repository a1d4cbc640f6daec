"""What this container has used, out of its own cgroup; names and units as cAdvisor has them.

Nothing of the host is mounted for it. What a file does not say is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Metric = CounterMetricFamily | GaugeMetricFamily


class Container(Collector):
    """Reads about ten small files for each scrape, in both versions of cgroups."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._cgroup, self._network = root / "sys/fs/cgroup", root / "proc/self/net/dev"

    def collect(self) -> Iterator[Metric]:
        """All that is known."""
        read = self._second if (self._cgroup / "cgroup.controllers").exists() else self._first
        for name, value in (*read(), *self._sent()):
            if value is None:
                continue
            is_counter = name.endswith("_total")
            family = CounterMetricFamily if is_counter else GaugeMetricFamily
            yield family(f"container_{name.removesuffix('_total')}", "Of this container", value)

    def _first(self) -> Iterable[tuple[str, float | None]]:
        """Version 1: a folder for each controller."""
        used_ns = self._number("cpuacct/cpuacct.usage")
        quota = self._number("cpu/cpu.cfs_quota_us")
        yield "cpu_usage_seconds_total", None if used_ns is None else used_ns / 1e9
        yield "spec_cpu_quota", quota if quota is not None and quota > 0 else None
        yield "spec_cpu_period", self._number("cpu/cpu.cfs_period_us")
        used = self._number("memory/memory.usage_in_bytes")
        yield "memory_working_set_bytes", self._kept(used, "memory/memory.stat", "total_")
        yield "spec_memory_limit_bytes", self._number("memory/memory.limit_in_bytes")
        disks = self._text("blkio/blkio.throttle.io_service_bytes")
        yield "fs_reads_bytes_total", _sum(r" Read (\d+)", disks)
        yield "fs_writes_bytes_total", _sum(r" Write (\d+)", disks)

    def _second(self) -> Iterable[tuple[str, float | None]]:
        """Version 2: one folder."""
        used_us = _sum(r"usage_usec (\d+)", self._text("cpu.stat"))
        quota, _, period = self._text("cpu.max").strip().partition(" ")
        yield "cpu_usage_seconds_total", None if used_us is None else used_us / 1e6
        yield "spec_cpu_quota", float(quota) if quota.isdecimal() else None
        yield "spec_cpu_period", float(period) if period else None
        used = self._number("memory.current")
        yield "memory_working_set_bytes", self._kept(used, "memory.stat", "")
        yield "spec_memory_limit_bytes", self._number("memory.max")
        disks = self._text("io.stat")
        yield "fs_reads_bytes_total", _sum(r"rbytes=(\d+)", disks)
        yield "fs_writes_bytes_total", _sum(r"wbytes=(\d+)", disks)

    def _kept(self, used: float | None, file: str, prefix: str) -> float | None:
        """Memory that cannot be dropped at once: the kernel kills for that, not for its caches."""
        droppable = _sum(rf"(?m)^{prefix}inactive_file (\d+)", self._text(file))
        return None if used is None else used - (droppable or 0)

    def _sent(self) -> Iterable[tuple[str, float | None]]:
        text = self._network.read_text() if self._network.exists() else ""
        yield "network_receive_bytes_total", _sum(r"eth\d+: *(\d+)", text)
        yield "network_transmit_bytes_total", _sum(r"eth\d+:(?: *\d+){8} *(\d+)", text)

    def _number(self, file: str) -> float | None:
        """The number in a file; None if it is missing, or a word such as `max`."""
        text = self._text(file).strip()
        return float(text) if re.fullmatch(r"-?\d+", text) else None

    def _text(self, file: str) -> str:
        try:
            return (self._cgroup / file).read_text()
        except OSError:
            return ""


def _sum(pattern: str, text: str) -> float | None:
    """The sum of all numbers that are found; None if there are none."""
    found = re.findall(pattern, text)
    return float(sum(map(int, found))) if found else None
