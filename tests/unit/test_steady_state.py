"""Limits that are missed before the first fault: by what is recorded, where that is sure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.aspects.clause import parse_expectation
from harness.model.experiment import Experiment, FaultSpec, Phase
from harness.model.load import Load
from harness.record.folder import RunFolder
from harness.record.tables import write_samples
from harness.steady_state import UNWRITTEN_S, missed, phases_before

PHASES = (
    Phase(name="warmup", start_s=0, end_s=10),
    Phase(name="baseline", start_s=10, end_s=40),
    Phase(name="fault", start_s=40, end_s=60),
)
AT_S = 39.0


def experiment(*clauses: str, phase: str = "baseline", fault_s: float = 40.0) -> Experiment:
    found = tuple(parse_expectation(phase, "home", clause, {"home"}) for clause in clauses)
    fault = FaultSpec(
        id="kill-1", kind="kill", selector={"service": "web"}, phase="fault", start_s=fault_s,
        end_s=60,
    )  # fmt: skip
    return Experiment(
        name="x", title="t", load=Load(rate_per_s=10, mix={"home": 1.0}), operations={},
        phases=PHASES, faults=(fault,), hypothesis=found,
    )  # fmt: skip


def record(folder: Path, *rows: tuple[str, float, float, str], stream: str = "main") -> RunFolder:
    """Rows of operation, due time, seconds until done, error."""
    columns: dict[str, list[Any]] = {
        "op": [op for op, *_ in rows],
        "key": [0] * len(rows),
        "intended_s": [due_s for _, due_s, _, _ in rows],
        "sent_s": [due_s for _, due_s, _, _ in rows],
        "done_s": [due_s + took_s for _, due_s, took_s, _ in rows],
        "status": [200] * len(rows),
        "ok": [not error for *_, error in rows],
        "error": [error for *_, error in rows],
        "bytes": [0] * len(rows),
        **{name: [""] * len(rows) for name in ("served_by", "cache", "db_node", "write")},
    }
    made = RunFolder(folder)
    made.samples_dir.mkdir(exist_ok=True)
    write_samples(made.samples_dir, stream, 0, columns)
    return made


def steady(
    start_s: float = 10.0, end_s: float = 36.0, took_s: float = 0.01, error: str = ""
) -> list[tuple[str, float, float, str]]:
    """Ten requests a second."""
    count = round(10 * (end_s - start_s))
    return [("home", start_s + number / 10, took_s, error) for number in range(count)]


def test_what_is_kept_is_not_missed(tmp_path: Path) -> None:
    folder = record(tmp_path, *steady())
    limits = ("p95 < 200ms", "error_rate < 5%", "failed_requests == 0", "success_rate > 95%")
    assert missed(experiment(*limits), folder, AT_S) == []


@pytest.mark.parametrize(
    ("limit", "seen"),
    [
        ("p95 < 5ms", "10 ms over 260 requests"),
        ("p50 <= 9ms", "10 ms over 260 requests"),
        ("max < 10ms", "10 ms over 260 requests"),
    ],
)
def test_a_time_that_is_missed_is_named_with_what_was_seen(
    tmp_path: Path, limit: str, seen: str
) -> None:
    folder = record(tmp_path, *steady())
    assert missed(experiment(limit), folder, AT_S) == [f"baseline.home: {limit}, but {seen}"]


@pytest.mark.parametrize(
    ("limit", "seen"),
    [
        ("error_rate < 5%", "7.69% over 260 requests (20 wrong_status)"),
        ("success_rate >= 95%", "92.31% over 260 requests (20 wrong_status)"),
        ("failed_requests == 0", "20 over 260 requests (20 wrong_status)"),
    ],
)
def test_failures_are_counted_as_the_judge_counts_them(
    tmp_path: Path, limit: str, seen: str
) -> None:
    wrong = [(*row[:3], "wrong_status") for row in steady()[:20]]
    generator = [("home", 20.0, 9.0, "dropped"), ("home", 20.0, 9.0, "unfinished")]
    folder = record(tmp_path, *wrong, *steady()[20:], *generator)
    assert missed(experiment(limit), folder, AT_S) == [f"baseline.home: {limit}, but {seen}"]


def test_main_load_and_canary_count_together(tmp_path: Path) -> None:
    record(tmp_path, *steady())
    folder = record(tmp_path, *steady(took_s=0.5), stream="canary")
    (text,) = missed(experiment("p95 < 200ms"), folder, AT_S)
    assert text.endswith("500 ms over 520 requests")


def test_only_requests_of_the_operation_and_of_the_phase_count(tmp_path: Path) -> None:
    late_s = AT_S - UNWRITTEN_S
    others = [
        ("cart", 20.0, 9.0, "timeout"),
        ("home", 9.99, 9.0, "timeout"),
        ("home", late_s, 9.0, "timeout"),
    ]
    folder = record(tmp_path, *others, *steady())
    assert missed(experiment("failed_requests == 0", "max < 1s"), folder, AT_S) == []
    for due_s in (10.0, late_s - 0.01):
        folder = record(tmp_path, *steady(), ("home", due_s, 9.0, "timeout"))
        assert len(missed(experiment("failed_requests == 0", "max < 1s"), folder, AT_S)) == 2


def test_too_few_requests_prove_nothing(tmp_path: Path) -> None:
    folder = record(tmp_path, *steady(end_s=29.9))  # 199, a p95 takes 200
    assert missed(experiment("p95 < 1ms"), folder, AT_S) == []
    folder = record(tmp_path, *steady(end_s=30.0))
    assert len(missed(experiment("p95 < 1ms"), folder, AT_S)) == 1


def test_a_count_that_is_not_over_yet_is_not_missed(tmp_path: Path) -> None:
    folder = record(tmp_path, *steady())
    assert missed(experiment("requests >= 299"), folder, AT_S) == []


def test_phases_that_a_fault_may_touch_are_not_asked(tmp_path: Path) -> None:
    folder = record(tmp_path, *steady())
    assert missed(experiment("p95 < 5ms", phase="fault"), folder, AT_S) == []
    assert missed(experiment("p95 < 5ms", phase="run"), folder, AT_S) == []
    assert [phase.name for phase in phases_before(experiment())] == ["baseline"]
    assert phases_before(experiment(fault_s=39.9)) == []


def test_without_a_record_nothing_is_missed(tmp_path: Path) -> None:
    assert missed(experiment("p95 < 5ms"), RunFolder(tmp_path), AT_S) == []
    record(tmp_path, *steady())
    next(RunFolder(tmp_path).samples_dir.glob("main-*")).write_bytes(b"cut")
    assert missed(experiment("p95 < 5ms"), RunFolder(tmp_path), AT_S) == []
