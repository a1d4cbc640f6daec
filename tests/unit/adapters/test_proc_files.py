"""The kernel's files, with any name a process may choose and any text where a file is torn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.adapters.proc_files import (
    Cgroup,
    container_ids,
    find_container,
    find_services,
    of_container,
    printable,
    read_allowed_cpus,
    read_cgroup,
    read_cgroup_s,
    read_cpus,
    read_pressure_s,
    read_processes,
    read_quota,
)

TICKS = os.sysconf("SC_CLK_TCK")
ONE, TWO = "1" * 64, "2" * 64
ANY_FILE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def _stat(pid: int, name: str, **fields: int) -> str:
    """A line of /proc/PID/stat, its fields numbered as in proc(5)."""
    numbered = dict.fromkeys(range(4, 53), 0)
    numbered.update({int(name[1:]): value for name, value in fields.items()})
    rest = " ".join(str(numbered[number]) for number in range(4, 53))
    return f"{pid} ({name}) S {rest}\n"


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=15)


@ANY_FILE
@given(NAMES)
def test_a_process_is_read_whatever_it_calls_itself(tmp_path: Path, name: str) -> None:
    line = _stat(42, name, f4=7, f9=0x0020_0040, f14=100, f15=20, f16=3, f17=4, f22=987, f39=1)
    _write(tmp_path / "42" / "stat", line)
    (found,) = read_processes(tmp_path)
    assert found == (42, printable(name), 7, True, 127 / TICKS, 987, 1)
    assert all(letter.isprintable() for letter in found.name)


def test_several_processes_and_what_is_none(tmp_path: Path) -> None:
    _write(tmp_path / "7" / "stat", _stat(7, "bash", f4=1, f14=5))
    _write(tmp_path / "8" / "stat", _stat(8, "a) (b", f4=7, f15=9, f39=3))
    _write(tmp_path / "9" / "stat", "9 (torn) S 1 2")
    _write(tmp_path / "10" / "other", "")
    _write(tmp_path / "self" / "stat", _stat(1, "no number"))
    found = {process.pid: process for process in read_processes(tmp_path)}
    assert sorted(found) == [7, 8]
    assert (found[7].parent, found[7].used_s, found[7].is_kernel) == (1, 5 / TICKS, False)
    assert (found[8].name, found[8].parent, found[8].cpu) == ("a) (b", 7, 3)


def test_each_cpu_has_its_own_times(tmp_path: Path) -> None:
    _write(
        tmp_path / "stat",
        "cpu  9 9 9 9 9 9 9 9\ncpu0 1 2 3 40 5 6 7 8 9 10\n"
        "cpu12 0 0 0 100 20 3 4\nintr 5\ncpu9 1\n",
    )
    found = read_cpus(tmp_path)
    assert sorted(found) == [0, 12]
    first, old = found[0], found[12]
    assert (first.idle_s, first.steal_s, first.interrupt_s) == (45 / TICKS, 8 / TICKS, 13 / TICKS)
    assert (old.idle_s, old.steal_s, old.interrupt_s) == (120 / TICKS, 0.0, 7 / TICKS)


CPUS = st.sets(st.integers(0, 40), min_size=1, max_size=12)


@ANY_FILE
@given(CPUS)
def test_cpus_are_read_out_of_their_ranges(tmp_path: Path, cpus: set[int]) -> None:
    ranges = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    text = ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)
    _write(tmp_path / "5" / "status", f"Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{text}\n")
    assert read_allowed_cpus(tmp_path, 5) == cpus
    assert read_allowed_cpus(tmp_path, 6) == frozenset()


@ANY_FILE
@given(st.text(max_size=80))
def test_a_file_of_any_text_is_read_or_left(tmp_path: Path, text: str) -> None:
    for name in ("pressure/cpu", "5/status", "5/cgroup"):
        _write(tmp_path / name, text)
    for name in ("cpuacct.usage", "cpu.stat", "cpu.max", "cpu.cfs_quota_us"):
        _write(tmp_path / "group" / name, text)
    read_pressure_s(tmp_path)
    read_allowed_cpus(tmp_path, 5)
    read_cgroup(tmp_path, 5)
    read_quota(tmp_path, tmp_path, 5)
    read_cgroup_s(tmp_path, Cgroup("", "/group"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("some avg10=0.00 avg60=0.12 avg300=0.05 total=2500000\nfull total=9\n", 2.5),
        ("full total=9\nsome total=1\n", 1e-6),
        ("full avg10=0.00 total=9\n", None),
        ("some avg10=0.00 total=x\n", None),
        ("", None),
    ],
)
def test_pressure(tmp_path: Path, text: str, seconds: float | None) -> None:
    assert read_pressure_s(tmp_path) is None
    _write(tmp_path / "pressure" / "cpu", text)
    assert read_pressure_s(tmp_path) == seconds


@pytest.mark.parametrize(
    ("text", "controller", "found"),
    [
        ("4:cpu,cpuacct:/docker/x\n0::/y\n", "cpuacct", Cgroup("cpu,cpuacct", "/docker/x")),
        ("0::/y\n4:cpu,cpuacct:/docker/x:z\n", "cpu", Cgroup("cpu,cpuacct", "/docker/x:z")),
        ("3:cpuset:/a\n0::/user.slice\n", "cpuacct", Cgroup("", "/user.slice")),
        ("3:cpuset:/a\n1:name=systemd:/b\n", "cpuacct", None),
        ("torn", "cpu", None),
    ],
)
def test_the_cgroup_that_accounts(
    tmp_path: Path, text: str, controller: str, found: Cgroup | None
) -> None:
    _write(tmp_path / "5" / "cgroup", text)
    assert read_cgroup(tmp_path, 5, controller) == found


def test_a_container_within_a_container(tmp_path: Path) -> None:
    path = f"/docker/{ONE}/docker/{TWO}/init.scope"
    assert container_ids(path) == [ONE, TWO]
    assert of_container(Cgroup("cpu", path), ONE) == Cgroup("cpu", f"/docker/{ONE}")
    inner = of_container(Cgroup("cpu", path), TWO)
    assert inner == Cgroup("cpu", f"/docker/{ONE}/docker/{TWO}")
    scope = Cgroup("", f"/system.slice/docker-{ONE}.scope/below")
    assert of_container(scope, ONE) == Cgroup("", f"/system.slice/docker-{ONE}.scope")


@pytest.mark.parametrize(
    ("place", "cgroup"),
    [
        (f"cpuacct/docker/{ONE}", Cgroup("cpuacct", f"/docker/{ONE}")),
        (f"cpu,cpuacct/docker/{ONE}", Cgroup("cpu,cpuacct", f"/docker/{ONE}")),
        (f"system.slice/docker-{ONE}.scope", Cgroup("", f"/system.slice/docker-{ONE}.scope")),
        (f"elsewhere/{ONE}", None),
    ],
)
def test_where_an_engine_puts_a_container(
    tmp_path: Path, place: str, cgroup: Cgroup | None
) -> None:
    _write(tmp_path / place / "cpu.stat", "nr_periods 0\nusage_usec 1500000\n")
    assert find_container(tmp_path, ONE) == cgroup
    assert find_container(tmp_path, TWO) is None
    if cgroup:
        assert read_cgroup_s(tmp_path, cgroup) == 1.5


def test_the_services_that_are_there(tmp_path: Path) -> None:
    _write(tmp_path / "cpuacct/system.slice/docker.service/cpuacct.usage", "2500000000\n")
    _write(tmp_path / "system.slice/containerd.service/cpu.stat", "usage_usec 7\n")
    found = find_services(tmp_path, ["docker", "containerd", "podman"])
    assert found == [
        Cgroup("cpuacct", "/system.slice/docker.service"),
        Cgroup("", "/system.slice/containerd.service"),
    ]
    assert read_cgroup_s(tmp_path, found[0]) == 2.5


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"a/b/cpu.max": "50000 100000", "a/cpu.max": "200000 100000"}, ("/a/b", 0.5)),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, ("/a", 1.5)),
        ({"a/b/cpu.max": "max 100000"}, None),
        ({"a/b/cpu.cfs_quota_us": "-1", "a/b/cpu.cfs_period_us": "100000"}, None),
        ({"a/b/cpu.cfs_quota_us": "25000", "a/b/cpu.cfs_period_us": "50000"}, ("/a/b", 0.5)),
        ({"cpu.max": "10000 100000"}, ("/", 0.1)),
        ({}, None),
    ],
)
def test_the_tightest_limit_on_the_way_up(
    tmp_path: Path, files: dict[str, str], quota: tuple[str, float] | None
) -> None:
    _write(tmp_path / "proc" / "5" / "cgroup", "0::/a/b\n")
    for name, text in files.items():
        _write(tmp_path / "root" / name, text)
    assert read_quota(tmp_path / "proc", tmp_path / "root", 5) == quota
    assert read_quota(tmp_path / "proc", tmp_path / "root", 6) is None
