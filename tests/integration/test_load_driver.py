"""The driver, Locust and both engines together, against a server of known behaviour."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from ground_truth import GroundTruth, ground_truth

from harness.analysis import coverage
from harness.bundled.traffic import OPERATIONS
from harness.errors import LoadError
from harness.load.driver import LoadConfig, LoadDriver
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load, Stage
from harness.record.folder import RunFolder
from harness.record.run import Record

pytestmark = pytest.mark.measures
USERS_OWN = """
from locust import BASE, constant, task

class Visitor(BASE):
    wait_time = constant(0.1)

    @task
    def visit(self):
        self.client.get("/h000001", name="visit", allow_redirects=False)
"""
MIX = {"redirect": 0.9, "create": 0.1}
FINISHED = [{"event": "run.finished", "t_s": 6.0, "status": "completed"}]


@pytest.fixture(scope="module")
def truth() -> Iterator[GroundTruth]:
    with ground_truth() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.create()
    return made


def config(truth: GroundTruth, folder: RunFolder, **load: Any) -> LoadConfig:
    values = {"rate_per_s": 300, "mix": MIX, "canary_rate_per_s": 50, "timeout_s": 1, **load}
    return LoadConfig(
        load=Load(**values),
        operations=OPERATIONS,
        endpoints=[("127.0.0.1", truth.port)],
        seed=3,
        run_id="run",
        duration_s=30,
        canary_key_offset=40,
        samples_dir=folder.samples_dir,
        state_file=folder.path / "state.json",
    )


def experiment(load: Load) -> Experiment:
    """Five seconds of the load."""
    phases = (Phase(name="run", start_s=0, end_s=5),)
    return Experiment(
        name="x", title="x", load=load, operations=OPERATIONS, phases=phases,
        faults=(), hypothesis=(),
    )  # fmt: skip


def wait_for(is_done: Callable[[], bool], deadline_s: float, what: str) -> None:
    end_s = monotonic() + deadline_s
    while not is_done():
        if monotonic() > end_s:
            pytest.fail(f"waited {deadline_s} s for {what}")
        sleep(0.02)


def rows(folder: RunFolder, stream: str) -> list[dict[str, Any]]:
    return sorted(folder.read_samples(stream).to_pylist(), key=lambda row: row["intended_s"])


SLOW_TO_START = """
import sys, time
if "harness.load.engine" in " ".join(sys.orig_argv):
    time.sleep(2)
"""


def test_a_generator_is_ready_once_its_engine_is(
    truth: GroundTruth, folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow machine it starts for seconds: what was due in these would have been sent late."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_TO_START)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    truth.set("ok")
    driver = LoadDriver(config(truth, folder, rate_per_s=20, canary_rate_per_s=0), folder)
    began_s = monotonic()
    driver.start()
    assert monotonic() - began_s > 2
    driver.begin(monotonic() + 0.5)
    wait_for(lambda: driver.snapshot().sent > 20, 10, "20 requests")
    driver.stop()
    assert max(row["sent_s"] - row["intended_s"] for row in rows(folder, "main")[:20]) < 1


def test_main_and_canary_start_together_and_all_is_counted(
    truth: GroundTruth, folder: RunFolder
) -> None:
    """Both streams begin at t0; summary, record and server agree to the last request."""
    truth.set("ok")
    first = len(truth.received())
    driver = LoadDriver(config(truth, folder), folder)
    driver.start()
    start_s = monotonic() + 0.3
    driver.begin(start_s)
    wait_for(lambda: driver.snapshot().sent > 400, 10, "400 requests")
    # In the second after a stall of the machine the rate is that of catching up.
    wait_for(lambda: 240 <= driver.snapshot().window_rate_per_s <= 360, 10, "a second of 300/s")
    driver.check()
    snapshot = driver.snapshot()
    summary = driver.stop()
    main, canary = rows(folder, "main"), rows(folder, "canary")
    received = truth.received()[first:]
    assert summary.exit_code == 0
    assert summary.sent == summary.intended == len(main) + len(canary) == len(received)
    assert summary.cpu_s > 0
    assert min(at_s for at_s, _, _ in received) >= start_s
    assert main[0]["intended_s"] == canary[0]["intended_s"] == pytest.approx(0, abs=1e-6)
    assert {row["op"] for row in canary} == set(MIX)
    assert len(canary) == pytest.approx(100 * canary[-1]["intended_s"], abs=2)
    assert len(main) == pytest.approx(300 * main[-1]["intended_s"], abs=2)
    cold = [row["key"] for row in canary if row["op"] == "redirect"]
    assert cold == list(range(40, 40 + len(cold)))
    assert snapshot.failed == 0


@pytest.mark.parametrize(
    "load",
    [
        {},
        {"arrivals": "poisson"},
        {"stages": (Stage(rate_per_s=500, ramp_s=2, hold_s=1), Stage(rate_per_s=40, hold_s=9))},
    ],
)
def test_what_is_recorded_has_no_gap_against_the_plan(
    truth: GroundTruth, folder: RunFolder, load: dict[str, Any]
) -> None:
    """The plan that coverage counts against is what the engines really send."""
    truth.set("ok")
    driver = LoadDriver(config(truth, folder, **load), folder)
    driver.start()
    start_s = monotonic() + 0.3
    driver.begin(start_s)
    wait_for(lambda: monotonic() > start_s + 5.1, 10, "the end")
    driver.stop()
    streams = (folder.read_samples(stream).to_pandas() for stream in ("main", "canary"))
    main, canary = (samples.sort_values("intended_s") for samples in streams)
    record = Record(experiment(config(truth, folder, **load).load), FINISHED, main, canary)
    found = coverage.figures(record, folder)
    assert (found.planned, found.gaps) == ({"main": True, "canary": True}, [])
    short = replace(record, canary=canary[canary["intended_s"] < 2.98])
    gaps = coverage.figures(short, folder).gaps
    assert {(gap.stream, gap.start_s, gap.end_s) for gap in gaps} == {("canary", 3, 5)}


def test_stages_are_followed_on_the_runs_clock(truth: GroundTruth, folder: RunFolder) -> None:
    """A step from 100/s to 400/s one second after t0 is there at that moment."""
    truth.set("ok")
    stages = (Stage(rate_per_s=100, hold_s=1), Stage(rate_per_s=400, hold_s=5))
    driver = LoadDriver(
        config(truth, folder, rate_per_s=100, stages=stages, canary_rate_per_s=0), folder
    )
    driver.start()
    driver.begin(monotonic() + 0.1)
    wait_for(lambda: driver.snapshot().sent > 400, 10, "400 requests")
    driver.stop()
    times = [row["intended_s"] for row in rows(folder, "main")]
    assert sum(0 <= at_s < 1 for at_s in times) == pytest.approx(100, abs=1)
    assert sum(1 <= at_s < 1.5 for at_s in times) == pytest.approx(200, abs=1)


def test_a_recorded_run_is_sent_again(truth: GroundTruth, folder: RunFolder) -> None:
    """Same due times, operations and keys; writes get tokens of their own."""
    truth.set("ok")
    recorded = RunFolder(folder.path.parent / "recorded")
    recorded.create()
    driver = LoadDriver(config(truth, recorded, arrivals="poisson", canary_rate_per_s=0), recorded)
    driver.start()
    driver.begin(monotonic() + 0.1)
    wait_for(lambda: driver.snapshot().sent > 400, 10, "400 requests")
    driver.stop()
    before = rows(recorded, "main")
    again = LoadDriver(
        config(truth, folder, replay=str(recorded.path), canary_rate_per_s=0), folder
    )
    again.start()
    again.begin(monotonic() + 0.1)
    wait_for(lambda: again.snapshot().sent >= len(before), 15, "all requests")
    again.stop()
    after = rows(folder, "main")
    assert [row["op"] for row in after] == [row["op"] for row in before]
    assert [row["intended_s"] for row in after] == pytest.approx(
        [row["intended_s"] for row in before], abs=1e-6
    )
    reads = [(a, b) for a, b in zip(before, after, strict=True) if a["op"] == "redirect"]
    assert all(a["key"] == b["key"] for a, b in reads)
    writes = [row["key"] for row in after if row["op"] == "create"]
    assert len(set(writes)) == len(writes)
    assert all(row["ok"] for row in after)


@pytest.mark.parametrize("base", ["HttpUser", "FastHttpUser"])
def test_a_users_own_class_is_recorded(truth: GroundTruth, folder: RunFolder, base: str) -> None:
    """Each request of the user's class is a row, and the driver counts it."""
    truth.set("ok")
    path = folder.path / "own.py"
    path.write_text(USERS_OWN.replace("BASE", base))
    driver = LoadDriver(
        config(truth, folder, rate_per_s=5, locustfile=f"{path}::Visitor", canary_rate_per_s=0),
        folder,
    )
    driver.start()
    first = len(truth.received())
    start_s = monotonic() + 0.5
    driver.begin(start_s)
    wait_for(lambda: driver.snapshot().sent > 30, 10, "30 requests")
    summary = driver.stop()
    recorded = rows(folder, "main")
    assert summary.exit_code == 0
    assert len(recorded) == len(truth.received()) - first == summary.sent
    assert {(row["op"], row["status"], row["error"]) for row in recorded} == {("visit", 302, "")}
    assert {row["served_by"] for row in recorded} == {"truth"}
    assert -0.05 < recorded[0]["sent_s"] < 1.5


def test_all_are_gone_within_2_s_of_the_runners_sigkill(
    truth: GroundTruth, folder: RunFolder, tmp_path: Path
) -> None:
    """SIGKILL of the process that drives ends Locust and both engines; the record stays."""
    truth.set("ok")
    script = tmp_path / "drive.py"
    script.write_text(
        "import sys, time, pathlib\n"
        "sys.path.insert(0, 'tests/integration')\n"
        "sys.path.insert(0, 'tests')\n"
        "from types import SimpleNamespace\n"
        "import test_load_driver as t\n"
        "folder = t.RunFolder(pathlib.Path(sys.argv[2]))\n"
        "driver = t.LoadDriver(t.config(SimpleNamespace(port=int(sys.argv[1])), folder), folder)\n"
        "driver.start(); driver.begin(time.monotonic()); \n"
        "while driver.snapshot().sent < 30: time.sleep(0.05)\n"
        "print('begun', flush=True)\n"
        "time.sleep(60)\n"
    )
    runner = subprocess.Popen(
        [sys.executable, str(script), str(truth.port), str(folder.path)], stdout=subprocess.PIPE
    )
    assert runner.stdout
    assert runner.stdout.readline() == b"begun\n"
    runner.stdout.close()
    wait_for(lambda: len(_processes_of(folder)) == 3, 5, "Locust and two engines")
    runner.kill()
    runner.wait(2)
    wait_for(lambda: not _processes_of(folder), 2, f"the end of {_processes_of(folder)}")
    assert len(rows(folder, "main")) > 20
    assert len(rows(folder, "canary")) > 20


def _processes_of(folder: RunFolder) -> list[int]:
    """Ids of the load's processes, told by the run folder in environment or command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        is_load = b"harness" in command and (b"locust" in command or b"load.engine" in command)
        if is_load and str(folder.path).encode() in command + environment:
            found.append(int(entry.name))
    return found


def test_a_dead_engine_is_noticed(truth: GroundTruth, folder: RunFolder) -> None:
    """SIGKILL of an engine makes `check` raise, and `kill` leaves nothing behind."""
    driver = LoadDriver(config(truth, folder), folder)
    driver.start()
    driver.begin(monotonic())
    engine = next(
        pid
        for pid in _processes_of(folder)
        if b"main-" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(engine, signal.SIGKILL)

    def is_noticed() -> bool:
        try:
            driver.check()
        except LoadError as error:
            return "load generator" in error.message
        return False

    wait_for(is_noticed, 8, "the dead engine to be noticed")
    driver.kill()
    assert not _processes_of(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, data: dict[str, str] | None = None, method: str = "GET") -> bytes:
    body = urllib.parse.urlencode(data).encode() if data else None
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, method="POST" if data else method
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def answers(port: int) -> bool:
    try:
        get(port, "/stats/requests")
    except OSError:
        return False
    return True


def faults_tab(port: int) -> dict[str, str]:
    stats = json.loads(get(port, "/stats/requests"))
    return {row["name"]: row["value"] for row in stats["extended_stats"][0]["data"]}


PAGE = """
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = ["tests/integration", "tests"]
import test_load_driver as t
from harness.load.driver import serve_page

folder = t.RunFolder(Path(sys.argv[2]))
config = t.config(SimpleNamespace(port=int(sys.argv[1])), folder)
serve_page(config, int(sys.argv[3]), folder.path / "load", (folder.path / "looked").touch)
"""


@pytest.fixture
def page(truth: GroundTruth, folder: RunFolder) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The page, and its port."""
    truth.set("ok")
    port = free_port()
    command = [sys.executable, "-c", PAGE, str(truth.port), str(folder.path), str(port)]
    with subprocess.Popen(command) as process:
        try:
            wait_for(lambda: answers(port), 15, "the page")
            yield process, port
        finally:
            process.kill()


def test_the_page_starts_edits_and_stops_the_arrivals(
    truth: GroundTruth, folder: RunFolder, page: tuple[subprocess.Popen[bytes], int]
) -> None:
    """Locust's page steers the engine and shows phase and faults of the run."""
    _, port = page
    state = folder.path / "state.json"
    state.write_text(
        json.dumps(
            {"run_id": "r1", "phase": "fault", "faults": ["kill 1"], "at_s": 31.2, "end_s": 90}
        )
    )
    assert faults_tab(port) == {
        "run": "r1",
        "second": "31 of 90",
        "phase": "fault",
        "faults": "kill 1",
    }
    os.utime(state, (0, 0))  # of a run that is long over
    assert faults_tab(port) == {"run": "none: start one with harness run"}
    assert b"Faults" in get(port, "/")
    first = len(truth.received())
    get(port, "/swarm", {"user_count": "100", "spawn_rate": "1000"})
    wait_for(lambda: len(truth.received()) - first > 50, 10, "arrivals")
    get(port, "/swarm", {"user_count": "300", "spawn_rate": "1000"})
    wait_for(lambda: len(truth.received()) - first > 400, 10, "more arrivals")
    get(port, "/stop", method="POST")
    sent = len(truth.received()) - first
    stats = json.loads(get(port, "/stats/requests"))
    assert stats["stats"][-1]["num_requests"] == sent
    recorded = list(folder.samples_dir.glob("*/main-*.parquet"))
    assert recorded
    assert (folder.path / "looked").exists()


def test_the_page_and_its_load_end_with_whoever_opened_it(
    truth: GroundTruth, page: tuple[subprocess.Popen[bytes], int]
) -> None:
    """However that ends: SIGKILL leaves it no time to say so."""
    process, port = page
    get(port, "/swarm", {"user_count": "100", "spawn_rate": "1000"})
    wait_for(lambda: len(truth.received()) > 0, 10, "arrivals")
    process.kill()
    wait_for(lambda: not answers(port), 5, "the end of the page")
    sleep(1)
    sent = len(truth.received())
    sleep(1)
    assert len(truth.received()) == sent
