"""What a container tells of itself, in both versions of cgroups."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from shortener.container import Container

FIRST = {
    "cpuacct/cpuacct.usage": "12345678901\n",
    "cpu/cpu.cfs_quota_us": "100000\n",
    "cpu/cpu.cfs_period_us": "200000\n",
    "memory/memory.usage_in_bytes": "1000000\n",
    "memory/memory.stat": "inactive_file 7\ntotal_inactive_file 300000\ntotal_active_file 9\n",
    "memory/memory.limit_in_bytes": "2000000\n",
    "blkio/blkio.throttle.io_service_bytes": "8:0 Read 10\n8:0 Write 3\n8:16 Read 5\nTotal 18\n",
}
SECOND = {
    "cgroup.controllers": "cpu memory io\n",
    "cpu.stat": "usage_usec 12345678\nuser_usec 1\n",
    "cpu.max": "100000 200000\n",
    "memory.current": "1000000\n",
    "memory.stat": "anon 5\ninactive_file 300000\n",
    "memory.max": "2000000\n",
    "io.stat": "8:0 rbytes=10 wbytes=3 rios=1\n8:16 rbytes=5 wbytes=0\n",
}
NETWORK = """Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 999 1 0 0 0 0 0 0 999 1 0
  eth0: 1000 1 0 0 0 0 0 0 70 1 0
  eth1:20 1 0 0 0 0 0 0 5 1 0
"""
KNOWN = {
    "cpu_usage_seconds_total": 12.345678,
    "spec_cpu_quota": 100_000,
    "spec_cpu_period": 200_000,
    "memory_working_set_bytes": 700_000,
    "spec_memory_limit_bytes": 2_000_000,
    "fs_reads_bytes_total": 15,
    "fs_writes_bytes_total": 3,
    "network_receive_bytes_total": 1020,
    "network_transmit_bytes_total": 75,
}


def told(root: Path, files: dict[str, str], network: str = NETWORK) -> dict[str, float]:
    """All samples by name."""
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "proc/self/net").mkdir(parents=True)
    (root / "proc/self/net/dev").write_text(network)
    registry = CollectorRegistry()
    registry.register(Container(root))
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {one.name.removeprefix("container_"): round(one.value, 6) for one in samples}


def test_version_1_of_cgroups(tmp_path: Path) -> None:
    assert told(tmp_path, FIRST) == {**KNOWN, "cpu_usage_seconds_total": 12.345679}


def test_version_2_of_cgroups(tmp_path: Path) -> None:
    assert told(tmp_path, SECOND) == KNOWN


def test_no_limit_is_no_metric(tmp_path: Path) -> None:
    unlimited = {**SECOND, "cpu.max": "max 200000\n", "memory.max": "max\n"}
    assert KNOWN.keys() - told(tmp_path, unlimited) == {"spec_cpu_quota", "spec_memory_limit_bytes"}


def test_no_limit_in_version_1_is_a_quota_below_0(tmp_path: Path) -> None:
    assert "spec_cpu_quota" not in told(tmp_path, {**FIRST, "cpu/cpu.cfs_quota_us": "-1\n"})


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert told(tmp_path, {}, network="") == {}
