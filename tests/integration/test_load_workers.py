"""Real Locust masters and workers with their engines, against a server of known behaviour."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from ground_truth import GroundTruth, ground_truth

from harness.analysis import coverage, load_health
from harness.analysis.reading import read_record
from harness.aspects import recovery
from harness.aspects.clause import parse_expectation
from harness.bundled.traffic import OPERATIONS
from harness.load.driver import Elsewhere, LoadConfig, LoadDriver
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load, LoadSummary
from harness.model.plan_json import plan_to_json
from harness.model.timeline import Plan
from harness.record.event_log import EventLog
from harness.record.folder import RunFolder
from harness.record.run import Record
from harness.session.stages import analyze_folder, judge_folder

pytestmark = pytest.mark.measures
MIX = {"redirect": 0.8, "create": 0.2}
RATE_PER_S, END_S = 50.0, 4.0
EXPECTED = ("error_rate < 50%", "p95 < 1us")
"""Of a whole load the first is met, the second is missed."""


@pytest.fixture(scope="module")
def truth() -> Iterator[GroundTruth]:
    with ground_truth() as server:
        yield server


def load_of(workers: int, **changes: Any) -> Load:
    values = {"rate_per_s": RATE_PER_S, "mix": MIX, "canary_rate_per_s": 0.0, "timeout_s": 1.0}
    return Load(**{**values, "workers": workers, **changes})


class Sent:
    """A load of some seconds; `act` is called while it is sent."""

    def __init__(self, truth: GroundTruth, path: Path, load: Load, **more: Any) -> None:
        self.folder = RunFolder(path)
        self.folder.create()
        self.load = load
        config = LoadConfig(
            load=load, operations=OPERATIONS, endpoints=[("127.0.0.1", truth.port)], seed=3,
            run_id="run", duration_s=30, canary_key_offset=0,
            samples_dir=self.folder.samples_dir, **more,
        )  # fmt: skip
        self.driver = LoadDriver(config, self.folder)
        self.summary: LoadSummary | None = None

    def send(self, end_s: float = END_S, act: Callable[[float], None] = lambda _: None) -> None:
        try:
            self.driver.start()
            start_s = monotonic() + 0.5
            self.driver.begin(start_s)
            act(start_s)
            while monotonic() < start_s + end_s + 0.2:
                self.driver.check()
                sleep(0.05)
            self.summary = self.driver.stop()
        finally:
            self.driver.kill()

    def rows(self, end_s: float = END_S) -> list[dict[str, Any]]:
        rows = self.folder.read_samples("main").to_pylist()
        kept = [row for row in rows if row["intended_s"] < end_s - 0.001]
        return sorted(kept, key=lambda row: row["intended_s"])

    def record(
        self, faults: list[dict[str, Any]], end_s: float = END_S, expected: Sequence[str] = ()
    ) -> Record:
        """As analysis reads it, by way of the files of a run."""
        phases = (Phase(name="run", start_s=0, end_s=end_s),)
        hypothesis = [parse_expectation("run", "redirect", text, set(MIX)) for text in expected]
        experiment = Experiment(
            name="x", title="x", load=self.load, operations=OPERATIONS, phases=phases,
            faults=(), hypothesis=tuple(hypothesis),
        )  # fmt: skip
        plan = Plan("x", 1, (), (), end_s)
        self.folder.write_json("plan.json", plan_to_json(plan, experiment))
        events = EventLog(self.folder)
        assert self.summary is not None
        events.write(end_s, "load.summary", **asdict(self.summary))
        events.write(end_s, "run.finished", status="completed", message="")
        events.close()
        read = read_record(self.folder)
        return Record(read.experiment, read.events, read.main, read.canary, faults)


def requests(sent: Sent) -> list[tuple[str, int, float]]:
    return [(row["op"], row["key"], round(row["intended_s"], 6)) for row in sent.rows()]


def test_two_and_four_workers_send_what_one_process_sends(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """The same requests to the last one, each once; nothing is lost on its way to the record."""
    truth.set("ok")
    whole: list[tuple[str, int, float]] = []
    for workers in (1, 2, 4):
        first = len(truth.received())
        sent = Sent(truth, tmp_path / str(workers), load_of(workers))
        sent.send()
        summary = sent.summary
        assert summary is not None
        received = truth.received()[first:]
        assert summary.exit_code == 0
        rows = sent.rows(1e9)
        assert summary.sent == summary.intended == len(rows) == len(received)
        assert all(row["ok"] for row in rows)
        tokens = [body for _, _, body in received if body]
        assert len(set(tokens)) == len(tokens) == sum(row["op"] == "create" for row in rows)
        whole = whole or requests(sent)
        assert requests(sent) == whole
        assert len(whole) == RATE_PER_S * END_S
        record = sent.record([])
        assert load_health.figures(record).lost == ""  # lateness is the machine's
        assert list(coverage.figures(record, sent.folder).gaps) == []
        states = summary.workers
        assert [state.number for state in states] == list(range(1, workers + 1))[: len(states)]
        assert len(states) == (workers if workers > 1 else 0)
        if states:
            assert sum(state.requests for state in states) == len(rows)
            assert all(state.is_shared and state.offset_s == 0.0 for state in states)
            counts = [state.requests for state in states]
            assert max(counts) - min(counts) <= 1 + 0.2 * RATE_PER_S  # how each was stopped


@pytest.mark.parametrize("workers", [2, 4])
def test_the_recovery_of_a_server_that_was_off_for_a_known_time(
    truth: GroundTruth, tmp_path: Path, workers: int
) -> None:
    truth.set("ok")
    sent = Sent(truth, tmp_path / "run", load_of(workers, mix={"redirect": 1.0}))
    times: list[float] = []

    def switch_off_and_on(start_s: float) -> None:
        times.append(start_s)
        truth.begin(start_s, [(1.5, "refuse", 0.0), (3.0, "ok", 0.0)])

    sent.send(6.0, switch_off_and_on)
    off_s, on_s = (at_s - times[0] for at_s in truth.times())
    fault = {"fault": "off", "kind": "kill", "service": "truth", "start_s": off_s, "healed_s": on_s}
    found = recovery.figures(sent.record([fault], 6.0))["redirect"]
    assert found.stream == "main"
    assert found.recovery_time_s is not None
    assert found.uncertainty_s is not None
    assert 0 < found.uncertainty_s < 0.1
    assert abs(found.recovery_time_s - (on_s - off_s)) <= found.uncertainty_s


@pytest.mark.parametrize("victim", ["worker", "its engine"])
def test_a_worker_that_is_killed_is_a_missing_share_and_no_error_of_the_target(
    truth: GroundTruth, tmp_path: Path, victim: str
) -> None:
    truth.set("ok")
    sent = Sent(truth, tmp_path / "run", load_of(2))
    killed: list[float] = []
    sent.send(6.0, lambda start_s: killed.append(kill_second(sent.driver, victim, start_s)))
    summary = sent.summary
    assert summary is not None
    assert summary.exit_code == 0
    whole, lost = sorted(summary.workers, key=lambda state: bool(state.problem))
    assert not whole.problem
    assert lost.problem
    assert lost.lost_s is not None
    assert killed[0] - 3.0 < lost.lost_s <= killed[0] + 0.1  # a part is handed over each 2 s
    rows, since_s = sent.rows(6.0), killed[0] + 0.2
    assert all(row["ok"] for row in rows)
    expected = RATE_PER_S / 2 * (6.0 - since_s)
    assert sum(row["intended_s"] > since_s for row in rows) == pytest.approx(expected, abs=2)
    assert_held_against_nobody(sent, lost.number)


def kill_second(driver: LoadDriver, victim: str, start_s: float) -> float:
    """In second 3 the second worker, or its engine; when it was. No engine is left without one."""
    worker = driver._workers[1].child.pid
    [engine] = children_of(worker)
    while monotonic() < start_s + 3.0:
        sleep(0.02)
    os.kill(worker if victim == "worker" else engine, signal.SIGKILL)
    killed_s = monotonic() - start_s
    while is_running(engine):
        assert monotonic() < start_s + 6.0
        sleep(0.02)
    return killed_s


def assert_held_against_nobody(sent: Sent, number: int) -> None:
    """By the record, and by what analysis and judge make of its files."""
    record = sent.record([], 6.0, EXPECTED)
    health = load_health.figures(record)
    assert health.lost.startswith(f"worker {number} of 2 (")
    assert {gap.stream for gap in coverage.figures(record, sent.folder).gaps} == {"main"}
    analyze_folder(sent.folder)
    result = judge_folder(sent.folder)
    assert result["verdict"] == "inconclusive"
    judged = [(item["outcome"], item["code"]) for item in result["judgements"]]
    assert judged == [("inconclusive", "worker_lost")] * len(EXPECTED)


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`harness ...` as a process; never left behind."""
    child = subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_worker_that_joins_by_its_own_command_sends_its_share_and_ends_with_the_run(
    truth: GroundTruth, tmp_path: Path
) -> None:
    truth.set("ok")
    listen = "127.0.0.1", free_port()
    sent = Sent(truth, tmp_path / "run", load_of(2), elsewhere=Elsewhere(listen, 1))
    with command("worker", "--master", f"127.0.0.1:{listen[1]}", "--wait", "60s") as worker:
        sent.send()
        said, _ = worker.communicate(timeout=15)
        assert worker.returncode == 0, said
    assert "of 2 of run run" in said
    assert said.rstrip().endswith("done")
    summary = sent.summary
    assert summary is not None
    assert [state.problem for state in summary.workers] == ["", ""]
    assert len(sent.rows()) == RATE_PER_S * END_S


def test_a_worker_gives_up_without_a_master_and_ends_at_once_on_ctrl_c() -> None:
    master = f"127.0.0.1:{free_port()}"
    with command("worker", "--master", master, "--wait", "3s") as worker:
        said, _ = worker.communicate(timeout=20)
        assert worker.returncode == 4
        assert f"no run at {master} within 3 s" in " ".join(said.split())
    with command("worker", "--master", master) as worker:
        assert worker.stdout is not None
        assert "waiting for a run" in worker.stdout.readline()
        [child] = children_of(worker.pid)
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=12)
        assert worker.returncode == 130
        assert not Path(f"/proc/{child}").exists()


def is_running(pid: int) -> bool:
    """A process whose end nobody has asked for is not."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return facts.rpartition(")")[2].split()[0] != "Z"


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
