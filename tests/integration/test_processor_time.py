"""The processor time of this machine: a real program that takes a core is seen, and named."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.adapters.clock import SystemClock
from harness.adapters.processor_time import ProcessorTime
from harness.model.machine import Look

pytestmark = pytest.mark.measures
NAME = "hog-of-a-test"
HOG = f"""
open("/proc/self/comm", "w").write("{NAME}")
import time
until = time.monotonic() + 15
while time.monotonic() < until: pass
"""


@contextmanager
def hog() -> Iterator[subprocess.Popen[bytes]]:
    """A program that keeps one core busy, for 15 s at most."""
    with subprocess.Popen([sys.executable, "-c", HOG]) as process:
        try:
            deadline_s = time.monotonic() + 5
            comm = Path(f"/proc/{process.pid}/comm")
            while NAME not in comm.read_text() and time.monotonic() < deadline_s:
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def used_s(pid: int) -> float:
    """CPU seconds that the process has used by its own count."""
    seconds: float = psutil.Process(pid).cpu_times().user
    return seconds


def look_for(source: ProcessorTime, seconds: float) -> Look:
    source.look()
    time.sleep(seconds)  # what is measured is this span itself
    found = source.look()
    assert found is not None
    return found


def watch(source: ProcessorTime, pid: int) -> tuple[Look, float, float]:
    """A look, and the least and the most that the process used between its two ends."""
    first_s = used_s(pid)
    source.look()
    second_s = used_s(pid)
    time.sleep(1.0)
    third_s = used_s(pid)
    found = source.look()
    assert found is not None
    return found, third_s - second_s, used_s(pid) - first_s


def test_a_hog_that_is_not_ours_is_named_with_the_core_it_took() -> None:
    """It is no child of the runner: a pid that has no process stands for the harness."""
    source = ProcessorTime((), SystemClock(), own_pid=2**22 + 1)
    with hog() as process:
        for _ in range(8):  # among three that are busier it is not named: look again
            found, least_s, most_s = watch(source, process.pid)
            if NAME in dict(found.who):
                break
    named_s = dict(found.who)[NAME]
    assert least_s - 0.03 <= named_s <= most_s + 0.03
    assert named_s > 0.05
    assert found.shares.others >= 0.8 * named_s / (found.cpus * found.duration_s)


def test_the_same_hog_as_our_child_is_the_harness() -> None:
    source = ProcessorTime((), SystemClock())
    with hog() as process:
        found, least_s, _ = watch(source, process.pid)
    assert found.harness_s >= least_s - 0.03
    assert NAME not in dict(found.who)


def test_looking_costs_less_than_a_hundredth_of_a_core() -> None:
    source = ProcessorTime((), SystemClock())
    source.look()
    begun_s = time.process_time()
    for _ in range(20):
        source.look()
    per_look_s = (time.process_time() - begun_s) / 20
    processes = sum(path.name.isdecimal() for path in Path("/proc").iterdir())
    assert per_look_s < 0.01 * max(1.0, processes / 300)


def test_shares_make_one_on_this_machine() -> None:
    found = look_for(ProcessorTime((), SystemClock()), 1.0)
    shares = found.shares
    assert shares.own + shares.taken + shares.idle == pytest.approx(1)
    assert 0 < found.cpus <= (os.cpu_count() or 1)
