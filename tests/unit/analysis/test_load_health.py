"""What is wrong with the load, and what the reader is told to change."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.load_health import _problems

FINE: dict[str, Any] = {"cpu_share": 0.2, "stalls": 0, "stall_max_s": 0.0, "exit_code": 0}


def problems(dropped: int = 0, p99_s: float = 0.001, **changes: Any) -> list[str]:
    return _problems(10_000, dropped, p99_s, {**FINE, **changes})


def test_a_load_on_schedule_has_no_problem_whatever_it_took() -> None:
    assert problems(dropped=10, p99_s=0.05, cpu_share=0.99, stalls=40, stall_max_s=0.04) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu_share": 0.93, "stalls": 5, "stall_max_s": 0.1}, "93% of a core: lower load.rate"),
        ({"stalls": 1200, "stall_max_s": 0.35}, "1,200 times, up to 350 ms, with 20% of a core"),
        ({"stalls": 3, "stall_max_s": 0.2, "cpu_share": None}, "up to 200 ms: stop other"),
        ({"stalls": None, "cpu_share": None}, "or stop what else runs on this machine"),
    ],
)
def test_who_had_the_processor_decides_what_to_change(changes: Any, words: str) -> None:
    (problem,) = problems(p99_s=0.08, **changes)
    assert problem.startswith("sent late: p99 80 ms, over 50 ms; ")
    assert words in problem


def test_each_problem_is_told() -> None:
    late, dropped, code = problems(dropped=11, p99_s=0.08, exit_code=4)
    assert "sent late" in late
    assert "0.11% of the arrivals dropped, over 0.10%; lower load.rate" in dropped
    assert "exit code 4" in code
    assert _problems(0, 0, None, FINE) == ["no request was sent; see load.log"]
