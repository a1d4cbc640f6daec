"""What the terminal shows of a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.cli.console import Screen, _line
from harness.model.load import LoadSnapshot
from harness.runner.world import Progress


def shown(capsys: pytest.CaptureFixture[str], **facts: Any) -> list[str]:
    result = {"verdict": "fail", "title": "A claim", "reasons": [], **facts}
    Screen().verdict(result, Path("index.html"))
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def surprise(text: str) -> dict[str, str]:
    return {"code": "breaker_opened", "text": text, "outcome": "note"}


def test_surprises_follow_the_reasons_and_none_is_said_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reasons = [{"code": "container_died", "text": "app-1 died"}]
    rows = [surprise("app-1 died"), surprise("breaker redis of app-2 opened [red]")]
    assert shown(capsys, reasons=reasons, surprises=rows) == [
        "FAIL A claim",
        "container_died: app-1 died",
        "not explained by a fault: breaker redis of app-2 opened [red]",
        "report: index.html",
    ]


def test_of_many_surprises_five_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, surprises=[surprise(f"number {n}") for n in range(8)])
    assert len([line for line in lines if line.startswith("not explained by a fault")]) == 5
    assert "and 3 more not explained by a fault" in lines


def test_a_result_of_an_older_version_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == ["FAIL A claim", "report: index.html"]


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({}, "errors: -  fault"),
        ({"redirect": 0.0, "create": 0.0}, "errors: none  fault"),
        ({"redirect": 0.0, "read": 0.25, "create": 0.5}, "errors: create 50.0% read 25.0%  fault"),
    ],
)
def test_the_line_of_a_run_names_what_fails(rates: dict[str, float], words: str) -> None:
    snapshot = LoadSnapshot(at_s=9.0, window_error_rate=rates)
    assert words in _line(Progress("id", 9.0, 60.0, "fault", (), snapshot))
