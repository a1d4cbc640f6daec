"""CPU time by program, out of made-up /proc and cgroup trees whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import FakeClock

from harness.adapters.proc_files import printable, read_cgroup, read_cpus, read_pressure_s
from harness.adapters.processor_time import ProcessorTime
from harness.model.machine import Look

RUNNER, KERNEL_THREAD = 100, 0x0020_0000
OURS, THEIRS = "a" * 64, "b" * 64
V1 = "3:cpuset:/\n2:cpuacct:{path}\n1:cpu:{path}\n0::/\n"
V1_JOINT = "4:cpu,cpuacct:{path}\n0::/\n"
V2 = "0::{path}\n"


@dataclass
class Kernel:
    """A /proc and a /sys/fs/cgroup of two CPUs; `tick` moves the clock by a second."""

    root: Path
    line: str = V1
    clock: FakeClock = field(default_factory=FakeClock)
    cpus: dict[int, list[int]] = field(default_factory=lambda: {0: [0] * 8, 1: [0] * 8})

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    @property
    def cgroups(self) -> Path:
        return self.root / "cgroup"

    def source(self, *containers: str) -> ProcessorTime:
        return ProcessorTime(frozenset(containers), self.clock, RUNNER, self.proc, self.cgroups)

    def process(
        self, pid: int, name: str, ticks: int = 0, *, parent: int = 1, path: str = "/",
        children: int = 0, flags: int = 0, started: int = 5, cpu: int = 0, allowed: str = "0-1",
    ) -> None:  # fmt: skip
        folder = self.proc / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        fields = ["S", parent, 1, 1, 0, -1, flags, 0, 0, 0, 0, ticks, 0, children, 0, 20, 0, 1, 0]
        fields += [started, *[0] * 16, cpu, 0, 0]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")
        (folder / "cgroup").write_text(self.line.format(path=path))
        (folder / "status").write_text(f"Name:\t{name}\nCpus_allowed_list:\t{allowed}\n")

    def end(self, pid: int) -> None:
        for path in (self.proc / str(pid)).iterdir():
            path.unlink()
        (self.proc / str(pid)).rmdir()

    def account(self, path: str, seconds: float) -> None:
        """What a cgroup used, in the way of the version that `line` shows."""
        if self.line == V2:
            folder = self.cgroups / path.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cpu.stat").write_text(f"usage_usec {int(seconds * 1e6)}\nuser_usec 1\n")
            return
        joint = "cpu,cpuacct" if self.line == V1_JOINT else "cpuacct"
        folder = self.cgroups / joint / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpuacct.usage").write_text(f"{int(seconds * 1e9)}\n")

    def tick(self, *idle_ticks: int, steal: int = 0, soft: int = 0) -> None:
        """A second later; CPU n was idle so long, CPU 0 lost `steal` and `soft` ticks as well."""
        self.clock.at_s += 1.0
        for cpu, idle in enumerate(idle_ticks):
            self.cpus[cpu][3] += idle
        self.cpus[0][6] += soft
        self.cpus[0][7] += steal
        self.write()

    def write(self) -> None:
        lines = [f"cpu{n} {' '.join(map(str, ticks))} 0 0" for n, ticks in self.cpus.items()]
        self.proc.mkdir(parents=True, exist_ok=True)
        (self.proc / "stat").write_text("\n".join(["cpu  1 2 3", *lines, "intr 1 2", "cpu9 x"]))


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    made = Kernel(tmp_path)
    made.write()
    made.process(1, "init", parent=0)
    made.process(RUNNER, "harness")
    return made


def look(source: ProcessorTime) -> Look:
    found = source.look()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (V1, f"/docker/{OURS}"),
        (V1_JOINT, f"/system.slice/docker-{OURS}.scope"),
        (V2, f"/docker/{OURS}"),
        (V2, f"/system.slice/docker-{OURS}.scope"),
        (V2, f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{OURS}.scope"),
    ],
)
def test_the_project_is_its_containers_cgroups(kernel: Kernel, line: str, path: str) -> None:
    kernel.line = line
    kernel.process(200, "granian", path=f"{path}/init.scope" if line == V2 else path)
    kernel.account(path, 10.0)
    source = kernel.source(OURS)
    assert source.look() is None
    kernel.account(path, 10.75)
    kernel.tick(100, 25)
    found = look(source)
    assert found.project_s == pytest.approx(0.75)
    assert found.shares.project == pytest.approx(0.375)
    assert found.shares.others == pytest.approx(0, abs=1e-9)
    assert found.shares.idle == pytest.approx(0.625)


def test_without_readable_cgroups_the_project_is_its_processes(kernel: Kernel) -> None:
    kernel.process(200, "granian", 100, path=f"/docker/{OURS}")
    source = kernel.source(OURS)
    source.look()
    kernel.process(200, "granian", 160, path=f"/docker/{OURS}")
    kernel.tick(100, 40)
    assert look(source).project_s == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("line", "path"), [(V1, f"/docker/{OURS}"), (V2, f"/system.slice/docker-{OURS}.scope")]
)
def test_containers_and_engine_whose_processes_are_hidden_from_us(
    kernel: Kernel, line: str, path: str
) -> None:
    kernel.line = line
    kernel.account(path, 1.0)
    kernel.account("/system.slice/docker.service", 5.0)
    source = kernel.source(OURS)
    source.look()
    kernel.account(path, 1.5)
    kernel.account("/system.slice/docker.service", 5.1)
    kernel.tick(100, 40)
    found = look(source)
    assert (found.project_s, found.engine_s) == (pytest.approx(0.5), pytest.approx(0.1))
    assert found.shares.others == pytest.approx(0, abs=1e-9)


def test_where_nothing_of_the_project_can_be_seen_nobody_is_accused(kernel: Kernel) -> None:
    source = kernel.source(OURS)
    assert source.look() is None
    kernel.tick(0, 0)
    assert source.look() is None


def test_a_container_that_starts_again_begins_a_new_account(kernel: Kernel) -> None:
    kernel.process(200, "granian", path=f"/docker/{OURS}")
    kernel.account(f"/docker/{OURS}", 50.0)
    source = kernel.source(OURS)
    source.look()
    kernel.account(f"/docker/{OURS}", 0.25)
    kernel.tick(100, 75)
    assert look(source).project_s == pytest.approx(0.25)


def test_another_projects_container_is_others_and_named(kernel: Kernel) -> None:
    kernel.process(300, "postgres", 0, path=f"/docker/{THEIRS}")
    source = kernel.source()
    source.look()
    kernel.process(300, "postgres", 50, path=f"/docker/{THEIRS}")
    kernel.tick(100, 50)
    found = look(source)
    assert found.shares.others == pytest.approx(0.25)
    assert found.who == (("postgres", 0.5),)


def test_the_runners_tree_is_the_harness_a_child_whose_parent_has_gone_too(kernel: Kernel) -> None:
    kernel.process(110, "python", parent=RUNNER)
    kernel.process(111, "python", parent=110)
    source = kernel.source()
    source.look()
    kernel.end(110)
    kernel.process(111, "python", 20, parent=1)
    kernel.process(112, "child", 10, parent=111)
    kernel.process(RUNNER, "harness", 5)
    kernel.tick(100, 65)
    found = look(source)
    assert found.harness_s == pytest.approx(0.35)
    assert found.shares.others == pytest.approx(0, abs=1e-9)


def test_engine_kernel_threads_and_interrupts_are_no_others(kernel: Kernel) -> None:
    kernel.process(400, "dockerd")
    kernel.process(401, "containerd-shim")
    kernel.process(50, "kworker/0:1", flags=KERNEL_THREAD)
    kernel.process(51, "ksoftirqd/0", flags=KERNEL_THREAD)
    source = kernel.source()
    source.look()
    kernel.process(400, "dockerd", 10)
    kernel.process(401, "containerd-shim", 5)
    kernel.process(50, "kworker/0:1", 3, flags=KERNEL_THREAD)
    kernel.process(51, "ksoftirqd/0", 7, flags=KERNEL_THREAD)  # is in the interrupts already
    kernel.tick(75, 100, soft=7)
    found = look(source)
    assert found.engine_s == pytest.approx(0.15)
    assert found.kernel_s == pytest.approx(0.10)
    assert found.shares.others == pytest.approx(0, abs=1e-9)


def test_short_lived_processes_are_in_what_is_left(kernel: Kernel) -> None:
    source = kernel.source()
    source.look()
    kernel.tick(0, 50)
    found = look(source)
    assert found.foreign_s == 0
    assert found.shares.others == pytest.approx(0.75)


def test_what_a_parent_gets_of_its_ended_child_is_counted_once(kernel: Kernel) -> None:
    """The child had used 5 s when it was last seen, and 0.2 s more; so had its own child."""
    kernel.process(300, "make")
    kernel.process(301, "sh", 100, parent=300)
    kernel.process(302, "cc1", 400, parent=301)
    source = kernel.source()
    source.look()
    kernel.end(301)
    kernel.end(302)
    kernel.process(300, "make", 10, children=520)
    kernel.tick(100, 70)
    found = look(source)
    assert found.who == (("make", pytest.approx(0.3)),)
    assert found.shares.others == pytest.approx(0.15)


def test_a_pid_that_was_given_again_is_a_new_process(kernel: Kernel) -> None:
    kernel.process(300, "old", 500)
    source = kernel.source()
    source.look()
    kernel.process(300, "new", 40, started=77)
    kernel.tick(100, 60)
    assert look(source).who == (("new", pytest.approx(0.4)),)


def test_the_three_busiest_names_are_told_those_of_one_name_together(kernel: Kernel) -> None:
    source = kernel.source()
    source.look()
    for pid, name, ticks in ((1, "c", 9), (2, "c", 9), (3, "a", 20), (4, "b", 10), (5, "d", 1)):
        kernel.process(300 + pid, name, ticks)
    kernel.tick(50, 100)
    assert [name for name, _ in look(source).who] == ["a", "c", "b"]


def test_what_runs_where_we_may_not_run_disturbs_nobody(kernel: Kernel) -> None:
    """Harness and container are pinned to CPU 0; a hog on CPU 1 takes nothing from them."""
    kernel.process(RUNNER, "harness", allowed="0")
    kernel.process(200, "granian", path=f"/docker/{OURS}", allowed="0")
    kernel.process(300, "hog", cpu=1)
    kernel.account(f"/docker/{OURS}", 1.0)
    source = kernel.source(OURS)
    source.look()
    kernel.account(f"/docker/{OURS}", 1.4)
    kernel.process(300, "hog", 100, cpu=1)
    kernel.tick(60, 0)
    found = look(source)
    assert found.cpus == 1
    assert found.shares.project == pytest.approx(0.4)
    assert found.shares.others == pytest.approx(0, abs=1e-9)


def test_cpus_are_those_of_harness_or_project(kernel: Kernel) -> None:
    kernel.process(RUNNER, "harness", allowed="0")
    kernel.process(200, "granian", path=f"/docker/{OURS}", allowed="1")
    source = kernel.source(OURS)
    source.look()
    kernel.tick(100, 100)
    assert look(source).cpus == 2


@pytest.mark.parametrize(
    ("quota_at", "cpus"), [("/job", 0.5), ("/job/runner", 2.0)], ids=["both", "only the harness"]
)
def test_a_quota_counts_where_it_binds_harness_and_project(
    kernel: Kernel, quota_at: str, cpus: float
) -> None:
    kernel.line = V2
    kernel.process(RUNNER, "harness", path="/job/runner")
    kernel.process(200, "granian", path=f"/job/docker/{OURS}")
    kernel.account(f"/job/docker/{OURS}", 1.0)
    limit = kernel.cgroups / quota_at.lstrip("/") / "cpu.max"
    limit.parent.mkdir(parents=True, exist_ok=True)
    limit.write_text("50000 100000\n")
    source = kernel.source(OURS)
    source.look()
    kernel.tick(100, 100)
    assert look(source).cpus == cpus


def test_a_quota_of_version_1(kernel: Kernel) -> None:
    kernel.process(RUNNER, "harness", path="/job")
    folder = kernel.cgroups / "cpu" / "job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("150000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    source = kernel.source()
    source.look()
    kernel.tick(100, 100)
    assert look(source).cpus == 1.5


def test_steal_is_told_apart_and_pressure_where_there_is_one(kernel: Kernel) -> None:
    source = kernel.source()
    source.look()
    kernel.tick(40, 100, steal=60)
    found = look(source)
    assert found.shares.steal == pytest.approx(0.3)
    assert found.shares.others == pytest.approx(0, abs=1e-9)
    assert found.pressure_s is None
    pressure = kernel.proc / "pressure"
    pressure.mkdir()
    (pressure / "cpu").write_text("some avg10=1.00 avg60=0.00 avg300=0.00 total=1500000\nfull a\n")
    assert read_pressure_s(kernel.proc) == 1.5


def test_names_are_read_as_the_kernel_writes_them_and_steer_no_terminal(kernel: Kernel) -> None:
    source = kernel.source()
    source.look()
    kernel.process(300, "a) R (1 \x1b[2J", 50)
    kernel.tick(50, 100)
    assert look(source).who == (("a) R (1 ?[2J", 0.5),)
    assert printable("tmux: server") == "tmux: server"


def test_a_process_that_is_gone_has_no_cgroup_and_lines_after_the_cpus_are_none(
    kernel: Kernel,
) -> None:
    assert read_cgroup(kernel.proc, 999) is None
    assert set(read_cpus(kernel.proc)) == {0, 1}
